"""A desk, driven by hand: a supplier that is a test, a clock that is a number."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest

from hfmirror.model import Span
from hfmirror.transfer.desk import Desk
from hfmirror.transfer.lanes import open_lane
from hfmirror.transfer.manner import Manner
from hfmirror.transfer.orders import FileOrder, WholeOrder
from tests.contracts.scene import manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hfmirror.errors import MirrorError
    from hfmirror.model import Entry, Manifest
    from hfmirror.ports import Store
    from hfmirror.transfer.events import Event
    from hfmirror.transfer.lanes import Lane

AnyOrder = FileOrder | WholeOrder
E = TypeVar("E")
SOON_S = 20.0  # real seconds after which an order that does not come is taken for missing


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Table:
    """One desk, its lanes, and what it said."""

    def __init__(self, desk: Desk, lanes: list[Lane], clock: Clock, events: list[Event]) -> None:
        self.desk, self.lanes, self.clock, self.events = desk, lanes, clock, events
        self.lane = lanes[0]

    def order(self, lane: int = 0) -> AnyOrder:
        """The next order of a lane, which must be due now."""
        order = self.lanes[lane].next(0.0)
        if order is None and not self.desk.closed:  # a seal may be under way in its own thread
            self.settle()
            order = self.lanes[lane].next(0.0)
        assert isinstance(order, AnyOrder), "no order is due"
        return order

    def none_due(self, lane: int = 0) -> bool:
        """Whether there is nothing to fetch from that source just now."""
        return self.lanes[lane].next(0.0) is None

    def settle(self) -> None:
        """Wait until no seal is under way."""
        with self.desk.lock:
            assert self.desk.lock.wait_for(lambda: self.desk._busy == 0, SOON_S), "a seal hangs"

    def said(self, kind: type[E]) -> list[E]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


class Named:
    """A supplier of which only the name is asked."""

    def __init__(self, name: str) -> None:
        self.name = name

    @contextmanager
    def open(self, manifest: Manifest, entry: Entry, span: Span) -> Iterator[list[bytes]]:
        raise NotImplementedError
        yield


class Place(Named):
    """The same, of this machine."""

    def __init__(self, name: str, *paths: str) -> None:
        super().__init__(name)
        self.paths = paths

    def holds(self, manifest: Manifest, entry: Entry) -> bool:
        return entry.path in self.paths


ALONE = (Named("the test"),)


@contextmanager
def table(
    store: Store, entries: Sequence[Entry], suppliers: Sequence[Named] = ALONE, **manner: float
) -> Iterator[Table]:
    """A desk for these entries, whose clock stands still; closed at the end."""
    clock = Clock()
    events: list[Event] = []
    with store.batch() as batch:
        desk = Desk(manifest(entries), entries, store, batch, Manner(**manner), events.append)  # type: ignore[arg-type]
        desk.clock, desk.heard = clock, clock()
        lanes = [open_lane(desk, supplier, entries) for supplier in suppliers]
        try:
            yield Table(desk, lanes, clock, events)
        finally:
            desk.close()


def fill(order: AnyOrder, data: bytes, stop: int | None = None) -> AnyOrder:
    """Bring an order the bytes it asks for, up to `stop`, as a server with ranges would."""
    span = order.span if stop is None else Span(order.span.start, stop)
    for at in range(span.start, span.stop, 100_000):
        if not order.take(data[at : min(at + 100_000, span.stop)]):
            break
    return order


def end(order: AnyOrder, error: MirrorError | None = None) -> None:
    """Say how it went."""
    if error is None:
        order.done()
    else:
        order.fail(error)


def serve(at: Table, files: dict[str, bytes]) -> None:
    """Fill everything that is due, honestly."""
    for _ in range(10_000):
        order = at.lane.next(0.0)
        if order is None:
            at.settle()
            order = at.lane.next(0.0)
        if order is None:
            return
        assert isinstance(order, AnyOrder)
        end(fill(order, files[order.entry.path]))
    pytest.fail("orders without an end")
