"""What a person finds beside a damaged object: what it was, what is wrong with it, and what to do."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from hfmirror.errors import human

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfmirror.care.verify import Finding
    from hfmirror.care.why import Claim

SHOWN = 100  # ranges and paths that are named


def written(finding: Finding, claims: Sequence[Claim], now: float) -> str:
    """The text; `now` is seconds since 1970."""
    when = datetime.fromtimestamp(now).astimezone().isoformat(timespec="seconds")
    lines = [
        "This file was set aside because its bytes are no longer what its name says.",
        "",
        f"found:     {when}, by hfmirror verify",
        f"object:    {finding.digest}",
        f"size:      {finding.size} bytes ({human(finding.size)})",
        f"hashes to: {finding.digest.algorithm.value}:{finding.actual}",
        *_wrong(finding),
        *_listed("wanted by:", [f"{claim.pin.repo}@{claim.pin.commit}: {claim.path}" for claim in claims], "nothing"),
        "",
        "`hfmirror repair` fetches the wrong parts again, takes the others from here, and removes both files.",
        "What nothing wants is not mended; you may delete it, and this report.",
        "Damage like this comes from the disk, the memory or the cable. If it comes again, look at those.",
    ]
    return "\n".join([*lines, ""])


def _wrong(finding: Finding) -> list[str]:
    if finding.wrong is None:
        return ["wrong:     nobody knows which part: the digests of its parts are not here"]
    return _listed("wrong:", [f"bytes {span.start} to {span.stop - 1}" for span in finding.wrong], "no part")


def _listed(head: str, rows: Sequence[str], nothing: str) -> list[str]:
    shown = [*rows[:SHOWN], *([f"and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else [])] or [nothing]
    return [f"{head if number == 0 else '':<10} {row}" for number, row in enumerate(shown)]
