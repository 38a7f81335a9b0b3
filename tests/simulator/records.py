"""What was asked and how much was sent: so that *2 + N requests* is a test and not a promise."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

FILE_KINDS = frozenset({"resolve", "resolve-cache", "raw", "cdn"})


@dataclass(slots=True)
class Record:
    """One request. `sent` grows while the answer flows."""

    origin: str  # "hub" or "cdn"
    kind: str  # "resolve", "resolve-cache", "raw", "cdn", "info", "revision", "tree", "paths-info", ...
    method: str
    path: str  # the target as it came, query included
    file: str = ""  # the path inside the repo, when a file was asked for
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    status: int = 0  # 0: no answer was given
    sent: int = 0  # bytes of the answer's body that were handed to the network
    repo: str = ""  # `owner/name`, `datasets/owner/name`: as it was spelled in the request

    @property
    def range(self) -> str | None:
        """The Range header."""
        return self.headers.get("range")

    @property
    def has_authorization(self) -> bool:
        """Whether a token came along."""
        return "authorization" in self.headers

    @property
    def token(self) -> str:
        """The token that came along, or nothing."""
        return self.headers.get("authorization", "").partition(" ")[2].strip()

    @property
    def user_agent(self) -> str:
        """Who asked."""
        return self.headers.get("user-agent", "")


class Ledger:
    """All requests since the last reset. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._records: list[Record] = []
        self._open = 0

    def begin(self, record: Record) -> None:
        """A request has come."""
        with self._lock:
            self._records.append(record)
            self._open += 1

    def end(self) -> None:
        """Its answer has gone, or broke off."""
        with self._idle:
            self._open -= 1
            self._idle.notify_all()

    def settle(self, timeout_s: float) -> bool:
        """Wait until no answer is under way; False when one still is after `timeout_s`."""
        until = time.monotonic() + timeout_s
        with self._idle:
            return self._idle.wait_for(lambda: self._open == 0, max(0.0, until - time.monotonic()))

    @property
    def records(self) -> list[Record]:
        """A copy, in the order of arrival."""
        with self._lock:
            return list(self._records)

    def reset(self) -> None:
        """Forget what was counted."""
        with self._lock:
            self._records = []

    def select(
        self,
        *,
        kind: str | None = None,
        origin: str | None = None,
        method: str | None = None,
        status: int | None = None,
        file: str | None = None,
        repo: str | None = None,
        token: str | None = None,
    ) -> list[Record]:
        """The records that fit everything given; `file` is a pattern; `token` may be empty: those without one."""
        return [
            r
            for r in self.records
            if (kind is None or r.kind == kind)
            and (origin is None or r.origin == origin)
            and (method is None or r.method == method)
            and (status is None or r.status == status)
            and (file is None or fnmatchcase(r.file, file))
            and (repo is None or r.repo == repo)
            and (token is None or r.token == token)
        ]

    @property
    def bytes_served(self) -> int:
        """Bytes of files' content that were sent."""
        return sum(r.sent for r in self.records if r.kind in FILE_KINDS and r.status in {200, 206})
