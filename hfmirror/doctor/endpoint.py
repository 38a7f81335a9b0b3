"""What answers at the endpoint: a Hub, a mirror, a login page; with which clock, and whether it knows us."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hfmirror.doctor.findings import fail, note, ok, warn
from hfmirror.errors import BadToken, Intercepted, ProtocolError, Unavailable
from hfmirror.sources.http import origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfmirror.doctor.findings import Finding
    from hfmirror.sources.http import Http
    from hfmirror.sources.reply import Headers

TEXT = 2**16  # bytes of an answer that are read; all that is asked for has a few hundred
SKEW_S = 300.0  # a clock that is more wrong makes fresh certificates and signed addresses look invalid
UNEASY_S = 60.0
FAR_S = 1.0  # an answer that takes longer is felt at each file
_LOGIN = "open a browser and log in to this network, or check the proxy; then run this again"


@dataclass(frozen=True, slots=True)
class Told:
    """One answer, and how long it took."""

    url: str
    status: int
    headers: Headers
    text: str
    onward: str  # where it sends us to; empty: nowhere
    seconds: float
    at: float  # this machine's clock when it came

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in it; empty when there is none."""
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def ask(http: Http, url: str, token: str | None = None) -> Told:
    """Ask, and read the answer. Raises Unreachable, TimedOut, Untrusted."""
    began = time.monotonic()
    with http.get(url, {"Authorization": f"Bearer {token}"} if token else {}) as answer:
        text = answer.text(TEXT)
        seconds = time.monotonic() - began
        return Told(url, answer.status, answer.headers, text, answer.redirect or "", seconds, time.time())


def check_endpoint(http: Http, endpoint: str, token: str | None, *, safe: bool) -> Iterator[Finding]:
    """All that two small questions tell. The token goes along where that is `safe`. Raises as `ask` does."""
    who = ask(http, f"{endpoint}/api/whoami-v2", token if safe else None)
    found = hub(who)
    yield from clock(who)
    if found is not None:
        yield found
        return
    health = ask(http, f"{endpoint}/healthz")
    mirror = health.status == 200 and health.document.get("status") == "ok"
    yield speed(health, mirror=mirror)
    yield login(who, token, safe=safe, mirror=mirror)


def hub(told: Told) -> Finding | None:
    """What stands where a Hub should; None when it is one."""
    place = origin(told.url)
    if told.onward and urlsplit(told.onward).hostname != urlsplit(told.url).hostname:
        said = f"asked {place} for JSON and was sent on to {origin(told.onward)}: a login page, or a wrong address"
        return fail("portal", said, _LOGIN, Intercepted)
    if told.onward:
        advice = f"write HF_ENDPOINT as it wants to be called: {origin(told.onward)}"
        return warn("endpoint", f"{place} sends on to {origin(told.onward)}", advice)
    if told.status == 407:
        return fail("proxy", "the proxy wants a name and a password", "http://name:password@proxy:port", Unavailable)
    if told.status == 429 or (told.status >= 500 and told.status != 511):
        said = f"{place} is there, and cannot answer now (status {told.status})"
        return fail("endpoint", said, "wait a little and run this again", Unavailable)
    if told.status == 511 or "text/html" in told.headers.get("content-type"):
        said = f"{place} answers with a web page where JSON is due: a login page, or a proxy's refusal"
        return fail("portal", said, _LOGIN, Intercepted)
    if not {"name", "error", "type"} & told.document.keys():
        advice = "check HF_ENDPOINT; it must be the address of a Hub or of a mirror of one"
        return fail("endpoint", f"{place} does not answer like a Hub (status {told.status})", advice, ProtocolError)
    return None


def speed(told: Told, *, mirror: bool) -> Finding:
    """How soon it answers over a connection that is open."""
    what = "an hfmirror" if mirror else "a Hub"
    said = f"{origin(told.url)} is {what}, and answers in {told.seconds * 1000:.0f} ms"
    if told.seconds > FAR_S:
        return warn("endpoint", said, "many small files will be slow; a mirror nearby (`hfmirror serve`) helps")
    return ok("endpoint", said)


def clock(told: Told) -> Iterator[Finding]:
    """This machine's clock against the other end's."""
    try:
        theirs = parsedate_to_datetime(told.headers.get("date")).timestamp()
    except (TypeError, ValueError, OverflowError):  # no date, or none that is one
        yield note("clock", f"not compared: {origin(told.url)} does not say what time it has")
        return
    off = told.at - theirs
    said = f"this machine's clock is {abs(off):,.0f} s {'ahead of' if off > 0 else 'behind'} that of {origin(told.url)}"
    advice = "set the clock, best by the network's time (NTP)"
    if abs(off) > SKEW_S:
        yield fail("clock", f"{said}: certificates and signed addresses will be refused", advice, Unavailable)
    elif abs(off) > UNEASY_S:
        yield warn("clock", said, advice)
    else:
        yield ok("clock", "right within a minute")


def login(told: Told, token: str | None, *, safe: bool, mirror: bool) -> Finding:
    """Whether the endpoint knows the token. It is never shown."""
    if token is None:
        return note("token", "nobody is logged in: public repos only", "for others: `hf auth login`, or HF_TOKEN")
    if not safe:
        advice = "use an https:// address for the endpoint, or log out with `hf auth logout`"
        return warn("token", "a token is there, and the endpoint would get it unencrypted; not tried", advice)
    if told.status == 200:
        return ok("token", "the endpoint knows the token")
    if mirror:
        return note("token", "the mirror has not given out this token; it may pass it on to the Hub")
    advice = "make a new one on the Hub's settings page; then `hf auth login`, or set HF_TOKEN"
    return fail("token", "the endpoint refuses the token", advice, BadToken)
