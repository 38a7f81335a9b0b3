"""Wiring for the queue: the jobs of a store, the worker that does them, and how it is started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror.errors import MirrorError, UsageError
from hfmirror.moments import utc
from hfmirror.queue.child import PROGRAM, Pulling, detached
from hfmirror.queue.decide import any_waits
from hfmirror.queue.job import LEAST, MOST, SETTINGS, Order
from hfmirror.queue.shelf import Shelf
from hfmirror.queue.worker import Worker
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hfmirror.model import RepoId, Selection
    from hfmirror.queue.job import Job, Value
    from hfmirror.store.disk import DiskStore

LOG_MOST = 2**20  # bytes; then the log becomes `log.old`, and the older one goes
_SECRET = re.compile(r"://[^/\s@]*@|\bhf_[A-Za-z0-9]{16,}")  # a password in an address, or a token of the Hub


class Queue:
    """The pulls of one store that wait for their turn. Making one touches nothing."""

    def __init__(self, store: DiskStore) -> None:
        self._store = store
        self._folder = store.layout.queue
        self.shelf = Shelf(self._folder, store.drafts)

    def add(
        self, repo: RepoId, revision: str, selection: Selection, options: Mapping[str, Value], priority: int = 0
    ) -> Job:
        """Let a pull wait for its turn. Raises UsageError, StoreError."""
        if not LEAST <= priority <= MOST:
            raise UsageError(f"{priority} is no priority", f"choose one from {LEAST} to {MOST}: the highest goes first")
        settings = {name: os.environ[name] for name in SETTINGS if os.environ.get(name)}
        for name, value in {**options, **settings}.items():
            if _SECRET.search(str(value)):
                advice = "log in with `hf auth login`, or put the password into ~/.netrc"
                spelled = name if name in settings else f"--{name}"
                raise UsageError(f"{spelled} holds a password, which would be written into a file", advice)
        self._store.prepare()
        return self.shelf.add(Order(repo, revision, selection, options, settings, str(Path.cwd())), priority)

    def wake(self) -> None:
        """See to it that a worker is at work if anything waits: one of its own, that outlives this process."""
        if not any_waits(self.shelf.readable()):
            return
        with files.translated(self._store.root):
            child = subprocess.Popen(  # noqa: S603 - our own command
                [*PROGRAM, "resume", "--waiting", "--stay", "--quiet", f"--root={self._store.root}"],
                cwd=self._store.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **detached(),
            )
        threading.Thread(target=child.wait, name="hfmirror-queue", daemon=True).start()  # if we live longer than it

    def work(self, tell: Callable[[str], None]) -> bool:
        """Do what waits, here, until nothing is left or a signal ends it; False when another worker is at it."""
        if not self.shelf.numbers():
            return True
        self._store.prepare()
        log = Log(self._folder / "log", tell)
        worker = Worker(self.shelf, self._store.layout.locks / "queue.lock", lambda job: self._pulling(job, log), log)
        with _ended_by_signals(worker.end):
            try:
                return worker.run()
            except MirrorError as error:
                with suppress(MirrorError):  # a full disk takes no word about it, either
                    log(f"the worker gives up: {error}")
                raise

    @contextmanager
    def _pulling(self, job: Job, log: Log) -> Iterator[Pulling]:
        with files.translated(log.path), log.path.open("ab") as out, Pulling(job, self._store.root, out) as pulling:
            yield pulling


class Log:
    """What the worker did: a line each, in a file that stays small, and for whoever listens."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self.path, self._tell = path, tell

    def __call__(self, sentence: str) -> None:
        """Write it down."""
        self._tell(sentence)
        if not self.path.parent.is_dir():
            return  # the store has gone elsewhere
        with files.translated(self.path), self.path.open("a", encoding="utf-8", errors="backslashreplace") as out:
            out.write(f"{utc(time.time())} {sentence}\n")
        if self.path.stat().st_size > LOG_MOST:
            files.replace(self.path, self.path.with_name("log.old"))


@contextmanager
def _ended_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end the work in good order.

    That Ctrl-C has a meaning here is more than politeness: a process that was started with it switched
    off, as scripts start those in the background, would hand that down, and no pull could be stopped.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: end()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
