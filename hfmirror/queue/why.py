"""Why a job is not done, in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfmirror.queue.decide import Standing


def why(each: Standing, running: int | None, now: float, *, worker: bool) -> str:
    """One sentence; empty when there is nothing to explain.

    `running` is the number of the job that is under way; `worker`: whether anybody is at work at all.
    """
    report = each.report
    if each.state == "paused":
        return f"`hfmirror resume {each.job.number}` goes on with it"
    if each.state == "running" and report is not None:
        return report.why
    if each.state == "failed" and report is not None:
        return "; ".join(filter(None, (report.message, report.hint)))
    if each.state != "waiting":
        return ""
    if not worker:
        return "no worker is at work: `hfmirror resume --waiting` starts one"
    if report is not None and report.again_at > now:
        return f"{report.message}; trying again at {time.strftime('%H:%M:%S', time.localtime(each.due_at(now)))}"
    return "its turn comes" if running is None else f"after job {running}"
