"""Requests over HTTP: the only place that knows `requests` and `urllib3`.

`requests` reads the environment (proxies, certificates) and opens the pools; the hot path then goes
to the pool itself, which costs a third of the processor time of a whole `requests` call.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
import urllib3
from certifi import where
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema, RequestException
from requests.utils import select_proxy
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import HTTPError, IncompleteRead, NameResolutionError, NewConnectionError, ProxyError, SSLError
from urllib3.exceptions import TimeoutError as Urllib3Timeout

from hfmirror._version import __version__
from hfmirror.errors import MirrorError, ProtocolError, TimedOut, Unreachable, Untrusted, UsageError
from hfmirror.settings import STALL_S
from hfmirror.sources.quota import Quotas
from hfmirror.sources.reply import Headers, onward

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from urllib3 import BaseHTTPResponse

CONNECT_S = 15.0  # seconds to a connection, TLS included
POOL = 128  # connections kept open to one origin
LISTING = 64 * 2**20  # bytes of JSON that one answer may have; a page of a thousand files has a few hundred KB
HOPS = 6  # redirects followed for one request
BLOCKS = (2**14, 2**20)  # bytes per read, least and most; 64 KiB reads were measured at 0.72 of the rate of 1 MiB
BLOCK_S = (0.005, 0.05)  # a read quicker than this may be larger, a slower one smaller: a reset loses what it read
USER_AGENT = f"hfmirror/{__version__}"
REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True, slots=True)
class Way:
    """What the environment says about getting to an address."""

    proxy: str  # empty: none
    certificates: str  # the bundle, or folder, of those to trust

    @property
    def is_folder(self) -> bool:
        """Whether `certificates` is a folder of hashed names rather than a bundle."""
        return Path(self.certificates).is_dir()


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach one origin: its pool, and whether the proxy in between wants whole addresses."""

    pool: HTTPConnectionPool
    whole_address: bool
    headers: Mapping[str, str]


