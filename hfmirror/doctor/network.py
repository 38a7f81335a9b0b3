"""The way to the endpoint, step by step: proxy, name, connections, TLS. Each step is judged by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import TYPE_CHECKING

from hfmirror.doctor.findings import fail, note, ok, warn
from hfmirror.errors import Unreachable, Untrusted, UsageError
from hfmirror.sources import probes
from hfmirror.sources.probes import Place, Trust
from hfmirror.sources.reply import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hfmirror.doctor.findings import Finding
    from hfmirror.sources.http import Way
    from hfmirror.sources.probes import Connect, Handshake, Lookup

STEP_S = 3.0  # for one step; a line on which a packet goes round the world and back takes 0.3 s
SLOW_S = 1.0  # a name lookup that takes longer is felt at each command
AT_ONCE_S = 0.5  # a refusal that comes sooner costs a client nothing: it takes the other family
LAG_S = 0.1  # by which IPv6 may be slower than IPv4 without a word
_CABLE = "check the cable or the Wi-Fi, and whether a browser opens any page"


def check_proxy(url: str, way: Way, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Which proxy leads to an address, and whether it is there."""
    names = [name for name in environment if name.lower() in _PROXIES and environment[name]]
    if not way.proxy:
        left_out = "a proxy is set, but not used for this address (NO_PROXY, or one for another scheme)"
        yield ok("proxy", left_out if names else "none is set, and none is used")
        return
    scheme = url.partition(":")[0]
    named = [name for name in names if name.lower() in (f"{scheme}_proxy", "all_proxy")]
    source = " or ".join(sorted(named)) or "the system's settings"
    try:
        place = Place.of(way.proxy)
    except ValueError:
        advice = f"correct {source}: it must look like http://proxy.example:3128"
        yield fail("proxy", f"{source} holds no address", advice, UsageError)
        return
    yield proxy(place, source, probes.connect(place.host, place.port, STEP_S))


def proxy(place: Place, source: str, tried: Connect) -> Finding:
    """Whether the proxy takes connections."""
    if not tried.problem:
        return ok("proxy", f"{place} ({source}) takes connections, in {_ms(tried.seconds)}")
    advice = f"start the proxy or correct {source}; without one, unset it"
    return fail("proxy", f"{place} ({source}) takes no connection: {tried.problem}", advice, Unreachable)


def check_line(place: Place) -> Iterator[Finding]:
    """Name lookup and connections, without a proxy."""
    found = probes.look_up(place, STEP_S)
    yield names(place, found)
    if found.problem:
        return
    with ThreadPoolExecutor(2) as pool:
        ipv4, ipv6 = pool.map(
            lambda known: probes.connect(known[0], place.port, STEP_S) if known else None, (found.ipv4, found.ipv6)
        )
    yield connections(place, ipv4, ipv6)


def names(place: Place, found: Lookup) -> Finding:
    """Whether the name can be looked up, and how soon."""
    if found.problem:
        advice = f"{_CABLE}; check the DNS server of this network, and the spelling in HF_ENDPOINT"
        return fail("dns", f"{place.host} cannot be looked up: {found.problem}", advice, Unreachable)
    kinds = " and ".join(name for name, rows in (("IPv4", found.ipv4), ("IPv6", found.ipv6)) if rows)
    said = f"{place.host} has {kinds} addresses, found in {_ms(found.seconds)}"
    if found.seconds > SLOW_S:
        return warn("dns", said, "name lookup is slow: try another DNS server")
    return ok("dns", said)


def connections(place: Place, ipv4: Connect | None, ipv6: Connect | None) -> Finding:
    """Whether connections can be made by either family; None: it has no address there."""
    tried = {name: line for name, line in (("IPv4", ipv4), ("IPv6", ipv6)) if line is not None}
    said = ", ".join(f"{name} {line.problem or _ms(line.seconds)}" for name, line in tried.items())
    if all(line.problem for line in tried.values()):
        advice = f"{_CABLE}; a firewall may want a proxy (HTTPS_PROXY); a mirror may be switched off"
        return fail("connect", f"no connection to {place}: {said}", advice, Unreachable)
    for name, line in tried.items():
        if line.problem:
            return _half(name, line.seconds, said)
    if ipv4 and ipv6 and ipv6.seconds > 2 * ipv4.seconds + LAG_S:
        return note("connect", f"IPv6 is slower than IPv4: {said}")
    return ok("connect", said)


def _half(broken: str, seconds: float, said: str) -> Finding:
    """One family of addresses works, the `broken` one does not, which it took so long to find out."""
    if seconds < AT_ONCE_S:
        return note("connect", f"{broken} is not usable here, the other is: {said}")
    advice = f"switch {broken} off on this machine, or have the network mended"
    return warn("connect", f"{broken} leads nowhere, and connections wait for it first: {said}", advice)


def check_tls(place: Place, way: Way) -> Iterator[Finding]:
    """Whether the other end proves who it is."""
    if way.proxy and Place.scheme_of(way.proxy) != "http":
        yield note("tls", "not looked at by itself: the proxy is not a plain HTTP one")
        return
    try:
        yield tls(place, probes.shake_hands(place, way, STEP_S))
    except TimeoutError:
        yield fail("tls", f"{place} connects, and then says nothing for {STEP_S:g} s", _CABLE, Unreachable)
    except (OSError, HTTPException, ValueError) as error:
        advice = "a firewall or a proxy may break TLS off, or the address is one for http://"
        yield fail("tls", f"no TLS with {place}: {_reason(error)}", advice, Unreachable)


def _reason(error: Exception) -> str:
    """What broke a TLS connection, in a few words."""
    said = str(error)
    if not said.startswith("Tunnel connection failed"):  # the proxy's own words, else the library's or the system's
        said = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
    return printable(said.lower().replace("_", " "))


def tls(place: Place, hands: Handshake) -> Finding:
    """Who vouches for the other end."""
    signer = f"{printable(hands.issuer)!r}" if hands.issuer else "somebody unknown"
    if hands.trust is Trust.EVERYBODY:
        return ok("tls", f"{place.host} is vouched for by {signer}")
    if hands.trust is Trust.HERE:
        said = f"{signer}, whom only your own certificates know, vouches for {place.host}"
        return note("tls", f"{said}: a mirror of your own, or a network that opens TLS and can read along")
    said = f"{place.host} shows a certificate by {signer} that nobody trusts: {hands.problem}"
    if hands.clock:
        return fail(
            "tls", said, "set this machine's clock, if it is wrong; else the server's own is at fault", Untrusted
        )
    advice = (
        "if this network wants a login, do it in a browser; if it opens TLS, ask its administrator "
        "for the certificate and set REQUESTS_CA_BUNDLE=company-ca.pem"
    )
    return fail("tls", said, advice, Untrusted)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


_PROXIES = {"http_proxy", "https_proxy", "all_proxy"}
