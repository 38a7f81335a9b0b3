"""One pull of the queue: the command `hfmirror pull` in a process of its own, told to stop as by Ctrl-C.

So a job takes every option that the command has, a fault in it cannot take the worker along, and what
an interrupted pull keeps is what `hfmirror pull` keeps.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfmirror.queue.decide import Outcome
from hfmirror.queue.job import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    from typing_extensions import Self

    from hfmirror.queue.job import Job

STOP_S = 30.0  # until a pull that was told to stop is killed: sealing a large file may take its time
RATE_S = 10.0  # what "lately" is, for the rate
# What `python -m hfmirror` would do, but never with a module that lies in the folder it is started in.
PROGRAM = (
    sys.executable,
    "-c",
    "import sys; sys.path[:] = filter(None, sys.path); from hfmirror.cli import main; main()",
)


def words_of(job: Job, root: Path) -> list[str]:
    """The job as the words of a command."""
    order = job.order
    words = ["pull", *_spelled("root", str(root)), "--json", *_spelled("revision", order.revision)]
    words += _spelled("include", list(order.selection.include)) + _spelled("exclude", list(order.selection.exclude))
    for name, value in sorted(order.options.items()):
        words += _spelled(name, value)
    return [*words, "--", str(order.repo)]


def _spelled(name: str, value: object) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    if isinstance(value, list):
        return [f"--{name}={each}" for each in value]
    return [f"--{name}={value}"]


def environment_of(job: Job, environment: Mapping[str, str]) -> dict[str, str]:
    """What the pull sees: the settings that the job was asked with, and all else as the worker has it."""
    others = {name: value for name, value in environment.items() if name not in SETTINGS}
    return {**others, **job.order.settings}


def detached() -> dict[str, Any]:
    """How to start a process that stays when its parent and the terminal go."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


class Progress:
    """What a pull has told so far, in the JSON lines of `pull --json`."""

    def __init__(self) -> None:
        self.size = self.lacking = self.fetched = self.kept = 0  # bytes
        self.why = ""
        self.outcome = Outcome(0)
        self._samples: deque[tuple[float, int]] = deque()  # when, and the bytes fetched until then

    @property
    def here(self) -> int:
        """Bytes of the job that are here."""
        return max(0, min(self.size, self.size - self.lacking + self.kept + self.fetched))

    def hear(self, line: str, now: float) -> None:
        """Take one line into account; `now` on a clock that only goes forward."""
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:
            return  # words of somebody else, on our stream
        if "error" in told:
            self.outcome = Outcome(int(told["exit"]), str(told["error"]), str(told["message"]), str(told["hint"]))
        elif told.get("event") == "planned":
            self.size, self.lacking = told["size"], told["to_fetch"]
        elif told.get("event") == "progress":
            self.fetched, self.kept, self.why = told["fetched"], told["kept"], ""
            self._samples.append((now, self.fetched))
        elif told.get("event") == "resumed":
            self.kept += told["kept"]
        elif told.get("event") == "waiting" and told["seconds"]:
            self.why = f"{told['why']}; trying again in {told['seconds']:.0f} s"

    def rate(self, now: float) -> float:
        """Bytes a second, lately."""
        while len(self._samples) > 1 and self._samples[0][0] < now - RATE_S:
            self._samples.popleft()
        if not self._samples:
            return 0.0
        (then, before), (_, after) = self._samples[0], self._samples[-1]
        return (after - before) / max(now - then, 1.0)


class Pulling:
    """A pull under way; a context that leaves no process behind."""

    def __init__(self, job: Job, root: Path, log: IO[bytes] | int) -> None:
        folder = Path(job.order.folder)
        self.progress = Progress()
        self._child = subprocess.Popen(  # noqa: S603 - our own command; the words are options and a repo
            [*PROGRAM, *words_of(job, root)],
            env=environment_of(job, os.environ),
            cwd=folder if folder.is_absolute() and folder.is_dir() else root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            **detached(),  # what is typed into a terminal is meant for the worker
        )
        self._reader = threading.Thread(target=self._read, name="hfmirror-queue", daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._reader.join()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def _read(self) -> None:
        for line in self._child.stdout or ():
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):  # a line of another version
                self.progress.hear(line.decode("utf-8", "replace"), time.monotonic())

    def ended(self, within_s: float) -> bool:
        """Whether it is over, or is so within this time."""
        try:
            self._child.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        self._reader.join()
        return True

    def stop(self) -> None:
        """Let it end as by Ctrl-C: what came is kept. Kills it if it does not."""
        if self._child.poll() is not None:
            return
        if sys.platform == "win32":
            self._child.terminate()  # nothing gentler reaches a process without a console; kills lose little
        else:
            self._child.send_signal(signal.SIGINT)
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        code, told = self._child.returncode, self.progress.outcome
        return told if told.error and code == told.code else Outcome(code)
