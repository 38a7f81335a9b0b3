"""All checks in their order: what needs no network first, then the network as far as it works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hfmirror.doctor import disk, network, rate, surroundings
from hfmirror.doctor.endpoint import check_endpoint
from hfmirror.doctor.findings import Level, fail, failed, note, ok
from hfmirror.errors import MirrorError, TimedOut, UsageError
from hfmirror.sources import probes
from hfmirror.sources.callers import is_loopback
from hfmirror.sources.hub import HubSource
from hfmirror.sources.probes import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hfmirror.doctor.findings import Finding
    from hfmirror.model import RepoId
    from hfmirror.settings import Settings
    from hfmirror.sources.http import Http

BY_ITSELF = {"clock", "token", "rate"}  # checks whose failure keeps no other from being made
ASK_S = 5.0  # for the questions to the endpoint, connecting included


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks whom, and with what."""

    settings: Settings
    http: Http
    token: Callable[[], str | None]
    environment: Mapping[str, str]
    rated: tuple[RepoId, str] | None = None  # a repo and revision to measure the rate with

    @property
    def safe(self) -> bool:
        """Whether a token sent to the endpoint is read by nobody on the way."""
        parts = urlsplit(self.settings.endpoint)
        return parts.scheme == "https" or is_loopback(parts.hostname or "")


def examine_machine(
    settings: Settings, environment: Mapping[str, str], check_store: Callable[[], bool]
) -> Iterator[Finding]:
    """What can be known without asking anybody. `check_store` says whether there is a store, or raises."""
    yield from disk.check_disk(settings.root)
    try:
        yield ok("store", "the store can be used" if check_store() else "there is none yet: the first pull makes it")
    except MirrorError as error:
        yield failed("store", error)
    yield from surroundings.check_variables(environment, settings.root)
    yield surroundings.engine(settings, there=surroundings.has_pycurl())


def examine_network(asker: Asker) -> Iterator[Finding]:
    """The way to the endpoint, up to the first step that fails: what comes after it needs it."""
    for step in (_way, _line, _tls, _endpoint, _rate):
        blocked = False
        for finding in step(asker):
            yield finding
            blocked = blocked or (finding.level is Level.FAIL and finding.check not in BY_ITSELF)
        if blocked:
            yield note("network", "what comes after this was not tried: it cannot work before that does")
            return


def _way(asker: Asker) -> Iterator[Finding]:
    endpoint = asker.settings.endpoint
    try:
        Place.of(endpoint)
    except ValueError:
        yield fail("settings", "HF_ENDPOINT is no address", "write it like https://huggingface.co", UsageError)
        return
    yield from network.check_proxy(endpoint, asker.http.way_to(endpoint), asker.environment)


def _line(asker: Asker) -> Iterator[Finding]:
    if not asker.http.way_to(asker.settings.endpoint).proxy:  # with one, it is the proxy that looks up and connects
        yield from network.check_line(Place.of(asker.settings.endpoint))


def _tls(asker: Asker) -> Iterator[Finding]:
    endpoint = asker.settings.endpoint
    if endpoint.startswith("https://"):
        yield from network.check_tls(Place.of(endpoint), asker.http.way_to(endpoint))


def _endpoint(asker: Asker) -> Iterator[Finding]:
    def work() -> list[Finding]:
        return list(check_endpoint(asker.http, asker.settings.endpoint, asker.token(), safe=asker.safe))

    try:
        yield from probes.within(ASK_S, work)
    except TimedOut as error:
        advice = "a firewall or a proxy may swallow the answer, or the server is in trouble: try a browser"
        yield fail("endpoint", f"it connects, and then: {error}", advice, TimedOut)
    except MirrorError as error:
        yield failed("endpoint", error)


def _rate(asker: Asker) -> Iterator[Finding]:
    if asker.rated is None:
        return
    source = HubSource(asker.http, asker.settings.endpoint, asker.token if asker.safe else _nobody)
    try:
        yield from rate.check_rate(source, *asker.rated)
    except MirrorError as error:
        yield failed("rate", error)


def _nobody() -> str | None:
    return None
