"""`hfmirror verify`: hash again what is held."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import Json, Quiet, Root
from hfmirror.cli.repair import Report, mend, where
from hfmirror.errors import DamagedObject, NotHere

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.care.check import Manner
    from hfmirror.care.verify import Finding
    from hfmirror.mirror import Mirror
    from hfmirror.model import RepoId

PATIENCE_S = 900.0  # as of a pull


def command(
    repos: Annotated[list[str] | None, typer.Argument(metavar="[REPO...]", help="Default: everything here.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Then do what `hfmirror repair` does.")] = False,
    sample: Annotated[
        str | None, typer.Option(help="Read only so much of the bytes, chosen at random.", metavar="SHARE")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(help="Only what was not proven for so long, like 30d.", metavar="TIME")
    ] = None,
    limit_rate: Annotated[
        str | None, typer.Option(help="Read at most so many bytes a second, like 50M.", metavar="RATE")
    ] = None,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Read everything again and prove it.

    Damaged files are set aside, and the next pull, or `repair`, fetches what is wrong with them. Broken off, it
    goes on where it stopped when it is run again.

    Example: hfmirror verify --sample 5%
    """
    report = Report(as_json=as_json, quiet=quiet)
    words = Words(repos or [], sample, older_than, limit_rate)
    return guarded(lambda: _verify(words, root, report, mending=repair), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of the command ask for."""

    repos: list[str]
    sample: str | None
    older_than: str | None
    limit_rate: str | None

    def manner(self) -> Manner:
        """How to check. Raises UsageError."""
        from hfmirror.care.check import Manner
        from hfmirror.cli import measures
        from hfmirror.timetable import Timetable

        return Manner(
            None if self.sample is None else measures.share(self.sample, "--sample"),
            None if self.older_than is None else measures.seconds(self.older_than, "--older-than"),
            None if self.limit_rate is None else Timetable.parse(self.limit_rate, "--limit-rate"),
        )


def _verify(words: Words, root: Path | None, report: Report, *, mending: bool) -> int:
    from hfmirror import settings
    from hfmirror.mirror import Mirror
    from hfmirror.words import parse_repo

    manner = words.manner()
    mirror = Mirror.open(settings.current(root))
    repos = [parse_repo(text)[0] for text in words.repos]
    for repo in repos:
        if not any(mirror.store.pins_of(repo)):
            raise NotHere(repo)
    checked, damaged = _checked(mirror, repos, manner, report)
    if mending:
        code = mend(mirror, repos, PATIENCE_S, report)
        damaged = [finding for finding in damaged if not mirror.store.has(finding.digest) or not finding.actual]
        if code:
            report.close()
            return code
    report.close()
    if damaged:
        raise DamagedObject(len(damaged), checked)
    return 0


def _checked(mirror: Mirror, repos: list[RepoId], manner: Manner, report: Report) -> tuple[int, list[Finding]]:
    """Check, and report it; how many objects, and which are damaged."""
    from hfmirror.care.throttle import Throttle
    from hfmirror.safety.guard import told

    check = mirror.plan_check(repos, manner)
    report.skipped(check)
    checked = size = 0
    damaged = []
    findings = mirror.check(check, Throttle(manner.rate))
    with closing(findings):  # Ctrl-C ends its threads, and what was proven so far is noted
        for finding in findings:
            checked, size = checked + 1, size + (finding.size if finding.read is None else finding.read)
            if not finding.sound:
                damaged.append(finding)
                say(_verdict(finding))
    report.verified(checked, size, damaged)
    for entry, scan in mirror.guard.news:
        say(f"{entry.path} ({entry.digest}) {told(scan)}")
    return checked, damaged


def _verdict(finding: Finding) -> str:
    if finding.actual:
        told = "" if finding.wrong is None else f"{where(finding)}; "
        return f"damaged: {finding.digest} hashes to {finding.actual}; {told}set aside"
    return f"unreadable: {finding.digest}: {finding.complaint}; left where it is"
