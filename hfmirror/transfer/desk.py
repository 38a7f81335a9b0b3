"""What one pull still wants, and what became of it. The lanes take from here, and bring here.

What is still to come is kept as a difference (wanted minus arrived), never as a tally. Disk work
(opening, proving and sealing) is done outside the lock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING

from hfmirror.errors import DigestMismatch, MirrorError, StoreLocked, Unexpected, first_by_table
from hfmirror.transfer.choice import Choice
from hfmirror.transfer.events import Elsewhere, Proven, Resumed, Sealed
from hfmirror.transfer.inquiry import rest_of
from hfmirror.transfer.manner import WHOLE
from hfmirror.transfer.orders import GRAIN, Download, FileOrder, Rest
from hfmirror.transfer.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hfmirror.model import Entry, Manifest
    from hfmirror.ports import Batch, Receiver
    from hfmirror.transfer.events import Event, Watcher
    from hfmirror.transfer.manner import Manner
    from hfmirror.transfer.orders import AnyOrder, WholeOrder
    from hfmirror.transfer.reports import Reports

ELSEWHERE_S = 1.0  # how often to look whether another process has finished a file


class Desk:
    """What one pull wants. What has no underscore is for its lanes, under `lock` but for the clock and the watcher."""

    def __init__(
        self,
        manifest: Manifest,
        entries: Sequence[Entry],
        store: Receiver,
        batch: Batch,
        manner: Manner,
        watch: Watcher,
    ) -> None:
        self.manifest, self.manner, self.watch = manifest, manner, watch
        self._store, self._batch = store, batch
        self.large = deque(entry for entry in entries if entry.size > WHOLE)
        self.small = deque(Rest(entry) for entry in entries if entry.size <= WHOLE)
        self.gathering: set[WholeOrder] = set()  # small files on their way
        self.downloads: list[Download] = []  # large ones
        self.lanes: list[Reports] = []  # the authority's first
        self.choice = Choice()
        self.clock: Callable[[], float] = time.monotonic
        self.heard = self.clock()  # when something good happened last
        self.news = 0  # counts what may give a lane something to do
        self.over = False
        self.failures: list[MirrorError] = []
        self.lock = threading.Condition(threading.RLock())
        self._verdict = Verdict(self)
        self._elsewhere: deque[tuple[float, Entry]] = deque()
        self._busy = 0  # opening, sealing: work outside the lock that will change the above
        self._urgent: dict[Entry, int] = {}  # where somebody waits for the bytes

    # -- what is left -------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether nothing more will be ordered."""
        return self.over or not (
            self.large or self.small or self._elsewhere or self.downloads or self.gathering or self._busy
        )

    @property
    def due(self) -> list[float]:
        """When something may be ordered that may not be now."""
        return [when for when, _ in self._elsewhere]

    @property
    def large_left(self) -> bool:
        """Whether some of a large file is still to be ordered."""
        return bool(self.large) or any(download.unassigned for download in self.downloads)

    @property
    def unassigned(self) -> int:
        """Bytes of the large files under way that nobody has been asked for."""
        return sum(span.size for download in self.downloads for span in download.unassigned)

    def progress(self) -> tuple[int, int]:
        """Bytes that are here and bytes wanted, of the files that are on their way."""
        wanted = sum(download.entry.size for download in self.downloads)
        return wanted - sum(download.missing for download in self.downloads), wanted

    def is_for_one(self, entry: Entry) -> bool:
        """Whether one source alone is to bring a file, so that it can be told who is wrong."""
        return self._verdict.is_for_one(entry)

    def encourage(self, now: float | None = None) -> None:
        """Something good happened."""
        self.heard = self.clock() if now is None else now

    def stir(self) -> None:
        """Something may be due that was not. Called under the lock."""
        self.news += 1
        self.lock.notify_all()

    def hurry(self, entry: Entry, start: int) -> None:
        """Somebody waits for the bytes from `start` on: order them before all others."""
        with self.lock:
            self._urgent[entry] = start
            for download in self.downloads:
                if download.entry.digest == entry.digest and any(lane.ranged is not False for lane in self.lanes):
                    download.urgent = download.urgent or download.hurried(start // GRAIN * GRAIN)
            self.stir()

    # -- opening: outside the lock ------------------------------------------------------------

    def open_next(self, now: float, may: Callable[[Entry], bool]) -> bool:
        """Open one more large file that the caller may bring, if one waits; whether the picture changed."""
        if self._elsewhere and self._elsewhere[0][0] <= now:
            entry = self._elsewhere.popleft()[1]
        else:
            at = next((at for at, one in enumerate(self.large) if may(one)), None)
            if at is None:
                return False
            entry = self.large[at]
            del self.large[at]
        self._unlocked(lambda: self._open(entry))
        return True

    def _unlocked(self, work: Callable[[], None]) -> None:
        """Do slow work without holding the others up."""
        self._busy += 1
        self.lock.release()
        try:
            work()
        except Exception as fault:  # noqa: BLE001 - whoever waits for the pull must hear of it
            self.give_up(Unexpected(fault))
        finally:
            self.lock.acquire()
            self._busy -= 1
            self.stir()

    def _open(self, entry: Entry) -> None:
        if self._store.has(entry.digest):
            self.watch(Sealed(entry))  # by another process, or under another path, since the plan was made
            return
        try:
            with ExitStack() as stack:
                intake = stack.enter_context(self._store.receive(entry))
                download = Download(entry, intake, stack.pop_all(), deque(intake.missing()))
        except StoreLocked:
            self._wait_for_others(entry)
            return
        except MirrorError as error:
            self.give_up(error)
            return
        self.encourage()  # reading back what is here took its time
        download.brought[None] = rest_of(entry.size, download.unassigned)
        if entry in self._urgent:
            download.urgent = download.hurried(self._urgent[entry] // GRAIN * GRAIN)
        if download.missing < entry.size:
            self.watch(Resumed(entry, entry.size - download.missing))
        with self.lock:
            self.downloads.append(download)
            self.finish_if_complete(download)
            self.despair(entry)

    def _wait_for_others(self, entry: Entry) -> None:
        """Another process fetches this file: look again later whether it is here."""
        self.tell(Elsewhere(entry))
        self.encourage()
        with self.lock:
            self._elsewhere.append((self.clock() + ELSEWHERE_S, entry))

    def leave_to_others(self, order: AnyOrder) -> None:
        """Another process took a download over."""
        if not (isinstance(order, FileOrder) and order.download.dropped):
            self._drop(order.entry)
            self._wait_for_others(order.entry)

    # -- proving and sealing: outside the lock --------------------------------------------------

    def finish_if_complete(self, download: Download) -> None:
        """Close a download of which nothing more will come, or prove and seal it. The lock is held once."""
        if download.unassigned or download.active or download.sealing or self.over:
            return
        if download.dropped:
            self.downloads.remove(download)
            self._unlocked(download.closing.close)
            return
        download.sealing = True
        self._busy += 1
        threading.Thread(target=self._seal, args=(download,), name="hfmirror-seal", daemon=True).start()

    def _seal(self, download: Download) -> None:
        error: MirrorError | None = None
        try:
            if self._proven(download):
                with download.closing:
                    self.tell(Proven(download.entry))
                    download.intake.seal()
        except MirrorError as failure:
            error = failure
        except Exception as fault:  # noqa: BLE001 - `close` waits for this thread's word
            error = Unexpected(fault)
        with self.lock:
            if download.sealing:  # else some of it is to come once more
                self.downloads.remove(download)
                self._sealed(download.entry, error, download)
            self._busy -= 1
            self.stir()

    def _proven(self, download: Download) -> bool:
        """Whether the download is what its digest says; False when some of it is fetched again to find out why not.

        Raises DigestMismatch when it has been thrown away, and what else the intake raises.
        """
        try:
            download.intake.prove()
        except DigestMismatch as wrong:
            with self.lock:
                if self._verdict.asks_again(download, wrong):
                    return False
            with download.closing:
                download.intake.forget()
            raise
        except BaseException:
            download.closing.close()
            raise
        return True

    def gathered(self, order: WholeOrder) -> None:
        """All of a small file has come."""
        self._unlocked(lambda: self._add(order))

    def _add(self, order: WholeOrder) -> None:
        error: MirrorError | None = None
        try:
            self._batch.add(order.entry, order.data)
        except MirrorError as failure:
            error = failure
        with self.lock:
            self._sealed(order.entry, error, order)

    def _sealed(self, entry: Entry, error: MirrorError | None, what: Download | WholeOrder) -> None:
        """What follows from a proof: done, another try, or a failure."""
        if error is None:
            self.encourage()
            if isinstance(what, Download):
                self._verdict.acquitted(what)
            self.tell(Sealed(entry))
        elif isinstance(error, StoreLocked):
            self._wait_for_others(entry)
        elif not isinstance(error, DigestMismatch):
            self.give_up(error)
        elif self._verdict.condemned(entry, error, what):
            if isinstance(what, Download):
                self.large.appendleft(entry)
            else:
                self.small.append(Rest(entry))
        else:
            self.failures.append(error)

    def tell(self, event: Event) -> None:
        """Say something to the watcher; if that fails, the pull fails, but nothing is left hanging."""
        try:
            self.watch(event)
        except Exception as fault:  # noqa: BLE001 - as above
            self.give_up(Unexpected(fault))

    # -- giving up ------------------------------------------------------------------------------

    def despair(self, entry: Entry) -> None:
        """Do without a file, if there is no source left for it. Its failure is what the authority said, if it did."""
        if not self.over and not any(lane.serves(entry) for lane in self.lanes):
            said = next(filter(None, (lane.why_not(entry) for lane in self.lanes)), None)
            if self._drop(entry) and said is not None:
                self.failures.append(said)

    def _drop(self, entry: Entry) -> bool:
        """Order no more of this file; False when that was decided before."""
        known = entry in self.large or any(rest.entry == entry for rest in self.small)
        self.large = deque(one for one in self.large if one != entry)
        self.small = deque(rest for rest in self.small if rest.entry != entry)
        for download in list(self.downloads):
            if download.entry == entry and not download.dropped:
                known = download.dropped = True
                download.unassigned.clear()
                self.finish_if_complete(download)
        return known

    def dismissed(self) -> None:
        """One source fewer: see what nobody is left for."""
        left = [lane for lane in self.lanes if lane.over is None]
        if not left:
            said = next(filter(None, (lane.over for lane in self.lanes)), None)
            self.give_up(said or Unexpected(RuntimeError("no source was given")))
            return
        for entry in list(self._wanted()):
            self.despair(entry)

    def _wanted(self) -> Iterator[Entry]:
        yield from self.large
        yield from (rest.entry for rest in self.small)
        yield from (download.entry for download in self.downloads if not download.dropped)

    def give_up(self, error: MirrorError) -> None:
        """Stop everything."""
        with self.lock:
            self.failures.append(error)
            self.over = True
            self.stir()

    def close(self) -> None:
        """Stop ordering, wait for seals under way, and keep the parts of what is unfinished."""
        with self.lock:
            self.over = True
            self.stir()
            self.lock.wait_for(lambda: self._busy == 0)
            unfinished, self.downloads = self.downloads, []
        for download in unfinished:
            download.closing.close()

    def raise_failures(self) -> None:
        """Raise what went wrong, if anything did: the first kind in the table of exit codes."""
        if self.failures:
            worst = first_by_table(self.failures)
            raise worst.cause if isinstance(worst, Unexpected) else worst