class Answer:
    """One answer whose body has not been read yet."""

    def __init__(self, raw: BaseHTTPResponse, url: str) -> None:
        self._raw, self.url = raw, url
        self.status = raw.status
        self.headers = Headers({name.lower(): value for name, value in raw.headers.items()})

    @property
    def redirect(self) -> str | None:
        """The absolute address it sends us to, or None."""
        location = self.headers.get("location")
        return onward(self.url, location) if self.status in REDIRECTS and location else None

    def text(self, limit: int) -> str:
        """The body as text, `limit` bytes at most, decompressed. Raises Unreachable, TimedOut."""
        with translated(origin(self.url)):
            data: bytes = self._raw.read(limit, decode_content=True)
        return data.decode("utf-8", "replace")

    def whole(self) -> bytes:
        """The whole body, decompressed. Raises Unreachable, TimedOut; ProtocolError when it is absurdly long."""
        with translated(origin(self.url)):
            data: bytes = self._raw.read(LISTING + 1, decode_content=True)
        if len(data) > LISTING:
            raise ProtocolError(origin(self.url), f"an answer of more than {LISTING // 2**20} MiB")
        return data

    def blocks(self) -> Iterator[memoryview]:
        """The body as it comes over the wire; a block is good until the next is asked for.

        Raises Unreachable, TimedOut.
        """
        with translated(origin(self.url)), _BUFFERS.lent() as buffer:
            size, began = BLOCKS[0] * 8, time.monotonic()
            while count := self._read_into(buffer[:size]):
                took = time.monotonic() - began
                if took < BLOCK_S[0]:
                    size = min(size * 2, BLOCKS[1])
                elif took > BLOCK_S[1]:
                    size = max(size // 2, BLOCKS[0])
                yield buffer[:count]
                began = time.monotonic()

    def _read_into(self, buffer: memoryview) -> int:
        """Put what has come of the body into the buffer; how many bytes that were, 0 at its end.

        urllib3 returns each block as new bytes, which costs a third of the processor time of a large
        download. The reader of the standard library below it fills a buffer, and is used where it
        can be: a body of known length. One read of the socket each, so that a reader who waits for
        these very bytes does not wait for more; nor does it notice when the body ends early; we do.
        """
        below = self._below
        if below is None:
            data = self._raw.read(len(buffer), decode_content=False)
            buffer[: len(data)] = data
            return len(data)
        if not below.length:
            return 0
        count: int = below.fp.readinto1(buffer[: below.length])
        if count == 0:
            raise IncompleteRead(0, below.length)
        below.length -= count
        if not below.length:
            below.read(0)  # lets it see its end, so that the connection can be used again
        return count

    @cached_property
    def _below(self) -> HTTPResponse | None:
        below = getattr(self._raw, "_fp", None)
        return below if isinstance(below, HTTPResponse) and below.length is not None else None

    @property
    def _ended(self) -> bool:
        """Whether the body was read to its end, so that the connection can serve the next request."""
        return self._raw.length_remaining == 0 or (self._below is not None and self._below.isclosed())

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else end it."""
        if self._ended:
            self._raw.release_conn()
        else:
            self._raw.close()


class _Buffers:
    """Buffers for blocks: each stream has its own while it is read, and the next stream gets it after."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    @contextmanager
    def lent(self) -> Iterator[memoryview]:
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = memoryview(bytearray(BLOCKS[1]))
        try:
            yield buffer
        finally:
            self._free.append(buffer)


_BUFFERS = _Buffers()


class Http:
    """Connections to any number of origins, with the environment's proxies and certificates."""

    def __init__(self, stall_s: float = STALL_S, window: Callable[[], int | None] | None = None) -> None:
        """`stall_s`: seconds without a byte until a connection is given up.

        `window`: bytes the system may take in ahead of us on each connection just now; None: as it likes.
        """
        self.stall_s = stall_s
        self._window = window
        self.quotas = Quotas()
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_connections=16, pool_maxsize=POOL)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._routes: dict[str, Route] = {}
        self._lock = threading.Lock()
        self._timeout = urllib3.Timeout(connect=CONNECT_S, read=stall_s)

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Iterator[Answer]:
        """One request, no redirect followed; POST when there is a body. Raises Unreachable, TimedOut, RateLimited."""
        answer = self._ask_in_turn(url, headers, body)
        try:
            yield answer
        finally:
            answer.close()

    def _ask_in_turn(self, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        place, told = origin(url), Headers({})
        wait = self.quotas.claim(place, url, time.monotonic())
        if wait:
            time.sleep(wait)
        try:
            answer = self._ask(url, headers, body)
            told = answer.headers
        finally:
            self.quotas.heard(place, url, told, time.monotonic())
        return answer

    def _ask(self, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        parts = urlsplit(url)
        with translated(origin(url)):
            route = self._route(url)
            target = url if route.whole_address else parts.path + (f"?{parts.query}" if parts.query else "")
            raw = route.pool.urlopen(
                "GET" if body is None else "POST",
                target or "/",
                body=body,
                headers={"User-Agent": USER_AGENT, "Accept": "*/*", **route.headers, **headers},
                redirect=False,
                retries=False,
                assert_same_host=False,  # a proxy is asked for whole addresses
                preload_content=False,
                decode_content=False,
                timeout=self._timeout,
            )
        self._narrow(raw)
        return Answer(raw, url)

    def _narrow(self, raw: BaseHTTPResponse) -> None:
        """Keep the system from taking in megabytes on a connection that is read slowly on purpose."""
        window = None if self._window is None else self._window()
        sock = getattr(raw.connection, "sock", None)
        if window is not None and sock is not None:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)

    def _route(self, url: str) -> Route:
        place = origin(url)
        with self._lock:
            route = self._routes.get(place)
            if route is None:
                route = self._routes[place] = self._open_route(place)
            return route

    def way_to(self, url: str) -> Way:
        """The proxy and certificates for an address, for an engine with connections of its own."""
        place = origin(url)
        settings = self._session.merge_environment_settings(place, {}, None, None, None)
        verify = settings["verify"]
        bundle = verify if isinstance(verify, str) else os.environ.get("SSL_CERT_FILE") or where()
        return Way(select_proxy(place, settings["proxies"]) or "", bundle)

    def _open_route(self, place: str) -> Route:
        prepared = requests.Request("GET", place + "/").prepare()
        settings = self._session.merge_environment_settings(place, {}, None, None, None)
        adapter = self._session.get_adapter(place)
        if not isinstance(adapter, HTTPAdapter):
            raise ProtocolError(place, "no way to reach such an address")
        proxies = settings["proxies"]
        pool = adapter.get_connection_with_tls_context(
            prepared, verify=settings["verify"], proxies=proxies, cert=settings["cert"]
        )
        if not isinstance(pool, HTTPConnectionPool):
            raise ProtocolError(place, "no way to reach such an address")
        proxy = select_proxy(place, proxies)
        plain_by_proxy = bool(proxy) and place.startswith("http://") and not str(proxy).startswith("socks")
        extra = adapter.proxy_headers(str(proxy)) if plain_by_proxy else {}
        return Route(pool, plain_by_proxy, extra)

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()


_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]+))?(?=[/?#]|\Z)")
_PORTS = {"http": "80", "https": "443"}


def origin(url: str) -> str:
    """Scheme, host and port of an address, without anything secret."""
    plain = _ORIGIN.match(url)
    if plain is not None:
        scheme, host, port = plain.groups()
        return f"{scheme}://{host}" if port in (None, _PORTS[scheme]) else f"{scheme}://{host}:{port}"
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn what the HTTP library raises about `place` into hfmirror's words."""
    try:
        yield
    except (Urllib3Timeout, TimeoutError) as error:
        if isinstance(error, NewConnectionError):
            raise Unreachable(place, _why(error)) from error
        raise TimedOut(place, "no byte for too long") from error
    except (SSLError, InvalidSchema) as error:
        raise _not_on_these_terms(place, error) from error
    except (HTTPError, RequestException, OSError, ValueError) as error:
        if isinstance(error, MirrorError):
            raise
        raise Unreachable(place, _why(error)) from error


def _not_on_these_terms(place: str, error: SSLError | InvalidSchema) -> MirrorError:
    """What is wrong with the TLS or the kind of address; only a broken connection is worth trying again."""
    if isinstance(error, InvalidSchema):
        if "SOCKS" in str(error):
            return UsageError("a SOCKS proxy needs PySocks", "pip install 'hfmirror-cli[socks]'")
        return ProtocolError(place, f"this address cannot be reached: {error}")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Untrusted(place, f"no trusted TLS connection ({error.args[0] if error.args else error})")
    return Unreachable(place, "the TLS connection broke off")


def _why(error: BaseException) -> str:
    """What went wrong with a connection, in a few words."""
    if isinstance(error, NameResolutionError):
        return "the name cannot be looked up (no network, or no DNS)"
    if isinstance(error, ProxyError):
        return "the proxy cannot be reached or refuses"
    if isinstance(error, NewConnectionError):
        return "no connection (" + str(error).rpartition(": ")[2].strip() + ")"
    return "the connection broke off" + (f" ({type(error).__name__})" if not isinstance(error, HTTPError) else "")
