"""Faults as data: what goes wrong, where, and how often.

    with hub.failing(cut_after=70_000):                       # every longer answer breaks off there
    with hub.failing(Faults(status=503, where="cdn", times=2)):

A fault counts (for `times`) only where it bites: a cut in answers that are long enough, a wrong
range in answers to a range.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tests.simulator.records import FILE_KINDS


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Any of these may be combined; what is not set does not happen."""

    where: str = "*"  # a scope, a pattern for paths of files, or "scope:pattern"; see Occasion.within
    repo: str | None = None  # only in answers about this one, as in Record
    method: str | None = None  # only in answers to this one
    times: int | None = None  # strikes until it is over; None: no end
    every: int | None = None  # strikes once per so many bytes of bodies, counted over all connections
    at: int | None = None  # offset in a file: only in answers that bring this byte; a body's mishaps count from it

    # Before the answer
    latency_s: float = 0.0  # or until the fault is over
    refuse: bool = False  # nobody listens; connections that are open are closed
    close_without_answer: bool = False
    status: int | None = None
    error_code: str | None = None  # X-Error-Code beside that status
    retry_after_s: float | None = None  # Retry-After beside that status
    rate_limit_s: float | None = None  # RateLimit: "<bucket>";r=0;t=... beside that status
    redirect_to: str | None = None  # 302 to that address; {target} in it stands for the path and query
    html_200: bool = False  # the login page of a hotel's network
    json_error_200: bool = False  # the API's error object with status 200
    expire_s: float | None = None  # signed addresses live that long
    expire_after_uses: int | None = None  # ... and for so many requests
    unranged_hub: bool = False  # the ways of olah, a small Hub mirror: see olah.py

    # In the answer's headers
    ignore_range: bool = False  # 200 and the whole file
    no_length: bool = False  # chunked
    wrong_range: str = ""  # "header": Content-Range is off by one; "bytes": the bytes are; "both"
    short_length: int = 0  # the body, and its Content-Length, lack so many bytes
    gzip_anyway: bool = False
    etag_changes: bool = False  # another one in each answer

    # While the body flows
    cut_after: int | None = None  # bytes of a body, then FIN
    reset_after: int | None = None  # bytes of a body, then RST
    stall_after: int | None = None  # bytes of a body, then nothing for stall_s
    stall_s: float = 0.0
    slow_rate: float | None = None  # bytes per second and connection
    hold_from: int | None = None  # offset in the file: from there on nothing goes until the fault is over
    hold_to: int | None = None  # offset behind which bytes go again; None: the file's end
    garbage_at: int | None = None  # offset in the file of a byte that gets one wrong bit
    garbage_bits: tuple[int, ...] = ()  # wrong bits, counted from the file's first

    @property
    def flips(self) -> dict[int, int]:
        """Wrong bits as masks by offset."""
        masks: dict[int, int] = {} if self.garbage_at is None else {self.garbage_at: 1}
        for bit in self.garbage_bits:
            masks[bit // 8] = masks.get(bit // 8, 0) ^ (1 << bit % 8)
        return masks


@dataclass(frozen=True, slots=True)
class Occasion:
    """One answer about to be given."""

    origin: str  # "hub" or "cdn"
    kind: str  # as in Record
    method: str
    file: str = ""
    repo: str = ""
    span: tuple[int, int | None] = (0, None)  # what of the file was asked for: the first byte, and behind the last

    def brings(self, offset: int) -> bool:
        """Whether this byte of a file is asked for."""
        start, stop = self.span
        return self.kind in FILE_KINDS and start <= offset and (stop is None or offset < stop)

    def within(self, where: str) -> bool:
        """Scopes: `*`, `hub`, `cdn`, `files` (any hop of a file), `api` (the JSON), or a kind of request."""
        scope, colon, pattern = where.partition(":")
        if colon:
            return self.within(scope) and fnmatchcase(self.file, pattern)
        if where in {"*", self.origin, self.kind}:
            return True
        if where == "files":
            return self.kind in FILE_KINDS
        if where == "api":
            return self.kind not in FILE_KINDS
        return bool(self.file) and fnmatchcase(self.file, where)


@dataclass
class Armed:
    """Faults in force. `strikes` says how often they bit."""

    faults: Faults
    strikes: int = 0
    lifted: threading.Event = field(default_factory=threading.Event)  # set when the fault is over
    _passed: int = 0  # bytes since the last strike, for `every`
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def claim(self) -> bool:
        """Strike, if there is a strike left."""
        with self._lock:
            if self._spent() or (self.faults.every is not None and self._passed < self.faults.every):
                return False
            self.strikes += 1
            self._passed = 0
            return True

    def _spent(self) -> bool:
        return self.faults.times is not None and self.strikes >= self.faults.times

    def until(self, point: int, sent: int) -> int | None:
        """Bytes until the strike that is due `point` bytes into a body of which `sent` have gone."""
        with self._lock:
            if self._spent():
                return None
            return _left(self.faults, point, sent, self._passed)

    def passed(self, count: int) -> None:
        """So many bytes have gone."""
        if self.faults.every is not None:
            with self._lock:
                self._passed += count


class Case:
    """Armed faults in one answer: all that happens to it counts as one strike."""

    def __init__(self, armed: Armed) -> None:
        self.armed, self.faults = armed, armed.faults
        self._struck = False

    def bites(self) -> bool:
        """Whether they strike here; asked only where they would show."""
        self._struck = self._struck or self.armed.claim()
        return self._struck

    def strikes_now(self) -> bool:
        """The same at a place in the body, where `every` may strike again and again."""
        return self.bites() if self.faults.every is None else self.armed.claim()

    def until(self, point: int, sent: int) -> int | None:
        """Bytes until what is due `point` bytes into the body; None: it will not happen."""
        if self._struck and self.faults.every is None:
            return _left(self.faults, point, sent, 0)
        return self.armed.until(point, sent)

    def held(self, offset: int) -> int | None:
        """Bytes from this offset of a file to those that are held back; None: none of them will be."""
        start, stop = self.faults.hold_from, self.faults.hold_to
        if start is None or self.armed.lifted.is_set() or (stop is not None and offset >= stop):
            return None
        return max(0, start - offset)


def _left(faults: Faults, point: int, sent: int, passed: int) -> int | None:
    if faults.every is not None:
        return max(0, faults.every + point - passed)
    return point - sent if sent <= point else None


class Weather:
    """All faults in force, oldest first. Thread-safe."""

    def __init__(self) -> None:
        self._armed: tuple[Armed, ...] = ()
        self._lock = threading.Lock()

    def add(self, armed: Armed) -> None:
        """From now on."""
        with self._lock:
            self._armed = (*self._armed, armed)

    def remove(self, armed: Armed) -> None:
        """No longer."""
        with self._lock:
            self._armed = tuple(a for a in self._armed if a is not armed)
        armed.lifted.set()

    def cases(self, occasion: Occasion) -> list[Case]:
        """What may happen to this answer."""
        return [
            Case(armed)
            for armed in self._armed
            if occasion.within(armed.faults.where)
            and armed.faults.method in {None, occasion.method}
            and armed.faults.repo in {None, occasion.repo}
            and (armed.faults.at is None or occasion.brings(armed.faults.at))
        ]

    def refuses(self, origin: str) -> bool:
        """Whether nobody is to listen there."""
        return any(a.faults.refuse and a.faults.where in {"*", origin} for a in self._armed)
