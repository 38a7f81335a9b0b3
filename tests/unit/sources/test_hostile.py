"""A Hub, or something on the way to it, that does not mean well, or not just now."""

from __future__ import annotations

import gzip
import http.server
import json
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from urllib3.exceptions import SSLError

from hfmirror.errors import MirrorError, ProtocolError, RepoNotFound, Unavailable, Unreachable, Untrusted
from hfmirror.model import EVERYTHING, CommitId, RepoId, Selection, Span
from hfmirror.sources import http as wire
from hfmirror.sources.http import Http
from hfmirror.sources.hub import HubSource
from hfmirror.sources.reply import DECODED, Asked, Headers, failure, onward, printable, reading
from tests.contracts.scene import COMMIT, FILES, TINY, data_of, entry, publish
from tests.simulator import served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulator import HubSimulator

HERE = Asked("the hub", TINY, "main", "f.bin")


def source(endpoint: str) -> HubSource:
    """A hub seen by nobody in particular."""
    return HubSource(Http(stall_s=2.0), endpoint, lambda: None)


@contextmanager
def answering(body: Callable[[str], tuple[dict[str, str], bytes]]) -> Iterator[str]:
    """A server that gives `body(path)` to every question."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fields, data = body(self.path)
            self.send_response(200)
            for name, value in {"Content-Length": str(len(data)), **fields}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_listing_that_leads_back_to_itself_ends() -> None:
    row = {"type": "file", "path": "x", "size": 1, "oid": "0" * 40}

    def page(path: str) -> tuple[dict[str, str], bytes]:
        return {"Link": f'<http://elsewhere{path}>; rel="next"'}, json.dumps([row]).encode()

    with answering(page) as endpoint, pytest.raises(ProtocolError):
        source(endpoint).manifest(TINY, CommitId(COMMIT), Selection())


def test_a_description_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LISTING", 1000)
    packed = gzip.compress(b'{"sha": "' + b"0" * 100_000 + b'"}')
    with answering(lambda _: ({"Content-Encoding": "gzip"}, packed)) as endpoint, pytest.raises(ProtocolError):
        source(endpoint).resolve(TINY, "main")


def test_json_that_is_nested_beyond_all_reason_is_no_answer() -> None:
    with answering(lambda _: ({}, b"[" * 60_000)) as endpoint, pytest.raises(Unavailable):
        source(endpoint).resolve(TINY, "main")
    assert isinstance(failure(418, Headers({}), "[" * 60_000, HERE), MirrorError)


def test_a_bomb_is_unpacked_a_bounded_piece_at_a_time() -> None:
    how = reading(200, Headers({"content-encoding": "gzip"}), entry(b"x" * 9), Span(0, 9), HERE)
    sizes = [len(piece) for piece in how.plain(gzip.compress(bytes(20 * DECODED)))]
    assert sum(sizes) == 20 * DECODED
    assert max(sizes) <= DECODED
    with pytest.raises(Unavailable):
        list(how.plain(b"and on it goes"))


@pytest.mark.parametrize("location", ["http://[x", "https://h:abc/", "file:///etc/passwd", "ftp://h/x", ""])
def test_an_address_that_is_none_is_not_followed(location: str) -> None:
    if location:
        with pytest.raises(ProtocolError):
            onward("http://hub/a", location)
    else:
        assert onward("http://hub/a", location) == "http://hub/a"


def test_an_address_in_raw_utf8_is_followed_as_it_was_meant() -> None:
    raw = "/x/é.txt?a=%20b".encode().decode("latin-1")  # as header fields are read
    assert onward("http://hub/a", raw) == "http://hub/x/%C3%A9.txt?a=%20b"


def test_what_the_other_end_says_cannot_steer_the_terminal() -> None:
    said = failure(403, Headers({"x-error-message": "no\x1b[2J\r\nway\ud83d" + "x" * 9999}), "", HERE)
    assert "\x1b" not in str(said)
    assert "\n" not in str(said)
    assert len(str(said)) < 500
    assert printable("a\tb") == "a b"


@pytest.mark.parametrize("digits", ["1" * 400, "9" * 5000])
def test_numbers_beyond_all_reason_are_none(digits: str) -> None:
    assert Headers({"content-length": digits}).number("content-length") is None
    assert isinstance(failure(429, Headers({"retry-after": digits, "ratelimit": f"t={digits}"}), "", HERE), MirrorError)


def test_a_tls_connection_that_breaks_off_is_worth_another_try() -> None:
    with pytest.raises(Unreachable) as broken, wire.translated("https://hub"):
        raise SSLError(ssl.SSLEOFError(8, "EOF occurred in violation of protocol"))
    assert broken.value.retryable
    with pytest.raises(Untrusted) as unknown, wire.translated("https://hub"):
        raise SSLError(ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"))
    assert not unknown.value.retryable


def test_a_signed_address_whose_host_is_gone_is_forgotten(hub: HubSimulator) -> None:
    publish(hub)
    path = "model.safetensors"
    with served(hub) as site:
        seen = source(site.endpoint)
        listing = seen.manifest(TINY, seen.resolve(TINY, "main").commit, Selection())
        wanted = listing.get(path)
        assert wanted is not None
        seen.addresses.learn(listing, wanted, "http://127.0.0.1:9/gone")  # nobody listens there
        with pytest.raises(Unreachable), seen.open(listing, wanted, Span(0, 10)):
            pass
        with seen.open(listing, wanted, Span(0, 10)) as stream:
            assert b"".join(map(bytes, stream))[:10] == data_of(FILES[path])[:10]


def test_the_name_a_hub_goes_by_cannot_lead_elsewhere() -> None:
    answer = {"sha": COMMIT, "id": "../../api/other"}
    with answering(lambda _: ({}, json.dumps(answer).encode())) as endpoint:
        seen = source(endpoint)
        seen.resolve(TINY, "main")
        assert seen.addresses.name(TINY) == TINY.name


def test_a_password_in_the_endpoint_is_not_repeated() -> None:
    hub = HubSource(Http(), "http://me:secret@127.0.0.1:9", lambda: None)
    with pytest.raises(Unavailable) as caught:
        hub.resolve(TINY, "main")
    assert "secret" not in f"{caught.value} {caught.value.hint()} {hub.name}"
    assert "secret" not in hub._asked(TINY, "main").page
    assert isinstance(RepoNotFound(TINY, hub.name), MirrorError)


def test_patterns_that_overlap_reach_each_folder_once() -> None:
    assert Selection(("data/*.json", "data/en/*.parquet", "other/x")).reach().folders == ("data",)
    assert Selection(("*.json", "data/*")).reach() == EVERYTHING
    assert RepoId.of(TINY.kind, TINY.name) == TINY
