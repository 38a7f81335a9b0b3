"""`hfmirror pull --background`, `pause`, `resume` and `cancel`: pulls that wait for their turn."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import Json, Quiet, Root
from hfmirror.errors import UsageError, human

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hfmirror.errors import StoreError
    from hfmirror.model import RepoId, Selection
    from hfmirror.queue.decide import Standing
    from hfmirror.queue.job import Job, Value
    from hfmirror.queueing import Queue

Which = Annotated[str, typer.Argument(metavar="[JOB]", help="The job's number, or all.")]
DIGITS = 18  # of a job's number, at most
# Options of `pull` that a job does not carry: what it is about has fields of its own, the rest is the worker's.
_OWN = {"repos", "revision", "include", "exclude", "background", "priority", "root", "as_json", "quiet"}


def pause(which: Which = "all", root: Root = None, as_json: Json = False, quiet: Quiet = False) -> int:
    """Pause pulls in the background. What came is kept.

    Example: hfmirror pause 3
    """

    def work() -> None:
        queue = _queue(root)
        chosen = _chosen(queue, which)
        for each in chosen:
            if each.unfinished:
                queue.shelf.pause(each)
        _tell(_rows(queue, chosen), as_json=as_json, quiet=quiet)

    return guarded(work, as_json=as_json)


def resume(
    which: Which = "all",
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only those that wait: leave what is paused or has failed as it is.")
    ] = False,
    stay: Annotated[
        bool, typer.Option("--stay", help="Do the work in this process, until nothing is left to do.")
    ] = False,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Let pulls in the background go on, now.

    Also those that have failed, and those that waited when the machine was restarted.

    Example: hfmirror resume all
    """

    def work() -> None:
        queue = _queue(root)
        chosen = _chosen(queue, which)
        for each in [] if waiting else chosen:
            if each.state != "done":
                queue.shelf.resume(each)
        if not stay:
            queue.wake()
        _tell(_rows(queue, chosen, woken=True), as_json=as_json, quiet=quiet)
        if stay and not queue.work(_nobody if quiet else say) and not quiet:
            say("another worker is at work")

    return guarded(work, as_json=as_json)


