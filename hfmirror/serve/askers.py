"""Threads for slow questions. They are daemons: one that hangs on a silent upstream does not hold up the end."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_Work = tuple["Future[Any]", "Callable[[], Any]"]


class Askers(Executor):
    """An executor whose threads are made when they are needed, up to `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have it done; the future tells how it went."""
        future: Future[T] = Future()
        self._queue.put((future, lambda: fn(*args, **kwargs)))
        with self._lock:
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
                thread = threading.Thread(target=self._work, name="hfmirror-ask", daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            future, ask = work
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(ask())
                except BaseException as error:  # noqa: BLE001 - whoever waits for the future hears of it
                    future.set_exception(error)
            self._idle.release()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - its face
        """Let the threads end when they have nothing to do. Nobody waits for one that hangs."""
        for _ in self._threads:
            self._queue.put(None)
