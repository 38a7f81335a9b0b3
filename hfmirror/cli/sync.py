"""`hfmirror sync`: keep a list of repos current."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfmirror.cli.exits import guarded, say, tell
from hfmirror.cli.options import DryRun, Json, LimitRate, Quiet, Root
from hfmirror.cli.watching import watching
from hfmirror.errors import MirrorError, UsageError, human

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hfmirror.mirror import Mirror
    from hfmirror.syncing.decide import Commit
    from hfmirror.syncing.parse import SyncList
    from hfmirror.syncing.round import Agenda, Failure, Job, Round
    from hfmirror.transfer.events import Event

TERMINATED = 143  # 128 + SIGTERM, as shells count
SHIFT = 0.1  # of the time between two rounds, at most: machines that began together do not go on so


def command(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The list; default: mirror.toml.")] = Path(
        "mirror.toml"
    ),
    watch: Annotated[bool, typer.Option("--watch", help="Go on until interrupted: a round every six hours.")] = False,
    locked: Annotated[bool, typer.Option("--locked", help="Bring exactly the commits that mirror.lock names.")] = False,
    limit_rate: LimitRate = None,
    dry_run: DryRun = False,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Keep a list of repos (mirror.toml) current.

    It asks about all of them, says what it will do, does it, and writes the exact commits into mirror.lock. Run
    it by cron, or with --watch. A repo that fails does not stop the others.

    Example: hfmirror sync mirror.toml --dry-run
    """
    order = Order(file, root, locked, dry_run, as_json, quiet, limit_rate)

    def work() -> int:
        if watch and dry_run:
            raise UsageError("--watch goes on for ever, and --dry-run does nothing", "give one of the two")
        with ending_at_sigterm():
            return go_on(order.round, order.pause, time.sleep) if watch else order.round()[0]

    return guarded(work, as_json=as_json)


@contextmanager
def ending_at_sigterm() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, also where the system gives it no meaning (process 1)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def go_on(
    once: Callable[[], tuple[int, float]], pause: Callable[[float], float], sleep: Callable[[float], None]
) -> int:
    """One round after the other, until a signal ends it. What is wrong with the first one is raised."""
    _, every_s = once()
    while True:
        sleep(pause(every_s))
        try:
            _, every_s = once()  # the list is read anew: who has changed it need not start this anew
        except MirrorError as error:
            tell(error, as_json=False)


