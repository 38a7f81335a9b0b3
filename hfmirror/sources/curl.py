"""The fast engine: many connections from one thread, by libcurl. Used when `pycurl` is installed.

Names still go by `requests`; libcurl moves bytes only, with the same addresses, the same reading of
answers and the same rule for the token, since redirects are followed here and not by libcurl.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pycurl

from hfmirror.errors import MirrorError, ProtocolError, RateLimited, TimedOut, Unexpected, Unreachable, Untrusted
from hfmirror.sources import reply
from hfmirror.sources.http import CONNECT_S, HOPS, REDIRECTS, USER_AGENT, origin
from hfmirror.sources.hub import ERROR_TEXT, HubSource

if TYPE_CHECKING:
    from hfmirror.ports import Order, OrderBook

SOCKET = 512 * 2**10  # bytes libcurl reads from a connection at once
BLOCK = 256 * 2**10  # bytes gathered, from the 16 KiB that libcurl hands over at most, before they are passed on
MOST = 16 * 2**10  # bytes libcurl hands over at once, whatever it reads (CURL_MAX_WRITE_SIZE)
BLOCK_S = 0.2  # seconds after which fewer are passed on, too
LOOK_S = 0.05  # seconds until the book is looked at again though no connection has stirred
IDLE_S = 0.5  # the same while nothing is in flight
_NO_NAME = {pycurl.E_COULDNT_RESOLVE_HOST}
_NO_TRUST = {pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE}


class CurlHubSource(HubSource):
    """A Hub whose bytes come by libcurl."""

    def run(self, book: OrderBook) -> None:
        """Fill orders until the book is closed."""
        multi = pycurl.CurlMulti()
        idle: list[Transfer] = []
        active: dict[pycurl.Curl, Transfer] = {}
        try:
            while not book.closed:
                self._start(book, idle, active)
                under_way = self._send(multi, active)
                multi.perform()
                self._finish(multi, idle, active)
                if active:
                    multi.select(LOOK_S) if under_way else time.sleep(LOOK_S)
            for transfer in active.values():
                transfer.cut_short()  # nobody waits for what it was to bring
        finally:
            for transfer in (*idle, *active.values()):
                transfer.handle.close()
            multi.close()

    def _start(self, book: OrderBook, idle: list[Transfer], active: dict[pycurl.Curl, Transfer]) -> None:
        while len(active) < max(book.connections, 1):
            order = book.next(0.0 if active else IDLE_S)
            if order is None:
                return
            transfer = idle.pop() if idle else Transfer(self, self._http.stall_s)
            transfer.begin(order)
            now = time.monotonic()
            try:
                transfer.goes_at = now + self._http.quotas.claim(origin(transfer.url), transfer.url, now)
            except RateLimited as error:
                order.fail(error)
                idle.append(transfer)
            else:
                active[transfer.handle] = transfer

    def _send(self, multi: pycurl.CurlMulti, active: dict[pycurl.Curl, Transfer]) -> int:
        """Let libcurl have the transfers whose time has come; how many it has."""
        now = time.monotonic()
        under_way = 0
        for handle, transfer in active.items():
            if transfer.goes_at is not None and transfer.goes_at <= now:
                transfer.goes_at = None
                multi.add_handle(handle)
            under_way += transfer.goes_at is None
        return under_way

    def _finish(self, multi: pycurl.CurlMulti, idle: list[Transfer], active: dict[pycurl.Curl, Transfer]) -> None:
        waiting, well, badly = multi.info_read()
        while well or badly or waiting:
            for handle, code, said in [*((handle, pycurl.E_OK, "") for handle in well), *badly]:
                multi.remove_handle(handle)
                transfer = active[handle]
                if transfer.over(code, said):
                    del active[handle]
                    idle.append(transfer)
                else:
                    multi.add_handle(handle)
            waiting, well, badly = multi.info_read()

    # -- what a transfer asks of its source -----------------------------------------------------

    def asked_for(self, order: Order) -> reply.Asked:
        """What an order's request is about."""
        return self._asked(order.manifest.repo, order.manifest.commit, order.entry.path)

    def headers_for(self, url: str) -> list[str]:
        """The request's headers; the token only for the endpoint's own origin."""
        return ["Accept: */*", *(f"{name}: {value}" for name, value in self._credentials(url).items())]

    def heard(self, url: str, headers: reply.Headers) -> None:
        """An answer said how many requests are left."""
        self._http.quotas.heard(origin(url), url, headers, time.monotonic())

    def is_foreign(self, url: str) -> bool:
        """Whether an address is on another origin than the endpoint."""
        return origin(url) != self._origin

    def set_way(self, handle: pycurl.Curl, url: str) -> None:
        """The proxy and the certificates that hold for an address."""
        way = self._http.way_to(url)
        handle.setopt(pycurl.PROXY, way.proxy)
        handle.setopt(pycurl.NOPROXY, "")
        if way.certificates:
            handle.setopt(pycurl.CAPATH if way.is_folder else pycurl.CAINFO, way.certificates)


