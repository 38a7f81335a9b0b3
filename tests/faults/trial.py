"""One cell of the matrix, tried: a real pull from simulated Hubs behind sockets, and what it cost."""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from hfmirror.model import PART
from tests.behaviour.lab import Lab
from tests.faults.cells import PLACES, SIZE, Cell
from tests.faults.troubles import GONE_S
from tests.simulator import Armed, Faults, HubSimulator, Made, served

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

REPO = "acme/tiny"
FILE = "model.safetensors"
CONFIG = b'{"model_type":"bert"}'
WHOLE = SIZE + len(CONFIG)  # bytes of all files
CONNECTIONS = 2
STALL_S = 1.0  # seconds without a byte; the curl engine counts whole ones
LONGEST_S = 60.0  # a pull that takes longer hangs
# Bytes a second and connection: so slow that a line that breaks has few bytes in its buffers, which are lost with it.
STEADY = Faults(slow_rate=16 * PART, where="cdn")
KILLED_AT = SIZE // 2  # bytes sent when the pull is killed
HELD_FROM = 5 * SIZE // 8  # offset from which no byte goes before that, so that no pull is over too soon


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a cell."""

    cell: Cell
    over: int  # bytes that were sent beyond the size of what was wanted
    allowed: int  # bytes
    strikes: int  # how often the fault struck
    wrong: tuple[str, ...]  # what is not as it must be; nothing in a good one

    @property
    def right(self) -> bool:
        """Whether the cell holds."""
        return not self.wrong


@dataclass(slots=True)
class Victim:
    """Which of several sources a trouble came upon: the first that brought the byte. It stays with it."""

    source: int | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Meant(Armed):
    """A fault for one source only, whichever that turns out to be."""

    def __init__(self, faults: Faults, victim: Victim, source: int) -> None:
        super().__init__(faults)
        self._victim, self._source = victim, source

    def claim(self) -> bool:
        with self._victim.lock:
            if self._elsewhere or not super().claim():
                return False
            self._victim.source = self._source
            return True

    def until(self, point: int, sent: int) -> int | None:
        return None if self._elsewhere else super().until(point, sent)

    @property
    def _elsewhere(self) -> bool:
        return self._victim.source not in {None, self._source}


def tried(cell: Cell, folder: Path) -> Outcome:
    """Try it, in an empty folder of its own."""
    trial = Trial(cell, folder)
    with trial.standing():
        with suppress(AssertionError):
            trial.pull()
        return trial.outcome()


class Trial:
    """The sources with their troubles, and the pull."""

    def __init__(self, cell: Cell, folder: Path) -> None:
        self.cell = cell
        self.hubs = [HubSimulator() for _ in range(cell.sources)]
        self._folder, self._victim, self._wrong = folder, Victim(), list[str]()
        self._armed: list[list[Meant]] = []  # of each fault, one for each source
        self._open: ExitStack
        self._lab: Lab
        self._words: list[str]
        self._acted = False
        self._fetched_in_vain = 0  # bytes of a commit that is no longer the branch's

    @contextmanager
    def standing(self) -> Iterator[None]:
        """The sources listen, and the troubles wait."""
        with ExitStack() as stack:
            self._open = stack
            for hub in self.hubs:
                hub.add(REPO, {FILE: Made(SIZE, seed=2), "config.json": CONFIG})
                stack.enter_context(hub.failing(STEADY))
            sites = [stack.enter_context(served(hub)) for hub in self.hubs]
            self._words = ["pull", REPO, "--connections", str(CONNECTIONS), "--patience", "30"]
            self._words += [word for site in sites[1:] for word in ("--from", site.endpoint)]
            settings = {"HFMIRROR_ENGINE": self.cell.engine, "HF_HUB_DOWNLOAD_TIMEOUT": str(STALL_S)}
            self._lab = Lab(self.hubs[0], sites[0].endpoint, self._folder, settings)
            self._arm()
            yield

    def _arm(self) -> None:
        place = PLACES[self.cell.place]
        for faults in self.cell.trouble.met(self.cell.sources):
            lasting = self.cell.sources > 1 and not self.cell.trouble.then
            here = replace(faults, at=place, times=None if lasting else 1)
            here = here if faults.garbage_at is None else replace(here, garbage_at=place)
            group = [Meant(here, self._victim, number) for number in range(len(self.hubs))]
            self._armed.append(group)
            for hub, armed in zip(self.hubs, group, strict=True):
                hub.weather.add(armed)
                self._open.callback(hub.weather.remove, armed)

    # -- the pull -------------------------------------------------------------------------------

    def pull(self) -> None:
        """From the start to a good end, with the kill in the middle if there is to be one."""
        if self.cell.killed:
            with ExitStack() as holding:
                for hub in self.hubs:
                    holding.enter_context(hub.failing(hold_from=HELD_FROM, where="cdn"))
                process = self._lab.start(*self._words)
                self._attend(process, until=KILLED_AT)
                process.send_signal(signal.SIGKILL)
                process.communicate()
            self._expect(process.returncode == -signal.SIGKILL, "it was over before it could be killed")
            self._fetched_in_vain = self._sent() if self._acted and self.cell.trouble.then == "moved" else 0
        process = self._lab.start(*self._words)
        self._attend(process)
        try:
            self._lab.finish(process, longest_s=LONGEST_S)
        except AssertionError as problem:
            self._wrong.append(str(problem))

    def _attend(self, process: subprocess.Popen[str], until: int | None = None) -> None:
        """Do what is to be done when the trouble strikes, until so many bytes were sent or the pull is over."""
        deadline = time.monotonic() + LONGEST_S
        while process.poll() is None and (until is None or self._sent() < until) and time.monotonic() < deadline:
            if not self._acted and self.cell.trouble.then and self._victim.source is not None:
                self._acted = True
                {"gone": self._leave, "moved": self._move}[self.cell.trouble.then]()
            time.sleep(0.005)

    def _leave(self) -> None:
        """The source that was struck is no longer there: for good where there is another."""
        away = self._open.enter_context(ExitStack())
        away.enter_context(self.hubs[self._victim.source or 0].failing(refuse=True, where="cdn"))
        if self.cell.sources == 1:
            timer = threading.Timer(GONE_S, away.close)
            timer.start()
            self._open.callback(timer.join)

    def _move(self) -> None:
        """Now the branch leads to another content of the same name."""
        for hub in self.hubs:
            hub.add(REPO, {FILE: Made(SIZE, seed=77), "config.json": CONFIG})
        for hub, armed in zip(self.hubs, self._armed[0], strict=True):
            hub.weather.remove(armed)

    def _sent(self) -> int:
        return sum(hub.bytes_served for hub in self.hubs)

    # -- what came of it ------------------------------------------------------------------------

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self._wrong.append(otherwise)

    def outcome(self) -> Outcome:
        """Everything that must hold, held against what is there."""
        for hub in self.hubs:
            hub.settle()
        strikes = sum(armed.strikes for group in self._armed for armed in group)
        for group in self._armed:
            self._expect(any(armed.strikes for armed in group), "the fault never struck, so nothing was tried")
        over = self._sent() - WHOLE
        allowed = self._allowed(strikes)
        self._expect(over <= allowed, f"{over} bytes over the size, and {allowed} are allowed")
        self._look()
        return Outcome(self.cell, over, allowed, strikes, tuple(self._wrong))

    def _allowed(self, strikes: int) -> int:
        """Bytes over the size that the troubles may cost.

        A fault costs at most the part it broke. A kill costs each connection the part it was at: parts are
        journalled when their last byte is in. Where bytes lied, nothing tells which of them did: all of them come
        again; from two sources, of which one after the other is asked, also the parts in which both had a hand. Who
        had brought what before a kill nobody knows afterwards: that may be fetched from the liar once more, and
        then the whole file from either. A commit that is no longer the branch's by the time the pull is started
        again is not what is wanted any more.
        """
        two = self.cell.sources > 1
        times = 3 if two and self.cell.killed else 1
        again = (times * SIZE + two * CONNECTIONS * self.cell.sources * PART) if self.cell.trouble.lies else 0
        kill = self.cell.killed * CONNECTIONS * PART
        return WHOLE * 2 // 100 + strikes * PART + kill + again + self._fetched_in_vain

    def _look(self) -> None:
        """The store holds what was wanted, proven by hashlib alone, and nothing else."""
        moved_before = self._fetched_in_vain > 0
        seeds = (77,) if moved_before else (2,)
        snapshots = self._lab.cache / "models--acme--tiny" / "snapshots"
        found = [hashlib.sha256(path.read_bytes()).hexdigest() for path in snapshots.glob(f"*/{FILE}")]
        self._expect(sorted(found) == sorted(map(_sha256, seeds)), "the file is not what the Hub has")
        with suppress(FileNotFoundError):
            left = [path.name for path in (self._lab.root / "incoming").iterdir()]
            self._expect(left == [] or moved_before, f"left in incoming: {left}")
        try:
            self._lab.assert_objects_sound()
        except AssertionError as problem:
            self._wrong.append(f"an object is not what its name says: {problem}")


@cache
def _sha256(seed: int) -> str:
    return hashlib.sha256(Made(SIZE, seed=seed).data()).hexdigest()