@dataclass(frozen=True, slots=True)
class Order:
    """What the words of the command ask for."""

    file: Path
    root: Path | None
    locked: bool
    dry_run: bool
    as_json: bool
    quiet: bool
    limit_rate: str | None = None

    def round(self) -> tuple[int, float]:
        """One round: its exit code, and the seconds until the next. Raises MirrorError before anything is done."""
        from hfmirror import settings
        from hfmirror.mirror import Mirror
        from hfmirror.syncing.lock import beside
        from hfmirror.syncing.record import Record
        from hfmirror.syncing.round import Exact, Following

        wanted = read_list(self.file)
        given = settings.current(self.root, self.limit_rate).with_sources(
            wanted.sources, f"{self.file.name}: `sources`:"
        )
        mirror = Mirror.open(given if self.limit_rate is not None else given.with_limit(wanted.limit))
        record = Record(beside(self.file))
        this: Round = (Exact if self.locked else Following)(mirror, wanted, record)
        if self.dry_run:
            agenda = this.ask(self._hear)
            self._announce(agenda)
            return _code(list(agenda.failures)), wanted.every_s
        mirror.store.prepare()
        with record.held(mirror.store):
            return self._done(this, mirror), wanted.every_s

    def _done(self, this: Round, mirror: Mirror) -> int:
        agenda = this.ask(self._hear)
        self._announce(agenda)
        failures, fetched = list(agenda.failures), 0
        for job in agenda.jobs:
            failure, size = self._carried_out(this, job, mirror)
            failures += [failure] if failure else []
            fetched += size
        gone = this.finish()
        self._sum_up(agenda, failures, fetched, gone)
        return _code(failures)

    def _carried_out(self, this: Round, job: Job, mirror: Mirror) -> tuple[Failure | None, int]:
        """How one job went, and the bytes that came."""
        from hfmirror.syncing.round import Failure
        from hfmirror.transfer.events import Arrived, Planned

        fetched: list[int] = []
        plan = job.plan
        try:
            with watching(as_json=self.as_json, quiet=self.quiet or not plan.lacking) as display:

                def watch(event: Event) -> None:
                    if isinstance(event, Arrived):
                        fetched.append(event.size)
                    display(event)

                if plan.lacking:
                    display(Planned(plan))
                this.carry_out(job, watch)
                if plan.lacking and self.as_json:
                    display.done(plan, mirror.view.snapshot(plan.pin.repo, plan.pin.commit))
        except MirrorError as error:
            failure = Failure(job.wish, error)
            self._complain(failure)
            return failure, sum(fetched)
        return None, sum(fetched)

    # -- what is said -------------------------------------------------------------------------

    def pause(self, every_s: float) -> float:
        """How long to wait for the next round, which it says."""
        wait = every_s * (1 + random.uniform(0, SHIFT))  # noqa: S311 - so that machines differ, not to keep a secret
        if self.as_json:
            _print({"event": "sleeping", "seconds": round(wait, 1)})
        if not self.quiet:
            say(f"the next round begins at {time.strftime('%H:%M:%S', time.localtime(time.time() + wait))}")
        return wait

    def _hear(self, event: Event) -> None:
        from hfmirror.cli.tally import noteworthy

        if (words := noteworthy(event)) and not self.quiet:
            say(words)

    def _announce(self, agenda: Agenda) -> None:
        from hfmirror.cli.tally import announced

        for failure in agenda.failures:
            self._complain(failure)
        if self.as_json:
            _print(_plan(agenda, self))
        if self.quiet:
            return
        for job in agenda.jobs:
            say(announced(job.plan))
        for repo, commit in agenda.lets_go:
            say(f"{repo}@{commit[:12]}: to be let go")
        freed = f"; {human(agenda.freed)} will be left for `hfmirror gc`" if agenda.lets_go else ""
        say(f"in all {human(agenda.to_fetch)} to fetch{freed}")

    def _complain(self, failure: Failure) -> None:
        error = failure.error
        say(f"{failure.wish}: {error}")
        if error.hint():
            say(f"  {error.hint()}")
        if self.as_json:
            _print(_failed(failure))

    def _sum_up(self, agenda: Agenda, failures: list[Failure], fetched: int, gone: tuple[Commit, ...]) -> None:
        if self.as_json:
            document = {
                "event": "synced",
                "here": len(agenda.jobs) + len(agenda.failures) - len(failures),
                "failed": [_failed(failure) for failure in failures],
                "fetched": fetched,
                "let_go": _rows(gone),
            }
            _print(document)
        if not self.quiet:
            for repo, commit in gone:
                say(f"{repo}@{commit[:12]}: let go")
            say(f"fetched {human(fetched)}" + (f"; {len(failures)} failed" if failures else ""))


def read_list(file: Path) -> SyncList:
    """The list in a file. Raises UsageError."""
    from hfmirror.syncing.parse import parse

    try:
        text = file.read_text(encoding="utf-8-sig")  # some editors put a mark in front
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8", "save it as UTF-8 in your editor") from None
    except OSError as error:
        advice = 'begin one with the lines: [[repo]] and name = "owner/name"; or name another file'
        raise UsageError(f"cannot read {file}: {error.strerror}", advice) from None
    return parse(text, file.name)


def _code(failures: list[Failure]) -> int:
    from hfmirror.errors import first_by_table

    return first_by_table([failure.error for failure in failures]).exit_code if failures else 0


def _plan(agenda: Agenda, order: Order) -> dict[str, Any]:
    rows = [
        {
            "repo": str(job.plan.pin.repo),
            "revision": job.wish.revision,
            "commit": job.plan.pin.commit,
            "files": len(job.plan.selected),
            "size": job.plan.size,
            "to_fetch": job.plan.to_fetch,
        }
        for job in agenda.jobs
    ]
    return {
        "event": "plan",
        "repos": rows,
        "failed": [_failed(failure) for failure in agenda.failures],
        "to_fetch": agenda.to_fetch,
        "let_go": _rows(agenda.lets_go),
        "freed": agenda.freed,
        "locked": order.locked,
        "dry_run": order.dry_run,
    }


def _rows(commits: tuple[Commit, ...]) -> list[dict[str, str]]:
    return [{"repo": str(repo), "commit": commit} for repo, commit in commits]


def _failed(failure: Failure) -> dict[str, Any]:
    error = failure.error
    return {
        "repo": str(failure.wish.repo),
        "revision": failure.wish.revision,
        "error": type(error).__name__,
        "message": str(error),
        "hint": error.hint(),
        "exit": error.exit_code,
    }


def _print(document: dict[str, Any]) -> None:
    print(json.dumps(document, ensure_ascii=False), flush=True)  # noqa: T201 - the command's answer