def cancel(
    which: Annotated[str, typer.Argument(metavar="JOB", help="The job's number, or all.")],
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Cancel pulls in the background. What came of them stays, until `hfmirror rm` and `gc`.

    Example: hfmirror cancel 3
    """

    def work() -> None:
        queue = _queue(root)
        numbers = queue.shelf.numbers() if which == "all" else [_number(which)]
        if which != "all" and numbers[0] not in queue.shelf.numbers():
            queue.shelf.find(numbers[0])
        for number in numbers:
            queue.shelf.cancel(number)
        if as_json:
            print(json.dumps({"cancelled": numbers}))  # noqa: T201 - the command's answer
        elif not quiet:
            kept = "; what came is kept until `hfmirror rm` and `hfmirror gc`" if numbers else ""
            say(f"cancelled {_listed(numbers)}{kept}")

    return guarded(work, as_json=as_json)


def add(
    wanted: Sequence[tuple[RepoId, str]],
    selection: Selection,
    options: Mapping[str, Value],
    priority: int,
    ways: tuple[Path | None, bool, bool],
) -> int:
    """Let these pulls wait for their turn, and see to it that somebody does them."""
    root, as_json, quiet = ways
    queue = _queue(root)
    jobs = [queue.add(repo, revision, selection, options, priority) for repo, revision in wanted]
    queue.wake()
    for job in jobs:
        if as_json:
            document = {"job": job.number, "repo": str(job.order.repo), "revision": job.order.revision}
            print(json.dumps({"event": "queued", **document, "priority": job.priority}))  # noqa: T201 - the command's answer
        elif not quiet:
            say(f"job {job.number}: {_named(job)} comes in the background; `hfmirror status` shows how far it is")
    return 0


def options_of(context: typer.Context) -> dict[str, Value]:
    """The options that were given, by their long names: all that change how a pull is done."""
    found: dict[str, Value] = {}
    for param in context.command.params:
        source = context.get_parameter_source(str(param.name))
        if param.name in _OWN or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[str(param.name)]
        found[max(param.opts, key=len).removeprefix("--")] = _plain(value)
    return found


def _plain(value: object) -> Value:
    from hfmirror.settings import at_home

    if isinstance(value, list | tuple):
        return [str(_plain(each)) for each in value]
    if isinstance(value, Path):
        return str(at_home(value).absolute())
    return value if isinstance(value, str | int | float) else str(value)


# -- what is said ---------------------------------------------------------------------------------


def show(queue: Queue) -> None:
    """All jobs, in a table; nothing when there is none."""
    from hfmirror.cli import table

    documents = described(queue)
    if not documents:
        return
    print()  # noqa: T201 - the command's answer
    rows = [
        (str(row["job"]), row["state"], str(row.get("priority", "")), _title(row), *_numbers(row), row["why"])
        for row in documents
    ]
    table.show(("JOB", "STATE", "PRIORITY", "REPO", "DONE", "RATE", ""), rows, right=frozenset({0, 2, 4, 5}))


def described(queue: Queue, *, woken: bool = False) -> list[dict[str, Any]]:
    """All jobs, as JSON has them; `woken`: a worker was just told to begin."""
    from hfmirror.queue.why import why

    all_, now, worker = list(queue.shelf.standings()), time.time(), woken or queue.shelf.worker() is not None
    running = next((each.job.number for each in all_ if not isinstance(each, tuple) and each.state == "running"), None)
    return [
        _unreadable(*each) if isinstance(each, tuple) else _described(each, why(each, running, now, worker=worker))
        for each in all_
    ]


def _unreadable(number: int, error: StoreError) -> dict[str, Any]:
    return {"job": number, "state": "unreadable", "why": str(error)}


def _described(each: Standing, why: str) -> dict[str, Any]:
    from hfmirror.moments import utc

    job, report = each.job, each.report
    row: dict[str, Any] = {
        "job": job.number,
        "state": each.state,
        "repo": str(job.order.repo),
        "revision": job.order.revision,
        "include": list(job.order.selection.include),
        "exclude": list(job.order.selection.exclude),
        "options": dict(job.order.options),
        "priority": job.priority,
        "created": job.created,
        "size": report.size if report else 0,
        "here": report.here if report else 0,
        "rate": round(report.rate) if report else 0,
        "why": why,
    }
    if report and report.message:
        row |= {"error": report.error, "message": report.message, "hint": report.hint}
    if report and each.state == "waiting" and report.again_at:
        row["again_at"] = utc(report.again_at)
    return row


def _title(row: Mapping[str, Any]) -> str:
    return "" if "repo" not in row else f"{row['repo']}@{row['revision'][:12]}"


def _numbers(row: Mapping[str, Any]) -> tuple[str, str]:
    share = f"{100 * row['here'] // row['size']} %" if row.get("size") else ""
    return share, f"{human(row['rate'])}/s" if row.get("rate") else ""


def _rows(queue: Queue, chosen: Sequence[Standing], *, woken: bool = False) -> list[dict[str, Any]]:
    numbers = {each.job.number for each in chosen}
    return [row for row in described(queue, woken=woken) if row["job"] in numbers]


def _tell(rows: Sequence[Mapping[str, Any]], *, as_json: bool, quiet: bool) -> None:
    """How these jobs stand now."""
    if as_json:
        print(json.dumps({"jobs": rows}, ensure_ascii=False))  # noqa: T201 - the command's answer
        return
    for row in [] if quiet else rows:
        say(f"job {row['job']}: {_title(row)} is {row['state']}" + (f": {row['why']}" if row["why"] else ""))
    if not (rows or quiet):
        say("there is no such job: no pull waits in the background")


# -- which are meant ------------------------------------------------------------------------------


def _queue(root: Path | None) -> Queue:
    from hfmirror import settings
    from hfmirror.mirror import Mirror

    return Mirror.open(settings.current(root)).queue()


def _chosen(queue: Queue, which: str) -> list[Standing]:
    if which == "all":
        return [each for each in queue.shelf.readable() if each.state != "done"]
    return [queue.shelf.find(_number(which))]


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= DIGITS):
        raise UsageError(f"{word!r} is no job", "give its number, as `hfmirror status` shows it, or all")
    return int(word)


def _listed(numbers: Sequence[int]) -> str:
    if not numbers:
        return "no job"
    return f"job{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"


def _named(job: Job) -> str:
    return f"{job.order.repo}@{job.order.revision}"


def _nobody(sentence: str) -> None:
    """Say it to nobody: the log has it."""
