"""What may stand where a Hub should."""

from __future__ import annotations

import time
from contextlib import closing
from email.utils import formatdate

import pytest

from hfmirror.doctor.endpoint import Told, check_endpoint, clock, hub, login, speed
from hfmirror.doctor.findings import Level
from hfmirror.errors import BadToken, MirrorError, ProtocolError, Unavailable
from hfmirror.sources.http import Http
from hfmirror.sources.reply import Headers
from tests.unit.doctor.world import HTML, JSON, answering

URL = "https://hub.example/api/whoami-v2"
NOW = 1_700_000_000.0


def told(
    status: int = 401,
    text: str = '{"error": "no"}',
    *,
    kind: str = "application/json",
    onward: str = "",
    date: str = "",
    seconds: float = 0.1,
) -> Told:
    return Told(URL, status, Headers({"content-type": kind, "date": date}), text, onward, seconds, NOW)


@pytest.mark.parametrize("status", [200, 401, 403])
def test_a_hub(status: int) -> None:
    assert hub(told(status)) is None


@pytest.mark.parametrize(
    ("answer", "check", "family"),
    [
        (told(302, "", onward="http://login.hotel.example/?from=hub"), "portal", Unavailable),
        (told(200, "<html>", kind="text/html; charset=utf-8"), "portal", Unavailable),
        (told(403, "<html>", kind="text/html"), "portal", Unavailable),
        (told(511, "", kind=""), "portal", Unavailable),
        (told(407, ""), "proxy", Unavailable),
        (told(503, "<html>", kind="text/html"), "endpoint", Unavailable),
        (told(429), "endpoint", Unavailable),
        (told(200, "[]"), "endpoint", ProtocolError),
        (told(404, "not found", kind="text/plain"), "endpoint", ProtocolError),
    ],
)
def test_what_is_no_hub(answer: Told, check: str, family: type[MirrorError]) -> None:
    found = hub(answer)
    assert found is not None
    assert (found.check, found.level, found.code) == (check, Level.FAIL, family.exit_code)
    assert found.advice


def test_a_redirect_within_the_host_is_no_portal() -> None:
    found = hub(told(301, "", onward="http://hub.example:8080/api/whoami-v2"))
    assert found is not None
    assert (found.check, found.level) == ("endpoint", Level.WARN)


@pytest.mark.parametrize(
    ("off", "level"),
    [(0.0, Level.OK), (30.0, Level.OK), (-120.0, Level.WARN), (3600.0, Level.FAIL), (-3600.0, Level.FAIL)],
)
def test_the_clock(off: float, level: Level) -> None:
    (found,) = clock(told(date=formatdate(NOW - off, usegmt=True)))
    assert found.level is level
    assert found.code == (Unavailable.exit_code if level is Level.FAIL else 0)
    if level is Level.FAIL:
        assert "3,600 s" in found.sentence
        assert ("ahead" if off > 0 else "behind") in found.sentence


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Foo 2023 00:00:00 GMT"])
def test_a_server_without_a_clock(date: str) -> None:
    (found,) = clock(told(date=date))
    assert found.level is Level.NOTE


def test_a_far_endpoint() -> None:
    assert speed(told(seconds=2.0), mirror=False).level is Level.WARN
    near = speed(told(seconds=0.05), mirror=True)
    assert (near.level, "hfmirror" in near.sentence) == (Level.OK, True)


def test_tokens() -> None:
    assert login(told(), None, safe=True, mirror=False).level is Level.NOTE
    assert login(told(200), "hf_secret", safe=True, mirror=False).level is Level.OK
    assert login(told(401), "hf_secret", safe=True, mirror=True).level is Level.NOTE
    refused = login(told(401), "hf_secret", safe=True, mirror=False)
    assert (refused.level, refused.code) == (Level.FAIL, BadToken.exit_code)
    assert login(told(401), "hf_secret", safe=False, mirror=False).level is Level.WARN


@pytest.mark.parametrize(("safe", "sent"), [(True, "Bearer hf_secret"), (False, "")])
def test_a_token_goes_only_where_it_is_safe(safe: bool, sent: str) -> None:
    date = {"Date": formatdate(time.time() + 3600, usegmt=True)}
    with answering(401, JSON | date, b'{"error": "Invalid"}') as (port, seen), closing(Http(5.0)) as http:
        found = [*check_endpoint(http, f"http://127.0.0.1:{port}", "hf_secret", safe=safe)]
    assert seen == [("/api/whoami-v2", sent), ("/healthz", "")]
    assert [row.check for row in found] == ["clock", "endpoint", "token"]
    assert found[0].level is Level.FAIL
    assert "hf_secret" not in str(found)


def test_a_login_page_ends_the_questions() -> None:
    with answering(200, HTML, b"<html>welcome</html>") as (port, seen), closing(Http(5.0)) as http:
        found = [*check_endpoint(http, f"http://127.0.0.1:{port}", "hf_secret", safe=True)]
    assert [row.check for row in found] == ["clock", "portal"]
    assert len(seen) == 1
