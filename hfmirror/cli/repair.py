"""`hfmirror repair`: fetch again what is damaged, and nothing else."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfmirror.cli.exits import guarded, say, tell
from hfmirror.cli.options import DryRun, From, Json, LimitRate, Quiet, Root
from hfmirror.errors import human

if TYPE_CHECKING:
    from hfmirror.care.check import Check
    from hfmirror.care.mend import Repair
    from hfmirror.care.verify import Finding
    from hfmirror.mirror import Mirror
    from hfmirror.model import RepoId, Span
    from hfmirror.settings import Settings
    from hfmirror.transfer.events import Event


def command(
    repos: Annotated[list[str] | None, typer.Argument(metavar="[REPO...]", help="Default: everything here.")] = None,
    patience: Annotated[float, typer.Option(min=0, help="Seconds without a new byte until giving up.")] = 900.0,
    sources: From = None,
    limit_rate: LimitRate = None,
    dry_run: DryRun = False,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Mend what `verify` set aside: only damaged parts are fetched.

    Example: hfmirror repair --dry-run
    """
    report = Report(as_json=as_json, quiet=quiet)

    def work() -> int:
        from hfmirror import settings

        told = settings.current(root, limit_rate).with_sources(sources)
        return _repair(repos or [], told, patience, report, dry=dry_run)

    return guarded(work, as_json=as_json)


def _repair(texts: list[str], settings: Settings, patience: float, report: Report, *, dry: bool) -> int:
    from hfmirror.mirror import Mirror
    from hfmirror.words import parse_repo

    mirror = Mirror.open(settings)
    code = mend(mirror, [parse_repo(text)[0] for text in texts], patience, report, dry=dry)
    report.close()
    return code


def mend(mirror: Mirror, repos: list[RepoId], patience: float, report: Report, *, dry: bool = False) -> int:
    """Repair what there is to repair, and report it; the exit code."""
    from hfmirror.errors import first_by_table
    from hfmirror.transfer.manner import Manner

    repair = mirror.plan_repair(repos)
    report.plan(repair, [mirror.damage(digest) for digest in repair.entries if not mirror.store.has(digest)], dry=dry)
    if dry:
        return 0
    failures = mirror.repair(repair, Manner(None, patience), report.watch)
    for failure in failures:
        tell(failure, as_json=False)
    report.outcome(repair, mirror)
    return first_by_table(failures).exit_code if failures else 0


class Report:
    """What a repair says: words as it goes, or one document at its end."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._json, self._quiet = as_json, quiet
        self.document: dict[str, Any] = {}
        self._fetched = 0  # bytes

    def skipped(self, check: Check) -> None:
        """What `hfmirror verify` leaves out."""
        self.document |= {"skipped": check.skipped, "resumed": check.resumed}
        if check.resumed and check.begun is not None:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(check.begun))
            self._say(f"going on with the check of {when}: {check.skipped} objects were proven since")
        elif check.skipped:
            self._say(f"{check.skipped} objects were proven lately enough")

    def verified(self, checked: int, size: int, damaged: list[Finding]) -> None:
        """What `hfmirror verify` found."""
        self.document |= {"checked": checked, "size": size, "damaged": [str(found.digest) for found in damaged]}
        self.document["wrong"] = [wrong_of(found) for found in damaged]
        if not (self._json or self._quiet):
            print(f"{checked} objects, {human(size)}: {len(damaged)} damaged")  # noqa: T201 - the command's answer

    def plan(self, repair: Repair, findings: list[Finding], *, dry: bool) -> None:
        """What is going to be done."""
        from hfmirror.care.mend import to_fetch

        rows, entries = [], repair.entries  # what was set aside at any time, not only just now
        for found in findings:
            entry = entries[found.digest]
            cost = to_fetch(found, entry)
            rows.append(wrong_of(found) | {"path": entry.path, "to_fetch": cost})
            self._say(f"{entry.path} ({found.digest}): {where(found)}; {human(cost)} to fetch")
        unwanted = [str(digest) for digest in repair.unwanted]
        if unwanted:
            self._say(f"{len(unwanted)} objects in quarantine are wanted by nothing and stay there")
        if not entries:
            self._say("nothing to repair")
        self.document |= {"dry_run": dry, "to_repair": rows, "unwanted": unwanted}

    def watch(self, event: Event) -> None:
        """Count what comes, and say why it does not."""
        from hfmirror.transfer.events import Arrived, Dismissed, Limited, Refused, Waiting

        if isinstance(event, Arrived):
            self._fetched += event.size
        elif isinstance(event, Limited):
            self._say(str(event.limit))
        elif isinstance(event, Refused | Dismissed) or (isinstance(event, Waiting) and event.seconds):
            say(str(event.error))

    def outcome(self, repair: Repair, mirror: Mirror) -> None:
        """What came of it."""
        mended = [str(digest) for digest in repair.entries if mirror.store.has(digest)]
        self.document |= {"repaired": mended, "fetched": self._fetched}
        if repair.entries:
            self._say(f"repaired {len(mended)} of {len(repair.entries)} objects; {human(self._fetched)} fetched")

    def close(self) -> None:
        """Print the document, if that was asked for."""
        if self._json:
            print(json.dumps(self.document, ensure_ascii=False))  # noqa: T201 - the command's answer

    def _say(self, sentence: str) -> None:
        if not (self._json or self._quiet):
            say(sentence)


def wrong_of(found: Finding) -> dict[str, Any]:
    """Where an object is wrong, as JSON."""
    spans = None if found.wrong is None else [[span.start, span.stop] for span in found.wrong]
    return {"digest": str(found.digest), "size": found.size, "spans": spans}


def where(found: Finding) -> str:
    """The same in words."""
    if found.wrong is None:
        return "nobody knows which part"
    if not found.wrong:
        return "all its parts are right"
    return "wrong in " + ", ".join(_bytes_of(span) for span in found.wrong[:SHOWN]) + _more(len(found.wrong))


SHOWN = 5  # ranges told in words


def _bytes_of(span: Span) -> str:
    return f"bytes {span.start} to {span.stop - 1}"


def _more(count: int) -> str:
    return f" and {count - SHOWN} more ranges" if count > SHOWN else ""
