"""What every `Engine` does. Inherit, and say in `engine` how to make one for an endpoint."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from hfmirror import errors
from hfmirror.model import PART, Manifest, Span
from tests.contracts.scene import CONFIG, TINY, WEIGHTS, publish
from tests.simulator import Faults, HubSimulator, Served, served

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hfmirror.model import Entry
    from hfmirror.ports import Engine

STALL_S = 0.3  # what engines under test take for a stall
DATA = WEIGHTS.data()
MIDDLE = Span(PART, 2 * PART)
TOKEN = "hf_secret"


@dataclass(eq=False)
class Wanted:
    """An order that remembers what came of it."""

    manifest: Manifest
    entry: Entry
    span: Span
    data: bytearray = field(default_factory=bytearray)
    ends: list[errors.MirrorError | None] = field(default_factory=list)  # one, when all is well
    book: Book | None = None
    stops: bool = True  # says when it has enough

    def take(self, data: bytes | memoryview) -> bool:
        assert not self.ends, "bytes after the end"
        self.data += data
        return len(self.data) < self.span.size or not self.stops

    def done(self) -> None:
        self._end(None)

    def fail(self, error: errors.MirrorError) -> None:
        self._end(error)

    def _end(self, error: errors.MirrorError | None) -> None:
        self.ends.append(error)
        assert self.book is not None
        self.book.returned()

    @property
    def right(self) -> bool:
        """Whether what came, so far as it came, is what was wanted."""
        whole = CONFIG if self.entry.path.endswith(".json") else DATA
        return bytes(self.data) == whole[self.span.start :][: len(self.data)]


class Book:
    """Gives each order once. Closed when all have come back."""

    def __init__(self, orders: Iterable[Wanted], connections: int = 4) -> None:
        self._waiting = deque(orders)
        self._left = len(self._waiting)
        self._out = 0
        self._stirred = threading.Condition()
        self.connections = connections
        self.most_out = 0
        for order in self._waiting:
            order.book = self

    def next(self, wait_s: float) -> Wanted | None:
        with self._stirred:
            if not self._waiting and self._left:
                self._stirred.wait(min(wait_s, 0.05))
            if not self._waiting:
                return None
            self._out += 1
            self.most_out = max(self.most_out, self._out)
            return self._waiting.popleft()

    def returned(self) -> None:
        with self._stirred:
            self._out -= 1
            self._left -= 1
            self._stirred.notify_all()

    @property
    def closed(self) -> bool:
        return self._left <= 0


CASES = [
    # what goes wrong, what the order hears; where nothing is said the bytes are right
    pytest.param(Faults(where="cdn", reset_after=70_000), errors.Unreachable, id="reset"),
    pytest.param(Faults(where="cdn", cut_after=70_000), errors.Unreachable, id="cut"),
    pytest.param(Faults(where="cdn", stall_after=70_000, stall_s=60), errors.TimedOut, id="stall"),
    pytest.param(Faults(where="cdn", stall_after=0, stall_s=60), errors.TimedOut, id="stall before the first byte"),
    pytest.param(Faults(where="files", latency_s=60), errors.TimedOut, id="no answer"),
    pytest.param(Faults(where="files", close_without_answer=True), errors.Unreachable, id="closed without an answer"),
    pytest.param(Faults(where="cdn", status=503), errors.Unavailable, id="503 of the CDN"),
    pytest.param(Faults(where="resolve", status=503), errors.Unavailable, id="503 of the hub"),
    pytest.param(Faults(where="resolve", status=500), errors.Unavailable, id="500"),
    pytest.param(Faults(where="resolve", status=429), errors.RateLimited, id="429"),
    pytest.param(Faults(where="cdn", ignore_range=True), errors.RangesIgnored, id="200 instead of 206"),
    pytest.param(Faults(where="cdn", wrong_range="header"), errors.Unavailable, id="wrong Content-Range"),
    pytest.param(Faults(where="cdn", wrong_range="both"), errors.Unavailable, id="wrong range"),
    pytest.param(Faults(where="cdn", gzip_anyway=True), errors.RangesIgnored, id="gzip of a range"),
    pytest.param(Faults(where="cdn", html_200=True), errors.Intercepted, id="html from the CDN"),
    pytest.param(Faults(where="resolve", html_200=True), errors.Intercepted, id="html from the hub"),
    pytest.param(Faults(expire_s=0.0), errors.LinkExpired, id="expired address"),
    pytest.param(Faults(where="cdn", status=403), errors.LinkExpired, id="403 of the CDN"),
    pytest.param(Faults(where="cdn", status=410), errors.LinkExpired, id="410 of the CDN"),
    pytest.param(Faults(where="cdn", refuse=True), errors.Unreachable, id="refused"),
    pytest.param(Faults(where="hub", refuse=True), errors.Unreachable, id="hub refused"),
    pytest.param(Faults(where="resolve", status=403), errors.AccessDenied, id="403 of the hub"),
    pytest.param(Faults(where="resolve", status=404, error_code="EntryNotFound"), errors.EntryNotFound, id="no file"),
    pytest.param(Faults(where="resolve", status=404, error_code="RepoNotFound"), errors.RepoNotFound, id="no repo"),
    pytest.param(Faults(where="resolve", status=401, error_code="GatedRepo"), errors.GatedRepo, id="gated"),
    pytest.param(Faults(where="resolve", redirect_to="{target}"), errors.ProtocolError, id="redirects in a circle"),
    pytest.param(Faults(where="resolve", redirect_to="http://127.0.0.1:1/"), errors.Unreachable, id="to nowhere"),
    pytest.param(Faults(where="cdn", no_length=True), None, id="no length"),
    pytest.param(Faults(where="cdn", etag_changes=True), None, id="another ETag"),
    pytest.param(Faults(where="cdn", slow_rate=4e6), None, id="slow"),
]
WHOLE_CASES = [
    pytest.param(Faults(where="files", cut_after=10), errors.Unreachable, id="cut"),
    pytest.param(Faults(where="files", no_length=True), None, id="no length"),
    pytest.param(Faults(where="files", no_length=True, cut_after=10), errors.Unreachable, id="cut, no length"),
    pytest.param(Faults(where="files", gzip_anyway=True), None, id="gzip"),
    pytest.param(Faults(where="files", gzip_anyway=True, no_length=True), None, id="gzip, no length"),
    pytest.param(Faults(where="files", short_length=1), errors.Unavailable, id="short"),
    pytest.param(Faults(unranged_hub=True), None, id="as olah has it"),
    pytest.param(Faults(where="resolve", html_200=True), errors.Intercepted, id="html"),
]


class EngineContract:
    """Bytes into orders, and one word about each."""

    def engine(self, endpoint: str, token: str | None = None) -> Engine:
        """An engine that takes `STALL_S` without a byte for a stall."""
        raise NotImplementedError

    @pytest.fixture(params=[True, False], ids=["cdn", "no cdn"])
    def any_site(self, hub: HubSimulator, request: pytest.FixtureRequest) -> Iterator[Served]:
        publish(hub)
        with served(hub, cdn=request.param) as site:
            yield site

    @pytest.fixture
    def site(self, hub: HubSimulator) -> Iterator[Served]:
        publish(hub)
        with served(hub) as site:
            yield site

    @staticmethod
    def order(site: Served, span: Span | None = MIDDLE, path: str = "model.safetensors") -> Wanted:
        """An order for a part of a file, or for all of it."""
        commit = site.hub.repos[TINY].commit("main")
        listing = Manifest.of(TINY, commit.id, [stored.entry for stored in commit.files.values()])
        entry = listing.get(path)
        assert entry is not None
        site.hub.reset_counts()
        return Wanted(listing, entry, span or Span(0, entry.size))

    # -- when all is well -----------------------------------------------------------------------

    @pytest.mark.parametrize("path", ["config.json", "sub/deep/notes one.txt", "model.safetensors"])
    def test_a_file_comes_whole(self, any_site: Served, path: str) -> None:
        order = self.order(any_site, None, path)
        self.engine(any_site.endpoint).run(Book([order]))
        assert order.ends == [None]
        assert bytes(order.data) == any_site.hub.content(TINY, path)

    @pytest.mark.parametrize("span", [Span(0, 1), Span(0, PART), MIDDLE, Span(3 * PART, 3 * PART + 1234)])
    def test_a_span_comes_and_nothing_else(self, any_site: Served, span: Span) -> None:
        order = self.order(any_site, span)
        order.stops = False
        self.engine(any_site.endpoint).run(Book([order]))
        assert order.ends == [None]
        assert bytes(order.data) == DATA[span.start : span.stop]
        assert any_site.hub.bytes_served == span.size

    def test_a_file_of_many_spans_costs_one_question(self, site: Served) -> None:
        orders = [self.order(site, Span(at, at + 100_000)) for at in range(0, 3_000_000, 100_000)]
        self.engine(site.endpoint).run(Book(orders, connections=1))
        assert all(order.ends == [None] and order.right for order in orders)
        assert (site.hub.count("resolve"), site.hub.count("cdn")) == (1, len(orders))

    def test_many_orders_are_filled_and_never_more_at_once_than_wished_for(self, site: Served) -> None:
        orders = [self.order(site, None, "config.json") for _ in range(100)]
        book = Book(orders, connections=3)
        self.engine(site.endpoint).run(book)
        assert all(order.ends == [None] and bytes(order.data) == CONFIG for order in orders)
        assert book.most_out <= 3

    def test_an_empty_book_is_closed_at_once(self, site: Served) -> None:
        self.engine(site.endpoint).run(Book([]))
        assert site.hub.requests == []

    def test_an_order_that_has_enough_ends_well(self, site: Served) -> None:
        order = self.order(site, Span(0, PART))
        with site.hub.failing(where="cdn", ignore_range=True):
            self.engine(site.endpoint).run(Book([order]))
        assert order.ends == [None]
        assert order.data[:PART] == DATA[:PART]

    # -- when it is not -------------------------------------------------------------------------

    @pytest.mark.parametrize(("faults", "expected"), CASES)
    def test_a_span_ends_with_the_right_bytes_or_the_right_error(
        self, site: Served, faults: Faults, expected: type[errors.MirrorError] | None
    ) -> None:
        order = self.order(site)
        with site.hub.failing(faults):
            self.check(site, order, expected)
        again = self.order(site)
        self.engine(site.endpoint).run(Book([again]))
        assert (again.ends, again.right, len(again.data)) == ([None], True, MIDDLE.size)

    @pytest.mark.parametrize(("faults", "expected"), WHOLE_CASES)
    def test_a_small_file_ends_with_the_right_bytes_or_the_right_error(
        self, site: Served, faults: Faults, expected: type[errors.MirrorError] | None
    ) -> None:
        order = self.order(site, None, "config.json")
        with site.hub.failing(faults):
            self.check(site, order, expected)

    def check(self, site: Served, order: Wanted, expected: type[errors.MirrorError] | None) -> None:
        self.engine(site.endpoint).run(Book([order]))
        (end,) = order.ends
        assert (None if end is None else type(end)) == expected, repr(end)
        assert order.right
        assert end is not None or len(order.data) == order.span.size
        assert len(site.hub.requests) <= 2 + 6  # where it is, and its bytes; a circle of redirects a few more

    @pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
    @pytest.mark.parametrize(
        "how", [{"status": 503}, {"cut_after": 5}, {"close_without_answer": True}, {"refuse": True}]
    )
    def test_an_engine_goes_on_after_a_failure(self, site: Served, path: str, how: dict[str, int]) -> None:
        engine = self.engine(site.endpoint)
        for expected in (errors.Unavailable, type(None), errors.Unavailable, type(None)):
            order = self.order(site, None, path)
            faults = Faults(where="files" if "refuse" not in how else "*", **how)  # type: ignore[arg-type]
            with site.hub.failing(faults if expected is not type(None) else Faults()):
                engine.run(Book([order]))
            assert isinstance(order.ends[0], expected)
            assert order.right

    def test_a_wait_that_was_asked_for_is_passed_on(self, site: Served) -> None:
        waits = []
        for faults in (Faults(status=429, retry_after_s=7), Faults(status=429, rate_limit_s=23), Faults(status=429)):
            order = self.order(site)
            with site.hub.failing(faults):
                self.engine(site.endpoint).run(Book([order]))
            assert isinstance(order.ends[0], errors.RateLimited)
            waits.append(order.ends[0].retry_after_s)
        assert waits == [8.0, 24.0, None]

    def test_an_expired_address_is_asked_for_anew(self, site: Served) -> None:
        engine = self.engine(site.endpoint)
        ends = []
        with site.hub.failing(expire_after_uses=2):
            for _ in range(6):
                order = self.order(site)
                engine.run(Book([order]))
                ends.append(type(order.ends[0]))
        assert ends == [type(None), type(None), errors.LinkExpired] * 2

    def test_a_hotels_login_page_is_forgotten_once_the_login_is_done(self, site: Served) -> None:
        engine = self.engine(site.endpoint)
        portal = HubSimulator()
        with served(portal) as hotel, portal.failing(html_200=True):
            first, second = self.order(site), self.order(site)
            with site.hub.failing(redirect_to=f"{hotel.endpoint}/login", where="resolve"):
                engine.run(Book([first]))
            engine.run(Book([second]))
        assert [type(end) for end in (*first.ends, *second.ends)] == [errors.Intercepted, type(None)]
        assert second.right

    # -- what is nobody's business --------------------------------------------------------------

    def test_a_token_goes_to_the_hub_and_to_nobody_else(self, site: Served) -> None:
        site.hub.restrict(TINY, private=True, token=TOKEN)
        orders = [self.order(site), self.order(site, None, "config.json")]
        elsewhere = HubSimulator()
        with served(elsewhere) as other:
            engine = self.engine(site.endpoint, TOKEN)
            engine.run(Book(orders))
            assert [order.ends for order in orders] == [[None], [None]]
            assert all(record.has_authorization == (record.origin == "hub") for record in site.hub.requests)
            order = self.order(site, None, "sub/copy.json")
            with site.hub.failing(where="resolve", redirect_to=other.endpoint + "{target}"):
                engine.run(Book([order]))
            assert len(order.ends) == 1
            assert [record.has_authorization for record in elsewhere.requests] == [False]
        assert TOKEN not in str(order.ends[0])

    def test_a_file_of_this_machine_is_no_answer(self, site: Served, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(CONFIG)
        order = self.order(site, None, "config.json")
        with site.hub.failing(where="resolve", redirect_to=(tmp_path / "secret").as_uri()):
            self.engine(site.endpoint).run(Book([order]))
        assert [type(end) for end in order.ends] == [errors.ProtocolError]
        assert not order.data
