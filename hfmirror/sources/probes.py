"""Single steps of a connection, tried by themselves: name lookup, connecting, TLS.

`sources.http` does all of them at once and says only that it failed; whoever wants to know which one
fails asks here. No byte of a repo goes this way.
"""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import Enum
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import unquote, urlsplit

from certifi import where

from hfmirror.errors import TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfmirror.sources.http import Way

T = TypeVar("T")
PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True)
class Place:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Place:
        """Where an address leads; without anything secret. A bare `host:port` is taken for http. Raises ValueError."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        return cls(parts.hostname or "", parts.port or PORTS.get(parts.scheme, 80))

    @staticmethod
    def scheme_of(url: str) -> str:
        """How an address begins; a bare `host:port` is taken for http."""
        return urlsplit(url if "://" in url else f"http://{url}").scheme

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a name stands for."""

    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]
    seconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Connect:
    """A connection that was made, or not."""

    seconds: float
    problem: str = ""


class Trust(Enum):
    """Who believes a certificate."""

    EVERYBODY = "everybody"
    HERE = "here"  # only whoever has the certificates that this machine's settings name
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Handshake:
    """Who the other end says it is, and whether that can be believed."""

    trust: Trust
    issuer: str = ""  # who signed its certificate; empty: unknown
    problem: str = ""
    clock: bool = False  # it fails by date only


def look_up(place: Place, limit_s: float) -> Lookup:
    """Ask for the addresses of a name, for so many seconds at most."""
    began = time.monotonic()
    try:
        rows = within(limit_s, lambda: socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM))
    except TimedOut:
        return Lookup((), (), time.monotonic() - began, f"no answer for {limit_s:g} s")
    except (OSError, UnicodeError) as error:
        return Lookup((), (), time.monotonic() - began, _said(error))
    by_family = {
        family: tuple(dict.fromkeys(str(row[4][0]) for row in rows if row[0] == family))
        for family in (socket.AF_INET, socket.AF_INET6)
    }
    return Lookup(by_family[socket.AF_INET], by_family[socket.AF_INET6], time.monotonic() - began)


def connect(address: str, port: int, limit_s: float) -> Connect:
    """Connect to an address, and hang up."""
    began = time.monotonic()
    try:
        socket.create_connection((address, port), timeout=limit_s).close()
    except TimeoutError:
        return Connect(time.monotonic() - began, f"no answer for {limit_s:g} s")
    except (OSError, UnicodeError) as error:
        return Connect(time.monotonic() - began, _said(error))
    return Connect(time.monotonic() - began)


def shake_hands(place: Place, way: Way, limit_s: float) -> Handshake:
    """Make TLS connections, and hang up: with the certificates of `way`, of everybody, and of the other end alone.

    Raises OSError, HTTPException when there is no connection at all. Each connection has `limit_s` seconds.
    """
    try:
        issuer = _issuer(_certificate(place, way, _context(way.certificates), limit_s))
    except ssl.SSLCertVerificationError as error:
        problem, clock = error.verify_message, error.verify_code in (9, 10)  # X509_V_ERR: not yet valid, expired
        return Handshake(Trust.NOBODY, _issuer_unproven(place, way, limit_s), problem, clock)
    if way.certificates == where():
        return Handshake(Trust.EVERYBODY, issuer)
    try:
        _certificate(place, way, _context(where()), limit_s)
    except ssl.SSLCertVerificationError:
        return Handshake(Trust.HERE, issuer)
    return Handshake(Trust.EVERYBODY, issuer)


def _context(certificates: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    folder = Path(certificates).is_dir()
    context.load_verify_locations(None if folder else certificates, certificates if folder else None)
    return context


def _issuer_unproven(place: Place, way: Way, limit_s: float) -> str:
    """Who signed a certificate that cannot be trusted, by its own word.

    The standard library reads certificates only that it trusts: so it is asked for the bytes first, and then
    told to trust just these. Nothing is sent over either connection.
    """
    with suppress(OSError, HTTPException, ValueError):
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname = False
        blind.verify_mode = ssl.CERT_NONE
        data = _certificate(place, way, blind, limit_s, binary=True)
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname = False
        trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        trusting.load_verify_locations(cadata=data)
        return _issuer(_certificate(place, way, trusting, limit_s))
    return ""


def _certificate(place: Place, way: Way, context: ssl.SSLContext, limit_s: float, *, binary: bool = False) -> Any:
    """The certificate the other end shows; over the proxy, where there is one."""
    first = Place.of(way.proxy) if way.proxy else place
    with closing(HTTPSConnection(first.host, first.port, timeout=limit_s, context=context)) as line:
        if way.proxy:
            line.set_tunnel(place.host, place.port, _introduction(way.proxy))
        line.connect()
        return line.sock.getpeercert(binary)


def _introduction(proxy: str) -> dict[str, str]:
    """What a proxy wants to know about who asks."""
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    told = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(told).decode()}"}


def _issuer(certificate: Any) -> str:
    """A signer's name as people know it: its organisation, else its own."""
    fields = dict(pair for group in certificate.get("issuer", ()) for pair in group)
    names = [fields[key] for key in ("organizationName", "commonName") if fields.get(key)]
    return " / ".join(dict.fromkeys(names))


def _said(error: Exception) -> str:
    """What the system says, without what it was asked."""
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


class _Outcome(Generic[T]):
    """What a thread came to."""

    value: T
    error: BaseException | None = None


def within(limit_s: float, work: Callable[[], T]) -> T:
    """What `work` gives, or raises; TimedOut when that takes longer. It is then left to end by itself."""
    outcome: _Outcome[T] = _Outcome()

    def run() -> None:
        try:
            outcome.value = work()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            outcome.error = error

    thread = threading.Thread(target=run, daemon=True)  # a name lookup cannot be broken off
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        raise TimedOut("this machine", f"no answer for {limit_s:g} s")
    if outcome.error is not None:
        raise outcome.error
    return outcome.value