class Transfer:
    """One connection's work: an order, from its request over its redirects to its last byte."""

    def __init__(self, source: CurlHubSource, stall_s: float) -> None:
        self._source = source
        self._place = ""  # the origin the handle is set up for
        self.goes_at: float | None = None  # when its request may be sent; None: libcurl has it
        self._block = memoryview(bytearray(BLOCK))
        self.handle = handle = pycurl.Curl()
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.USERAGENT, USER_AGENT)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.NETRC, 0)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.BUFFERSIZE, SOCKET)
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, int(CONNECT_S * 1000))
        handle.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        handle.setopt(pycurl.LOW_SPEED_TIME, max(1, round(stall_s)))
        handle.setopt(pycurl.HEADERFUNCTION, self._on_header)
        handle.setopt(pycurl.WRITEFUNCTION, self._on_body)

    def begin(self, order: Order) -> None:
        """Set the handle up for an order."""
        self._order, self._asked, self._hops = order, self._source.asked_for(order), 0
        self._request(self._source.addresses.of(order.manifest, order.entry))

    def _request(self, url: str) -> None:
        order, handle = self._order, self.handle
        self.url = url
        self._lines: list[bytes] = []
        self._status = 0
        self._headers = reply.Headers({})
        self._reading: reply.Reading | None = None
        self._refusal: list[bytes] = []
        self._error: MirrorError | None = None
        self._enough = False
        self._cut = False  # a refusal so long that the rest of it is not read
        self._gathered, self._passed_on = 0, 0.0
        if origin(url) != self._place:
            self._place = origin(url)
            self._source.set_way(handle, url)
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.HTTPHEADER, self._source.headers_for(url))
        if order.span.size < order.entry.size:
            handle.setopt(pycurl.RANGE, f"{order.span.start}-{order.span.stop - 1}")
        else:
            handle.unsetopt(pycurl.RANGE)

    # -- libcurl's callbacks: nothing may be raised in them ---------------------------------------

    def _on_header(self, line: bytes) -> None:
        if line.startswith(b"HTTP/"):
            self._lines = []
            self._status = int(line.split(None, 2)[1])
        elif line not in (b"\r\n", b"\n"):
            self._lines.append(line)

    def _on_body(self, data: bytes) -> int | None:
        """Bytes of a body. Any answer but None ends the transfer."""
        try:
            if self._status not in (200, 206):
                self._refusal.append(data)
                self._cut = sum(map(len, self._refusal)) > ERROR_TEXT
                return -1 if self._cut else None
            if self._reading is None:
                self._open()
            if not self._gather(data):
                self._enough = True
                return -1
        except MirrorError as error:
            self._error = error
            return -1
        except Exception as fault:  # noqa: BLE001 - libcurl would print it and go on
            self._error = Unexpected(fault)
            return -1
        return None

    def _gather(self, data: bytes) -> bool:
        """Keep bytes until there are enough to pass on; False when no more are wanted."""
        after = self._gathered + len(data)
        self._block[self._gathered : after] = data
        self._gathered = after
        if after + MOST <= BLOCK and time.monotonic() - self._passed_on < BLOCK_S:
            return True
        return self._pass_on()

    def _pass_on(self) -> bool:
        if self._reading is None or not self._gathered:
            return True
        block, self._gathered = self._block[: self._gathered], 0
        self._passed_on = time.monotonic()
        return all(self._order.take(piece) for piece in self._reading.plain(block))

    def _open(self) -> None:
        """The answer is a 200 or 206: see how it is to be read."""
        order, source = self._order, self._source
        self._headers = self._parsed()
        self._reading = reply.reading(self._status, self._headers, order.entry, order.span, self._asked)
        source.addresses.learn(order.manifest, order.entry, self.url)  # not before it has proven to be the file's

    def _parsed(self) -> reply.Headers:
        fields: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.decode("latin-1").partition(":")
            fields[name.strip().lower()] = value.strip()
        return reply.Headers(fields)

    # -- after the transfer ---------------------------------------------------------------------

    def over(self, code: int, said: str) -> bool:
        """The request is over. False: a redirect, to be sent on its way again."""
        code = pycurl.E_OK if self._cut else code
        if self._reading is None:
            self._headers = self._parsed()
        self._source.heard(self.url, self._headers)
        location = self._headers.get("location")
        if code == pycurl.E_OK and self._status in REDIRECTS and location and self._hops < HOPS:
            self._hops += 1
            try:
                self._request(reply.onward(self.url, location))
            except MirrorError as nowhere:
                self._order.fail(nowhere)
                return True
            return False
        left = self._rest_passed_on()
        error = self._outcome(code, said) or left
        if error is not None and self._reading is None:  # not even a good answer: the address may be no good any more
            self._source.addresses.forget(self._order.manifest, self._order.entry)
        if error is None:
            self._order.done()
        else:
            self._order.fail(error)
        return True

    def cut_short(self) -> None:
        """No more is wanted: pass on what was gathered, and read no further."""
        error = self._rest_passed_on()
        if error is None:
            self._order.done()
        else:
            self._order.fail(error)

    def _outcome(self, code: int, said: str) -> MirrorError | None:
        place = origin(self.url)
        if self._error is not None or self._enough:
            return self._error
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return TimedOut(place, "no byte for too long")
        if code == pycurl.E_UNSUPPORTED_PROTOCOL:
            return ProtocolError(self._source.name, f"it redirects to {place}, which no Hub would")
        if code in _NO_TRUST:
            return Untrusted(place, f"no trusted TLS connection ({said})")
        if code != pycurl.E_OK:
            return Unreachable(place, _why(code))
        if self._status in REDIRECTS:
            return ProtocolError(self._source.name, f"more than {HOPS} redirects for {self._asked.path}")
        if self._status in (200, 206):
            return self._empty_body()
        text = b"".join(self._refusal).decode("utf-8", "replace")
        return reply.failure(
            self._status, self._headers, text, self._asked.over(foreign=self._source.is_foreign(self.url))
        )

    def _rest_passed_on(self) -> MirrorError | None:
        """Pass on what was gathered before the end, good or bad."""
        try:
            if self._error is None and not self._enough:
                self._pass_on()
        except MirrorError as error:
            return error
        return None

    def _empty_body(self) -> MirrorError | None:
        """A good answer is over; when no byte of it came, nobody has looked at its headers yet."""
        if self._reading is None:
            try:
                self._open()
            except MirrorError as error:
                return error
        return None


def _why(code: int) -> str:
    if code in _NO_NAME:
        return "the name cannot be looked up (no network, or no DNS)"
    if code in (pycurl.E_COULDNT_RESOLVE_PROXY, getattr(pycurl, "E_PROXY", 97)):
        return "the proxy cannot be reached or refuses"
    if code == pycurl.E_COULDNT_CONNECT:
        return "no connection"
    return "the connection broke off"
