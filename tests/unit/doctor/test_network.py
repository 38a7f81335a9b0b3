"""The way to the endpoint, broken at each step."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import certifi
import pytest

from hfmirror.doctor import network
from hfmirror.doctor.findings import Level
from hfmirror.errors import TimedOut, Unavailable, UsageError
from hfmirror.sources import probes
from hfmirror.sources.http import Way
from hfmirror.sources.probes import Connect, Handshake, Lookup, Place, Trust
from tests.unit.doctor.world import answering, certificate, closed_port, silent_port

if TYPE_CHECKING:
    from pathlib import Path

PLACE = Place("hub.example", 443)
DIRECT = Way("", certifi.where())
QUICK_S = 0.2


# Proxies


def test_no_proxy() -> None:
    (found,) = network.check_proxy("https://hub.example", DIRECT, {})
    assert found.level is Level.OK


def test_a_proxy_left_out_is_mentioned() -> None:
    (found,) = network.check_proxy("https://hub.example", DIRECT, {"HTTPS_PROXY": "http://proxy.example"})
    assert (found.level, "NO_PROXY" in found.sentence) == (Level.OK, True)


@pytest.mark.parametrize("name", ["https_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_gone_is_named_without_its_password(name: str) -> None:
    url = f"http://me:verysecret@127.0.0.1:{closed_port()}"
    (found,) = network.check_proxy("https://hub.example", Way(url, ""), {name: url, "HTTP_PROXY": "http://other"})
    assert (found.level, found.code) == (Level.FAIL, Unavailable.exit_code)
    assert name in found.sentence
    assert "HTTP_PROXY" not in found.sentence
    assert "verysecret" not in str(found)


def test_a_proxy_that_is_there() -> None:
    with silent_port() as port:
        url = f"127.0.0.1:{port}"
        (found,) = network.check_proxy("http://hub.example", Way(url, ""), {"http_proxy": url})
    assert found.level is Level.OK


def test_a_proxy_that_is_no_address() -> None:
    url = "http://proxy.example:many"
    (found,) = network.check_proxy("http://hub.example", Way(url, ""), {"http_proxy": url})
    assert found.code == UsageError.exit_code


# Names


def test_a_name_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lost)
    (found,) = network.check_line(PLACE)
    assert (found.check, found.code) == ("dns", Unavailable.exit_code)
    assert "name or service not known" in found.sentence


def test_a_name_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(60))
    try:
        found = network.names(PLACE, probes.look_up(PLACE, QUICK_S))
    finally:
        over.set()
    assert found.level is Level.FAIL
    assert "no answer" in found.sentence


def test_a_slow_name_server() -> None:
    assert network.names(PLACE, Lookup(("192.0.2.1",), (), 2.0)).level is Level.WARN
    assert network.names(PLACE, Lookup(("192.0.2.1",), ("2001:db8::1",), 0.1)).level is Level.OK


def test_what_takes_too_long_is_left_alone() -> None:
    over = threading.Event()
    with pytest.raises(TimedOut):
        probes.within(QUICK_S, lambda: over.wait(60))
    over.set()
    assert probes.within(60, lambda: 7) == 7


# Connections


def test_a_port_that_refuses() -> None:
    found = [*network.check_line(Place("127.0.0.1", closed_port()))]
    assert [(row.check, row.level) for row in found] == [("dns", Level.OK), ("connect", Level.FAIL)]
    assert found[1].code == Unavailable.exit_code


def test_a_port_that_listens() -> None:
    with silent_port() as port:
        *_, found = network.check_line(Place("127.0.0.1", port))
    assert found.level is Level.OK


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "level"),
    [
        (Connect(0.05), Connect(0.05), Level.OK),
        (Connect(0.05), None, Level.OK),
        (Connect(0.05), Connect(0.9), Level.NOTE),
        (Connect(0.05), Connect(0.01, "network is unreachable"), Level.NOTE),
        (Connect(0.05), Connect(3.0, "no answer for 3 s"), Level.WARN),
        (Connect(3.0, "no answer for 3 s"), Connect(0.05), Level.WARN),
        (Connect(3.0, "no answer for 3 s"), Connect(0.01, "network is unreachable"), Level.FAIL),
        (Connect(3.0, "no answer for 3 s"), None, Level.FAIL),
    ],
)
def test_one_family_of_addresses_against_the_other(ipv4: Connect, ipv6: Connect | None, level: Level) -> None:
    assert network.connections(PLACE, ipv4, ipv6).level is level


# TLS


def test_a_certificate_nobody_trusts_is_named_after_who_signed_it(tmp_path: Path) -> None:
    _, context = certificate(tmp_path)
    with answering(tls=context) as (port, seen):
        (found,) = network.check_tls(Place("127.0.0.1", port), DIRECT)
    assert (found.level, found.code) == (Level.FAIL, Unavailable.exit_code)
    assert "Nosy Office" in found.sentence
    assert "REQUESTS_CA_BUNDLE" in found.advice
    assert seen == []


def test_a_certificate_only_this_machine_trusts_is_mentioned(tmp_path: Path) -> None:
    paper, context = certificate(tmp_path)
    with answering(tls=context) as (port, _):
        (found,) = network.check_tls(Place("127.0.0.1", port), Way("", str(paper)))
    assert found.level is Level.NOTE
    assert "Nosy Office" in found.sentence


def test_a_certificate_that_is_out_of_date_points_at_the_clock() -> None:
    hands = Handshake(Trust.NOBODY, "Some CA", "certificate is not yet valid", clock=True)
    assert "clock" in network.tls(PLACE, hands).advice
    assert network.tls(PLACE, Handshake(Trust.EVERYBODY, "Some CA")).level is Level.OK


def test_a_port_that_speaks_no_tls() -> None:
    with answering() as (port, _):
        (found,) = network.check_tls(Place("127.0.0.1", port), DIRECT)
    assert (found.check, found.level) == ("tls", Level.FAIL)


def test_a_port_that_connects_and_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "STEP_S", QUICK_S)
    with silent_port() as port:
        (found,) = network.check_tls(Place("127.0.0.1", port), DIRECT)
    assert found.level is Level.FAIL
    assert "says nothing" in found.sentence


def test_a_proxy_that_refuses_to_pass_tls_on(tmp_path: Path) -> None:
    with answering(407) as (port, _):  # it knows no CONNECT at all
        (found,) = network.check_tls(PLACE, Way(f"http://me:verysecret@127.0.0.1:{port}", certifi.where()))
    assert "tunnel connection failed" in found.sentence
    assert "verysecret" not in str(found)


def test_tls_behind_a_socks_proxy_is_not_looked_at() -> None:
    (found,) = network.check_tls(PLACE, Way("socks5h://127.0.0.1:1080", certifi.where()))
    assert found.level is Level.NOTE
