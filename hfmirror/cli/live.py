"""The live display on a terminal: files, bytes, rate, time left, and why it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from hfmirror.cli.exits import say
from hfmirror.cli.tally import Tally, announced, finished, noteworthy
from hfmirror.transfer.events import Arrived, Planned, Resumed, Sealed

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import TaskID
    from typing_extensions import Self

    from hfmirror.transfer.events import Event
    from hfmirror.transfer.plan import Plan


class Live:
    """A bar that moves while bytes come, with lines above it for what a person should know."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._console = Console(stderr=True, highlight=False)
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            refresh_per_second=5,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        self._tally.count(event)
        if isinstance(event, Planned):
            self._begin(event.plan)
        elif self._task is not None and isinstance(event, Arrived):
            self._progress.advance(self._task, event.size)
        elif self._task is not None and isinstance(event, Resumed):
            self._progress.advance(self._task, event.kept)
        elif self._task is not None and isinstance(event, Sealed):
            self._progress.update(self._task, description=self._files())
        if words := noteworthy(event):
            self._console.print(words, markup=False)

    def _begin(self, plan: Plan) -> None:
        self._console.print(announced(plan), markup=False)
        if plan.lacking:
            self._task = self._progress.add_task(self._files(), total=plan.to_fetch)
            self._progress.start()

    def _files(self) -> str:
        wanted = len(self._tally.plan.lacking) if self._tally.plan else 0
        return f"{self._tally.sealed}/{wanted} files"

    def done(self, plan: Plan, where: Path) -> None:  # noqa: ARG002 - the display's port
        """The last word."""
        self._progress.stop()
        say(finished(self._tally))
        print(where)  # noqa: T201 - the command's answer
