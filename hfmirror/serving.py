"""Wiring for `serve`: a store, the Hub behind it, and the server in front."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from hfmirror.care.room import Roomed
from hfmirror.errors import UsageError
from hfmirror.safety.guard import Guard
from hfmirror.serve.access import Access
from hfmirror.serve.askers import Askers
from hfmirror.serve.catalogue import Catalogue
from hfmirror.serve.door import Door
from hfmirror.serve.http.server import Limits, Server
from hfmirror.serve.hub import Hub, Rules
from hfmirror.serve.library import Library
from hfmirror.serve.names import Names
from hfmirror.serve.prefetch import Prefetch
from hfmirror.serve.service import Place, is_own, run
from hfmirror.serve.wary import Wary
from hfmirror.sources.callers import Callers
from hfmirror.sources.http import Http
from hfmirror.transfer.flights import Flights

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hfmirror.model import Kind
    from hfmirror.serve.http.hall import Done
    from hfmirror.settings import Settings
    from hfmirror.store.disk import DiskStore
    from hfmirror.transfer.budget import Budget
    from hfmirror.transfer.flights import Fill

STALL_S = 6.0  # without a byte from upstream until it is asked anew: clients behind us wait ten
LATER = ("ctypes", "decimal", "filelock")  # imported where they are first needed: here a client would wait meanwhile
ASKERS = 32  # threads for questions to disk and upstream


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve."""

    hosts: tuple[str, ...] = ("127.0.0.1",)
    port: int = 0  # 0: a free one
    tls: ssl.SSLContext | None = None
    upstream: str | None = None  # None: the one in the settings
    offline: bool = False
    strict: bool = False
    needs_token: bool = False
    prefix: str = ""
    origin: str = ""  # where clients find it, if a proxy stands before it
    clients: int = 2000
    fills: int = 64
    prefetch: frozenset[Kind] = frozenset()  # repos of which kinds are fetched ahead of a client that wants all
    stop_within_s: float = 30.0
    budget: Budget | None = None  # what may come from upstream, at most
    verify_every_s: float | None = None  # how often each object is proven again; None: never


class Listener(Protocol):
    """Who hears what the server does."""

    def listening(self, addresses: Sequence[str], store: Path, upstream: str) -> None: ...
    def trouble(self, sentence: str) -> None: ...
    @property
    def done(self) -> Callable[[Done], None] | None: ...


class Service:
    """One server over one store, ready to run."""

    def __init__(
        self,
        store: DiskStore,
        settings: Settings,
        own_token: Callable[[], str | None],
        serving: Serving,
        listener: Listener,
    ) -> None:
        self._store, self._own_token = store, own_token
        self._endpoint = serving.upstream or settings.endpoint
        self._stall_s, self._guard = min(settings.stall_s, STALL_S), Guard(store, settings.pickles)
        self._serving, self._listener = serving, listener
        self._front: Server | None = None
        self._flights: Flights | None = None

    @property
    def quiet(self) -> bool:
        """Whether it serves, and nobody wants anything just now. May be asked in any thread."""
        return self._front is not None and self._front.quiet and not self._flights

    def run(self) -> None:
        """Serve until a signal ends it. Raises UsageError when the address is taken."""
        asyncio.run(self.serve(asyncio.Event()))

    async def serve(self, ending: asyncio.Event) -> None:
        """Serve until `ending` is set, or a signal ends it."""
        self._store.prepare()
        for name in LATER:
            import_module(name)
        with ExitStack() as stack:
            stack.enter_context(self._store.in_use())
            work = stack.enter_context(Askers(ASKERS))
            window = None if self._serving.budget is None else self._serving.budget.window
            http = stack.enter_context(closing(Http(self._stall_s, window)))
            upstream = None if self._serving.offline else Callers(http, self._endpoint, self._own_token)
            names = Names(self._store, upstream, work)
            keeper = Roomed(self._store, self._store.make_room)
            self._flights = flights = Flights(keeper, self._serving.fills, self._ended, self._serving.budget)
            stack.callback(flights.close)
            await run(
                self._server(names, flights, work),
                Place(self._serving.hosts, self._serving.port, self._serving.tls),
                self._listening,
                self._serving.stop_within_s,
                ending,
            )

    def _server(self, names: Names, flights: Flights, work: Askers) -> Server:
        access = Access(self._store.ledger, names)
        door = Door(names, access)
        prefetch = Prefetch(self._serving.prefetch, self._store, flights)
        self._wary = Wary(self._guard, lambda entry: self._store.path(entry.digest), work)
        self._library = Library(door, names, self._store, flights, prefetch, self._wary, strict=self._serving.strict)
        catalogue = Catalogue(door, names, access, self._store, work, prefetch, self._wary)
        rules = Rules(self._serving.prefix, self._serving.origin, needs_token=self._serving.needs_token)
        hub = Hub(door, access, self._library, catalogue, rules)
        self._front = Server(hub, Limits(clients=self._serving.clients), self._listener.done, self._fault)
        return self._front

    def _listening(self, addresses: Sequence[str]) -> None:
        named = f"{self._serving.origin}{self._serving.prefix}" if self._serving.origin else None
        if not self._serving.offline and (is_own(self._endpoint, addresses) or self._endpoint.rstrip("/") == named):
            raise UsageError("this mirror is its own upstream", "set HF_ENDPOINT or --upstream to the Hub behind it")
        named = re.sub("//[^/@]*@", "//", self._endpoint)  # a password in it is for nobody's log
        upstream = "asking nobody" if self._serving.offline else f"upstream {named}{self._limit()}"
        self._listener.listening(addresses, self._store.root, upstream)

    def _limit(self) -> str:
        return "" if self._serving.budget is None else f", {self._serving.budget.limit()}"

    def _fault(self, fault: BaseException) -> None:
        self._listener.trouble(f"a fault of the server's own: {type(fault).__name__}: {fault}")

    def _ended(self, fill: Fill) -> None:
        sentence = self._library.ended(fill)
        if fill.error is not None:
            self._listener.trouble(f"could not bring in {fill.entry.path}: {fill.error}")
        for told in filter(None, (sentence, self._wary.arrived(fill))):
            self._listener.trouble(told)


@contextmanager
def beside(service: Service, listener: Quiet) -> Iterator[str]:
    """A service in a thread of this process, for as long as the block runs; gives its address."""
    ready: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event] | BaseException] = SimpleQueue()

    async def live() -> None:
        ending = asyncio.Event()
        listener.when_listening(lambda: ready.put((asyncio.get_running_loop(), ending)))
        await service.serve(ending)

    def work() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the address hears of it
            ready.put(error)

    thread = threading.Thread(target=work, name="hfmirror-beside", daemon=True)
    thread.start()
    started = ready.get()
    if isinstance(started, BaseException):
        raise started
    loop, ending = started
    try:
        yield listener.address
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()


class Quiet:
    """A listener for a service nobody watches: only trouble is passed on."""

    def __init__(self, trouble: Callable[[str], None]) -> None:
        self.address = ""
        self.trouble = trouble
        self._then: Callable[[], None] = lambda: None

    def when_listening(self, then: Callable[[], None]) -> None:
        """What to do once there is an address."""
        self._then = then

    def listening(self, addresses: Sequence[str], store: Path, upstream: str) -> None:  # noqa: ARG002 - a listener's
        """There is an address."""
        self.address = addresses[0]
        self._then()

    @property
    def done(self) -> Callable[[Done], None] | None:
        """Nobody counts requests."""
        return None
