"""What the protocol room and the wire say to each other: a request comes in, a reply goes out. Values only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it came over the wire."""

    method: str  # upper case
    target: str  # path and query as sent, never decoded
    headers: Mapping[str, str] = field(default_factory=dict)  # lower-case names; repeated ones joined with ", "
    body: bytes = b""
    client: str = ""  # the caller's address, without the port
    scheme: str = "http"


class Content(Protocol):
    """The bytes of a file, all here or still on their way."""

    def open(self) -> int:
        """A new read-only descriptor, which the caller closes. Raises OSError."""
        ...

    def ready(self, start: int, stop: int) -> int:
        """The offset up to which the bytes from `start` on may be sent now: `start` for none, `stop` for all."""
        ...

    async def more(self, start: int, stop: int) -> None:
        """Return once `ready(start, stop)` exceeds `start`. Raises MirrorError when it never will."""
        ...


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes [start, stop) of a content, as a part of a body."""

    content: Content
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. The wire adds Date, Connection and Content-Length."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    pieces: tuple[bytes | Slice, ...] = ()  # the body, in order
    length: int | None = None  # of the body in bytes, where the pieces are left out (HEAD); None: their sum
    note: str = ""  # a word for the log: where the answer came from

    @property
    def size(self) -> int:
        """Bytes of the body."""
        if self.length is not None:
            return self.length
        return sum(len(piece) if isinstance(piece, bytes) else piece.stop - piece.start for piece in self.pieces)


# A plain reply is sent at once; an awaitable one is worked on while other requests are answered.
Handler = Callable[[Request], Reply | Awaitable[Reply]]
