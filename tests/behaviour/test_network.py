"""Proxies, certificates of one's own, IPv6."""

from __future__ import annotations

import http.client
import http.server
import select
import socket
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.behaviour.lab import Lab
from tests.simulator import HubSimulator, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.simulator import Served

CLOSED = "http://127.0.0.1:9"  # nobody listens there
PASSED_ON = {f"content-{name}" for name in ("type", "range")} | {f"x-linked-{name}" for name in ("size", "etag")}
PASSED_ON |= {"accept-ranges", "etag", "link", "location", "x-repo-commit", "x-error-code", "x-error-message"}


class _Proxy(http.server.BaseHTTPRequestHandler):
    """Passes requests on. It alone knows where `hub.test` is."""

    protocol_version = "HTTP/1.1"
    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        address = urlsplit(self.path)
        host = "127.0.0.1" if address.hostname == "hub.test" else str(address.hostname)
        onward = http.client.HTTPConnection(host, address.port or 80, timeout=20)
        headers = {n: v for n, v in self.headers.items() if not n.lower().startswith("proxy-")}
        onward.request("GET", f"{address.path}?{address.query}" if address.query else address.path, headers=headers)
        answer = onward.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() in PASSED_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        onward.close()

    def do_CONNECT(self) -> None:
        self.seen.append(self.path)
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=20) as onward:
            self.send_response(200)
            self.end_headers()
            both = [self.connection, onward]
            while ready := select.select(both, [], [], 20)[0]:
                for sock in ready:
                    data = sock.recv(2**16)
                    if not data:
                        self.close_connection = True
                        return
                    both[sock is self.connection].sendall(data)

    def log_message(self, format: str, *args: object) -> None:  # the base class names it so
        """Say nothing."""


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy on the loopback, and the addresses it was asked for."""
    seen: list[str] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Proxy", (_Proxy,), {"seen": seen})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", seen
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(params=["default", "requests"])
def lab(hub: HubSimulator, site: Served, tmp_path: Path, request: pytest.FixtureRequest) -> Lab:
    """With both engines."""
    lab = Lab(hub, site.endpoint, tmp_path)
    if request.param == "requests":
        (tmp_path / "hidden").mkdir()
        (tmp_path / "hidden" / "pycurl.py").write_text("raise ImportError('hidden by a test')\n")
        lab.settings["PYTHONPATH"] = str(tmp_path / "hidden")
    return lab


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_used(hub: HubSimulator, lab: Lab, name: str) -> None:
    address = urlsplit(lab.endpoint)
    with proxy() as (where, seen):
        settings = {name: where, "HF_ENDPOINT": f"http://hub.test:{address.port}"}
        lab.run("pull", "acme/tiny", "--patience", "2", settings=settings)
        assert len(seen) == hub.count()
    assert {urlsplit(url).hostname for url in seen} == {"hub.test", "127.0.0.1"}
    lab.assert_same(lab.snapshot())


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_a_proxy_is_left_out_where_it_should_be(hub: HubSimulator, lab: Lab, name: str) -> None:
    with proxy() as (where, seen):
        lab.run("pull", "acme/tiny", "--patience", "2", settings={"HTTP_PROXY": where, name: "127.0.0.1,localhost"})
        assert seen == []
    lab.assert_same(lab.snapshot())


def test_a_proxy_that_is_gone_is_named(lab: Lab) -> None:
    done = lab.run("pull", "acme/tiny", "--patience", "0.3", code=5, settings={"HTTP_PROXY": CLOSED})
    assert "proxy" in done.err.lower()


def test_a_password_for_the_proxy_is_not_told(lab: Lab) -> None:
    settings = {"HTTP_PROXY": "http://me:verysecret@127.0.0.1:9"}
    done = lab.run("pull", "acme/tiny", "--patience", "0.3", code=5, settings=settings)
    assert "verysecret" not in done.said


# TLS


def trusting(key: Path, cert: Path) -> ssl.SSLContext:
    """A server's context with that certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_carries_tls(hub: HubSimulator, lab: Lab, certificate: tuple[Path, Path], name: str) -> None:
    cert, key = certificate
    with served(hub, tls=trusting(key, cert)) as site, proxy() as (where, seen):
        lab.endpoint = site.endpoint
        settings = {name: where, "REQUESTS_CA_BUNDLE": str(cert)}
        lab.run("pull", "acme/tiny", "--patience", "2", settings=settings)
        assert {f"https://{address}" for address in seen} == {site.endpoint, site.cdn_origin}
        lab.assert_same(lab.snapshot())


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"])
def test_a_certificate_of_ones_own(hub: HubSimulator, lab: Lab, certificate: tuple[Path, Path], name: str) -> None:
    cert, key = certificate
    with served(hub, tls=trusting(key, cert)) as site:
        lab.endpoint = site.endpoint
        lab.run("pull", "acme/tiny", "--patience", "2", settings={name: str(cert)})
        lab.assert_same(lab.snapshot())


def test_a_certificate_nobody_trusts_is_refused(hub: HubSimulator, lab: Lab, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with served(hub, tls=trusting(key, cert)) as site:
        lab.endpoint = site.endpoint
        done = lab.run("pull", "acme/tiny", "--patience", "0.3", code=5)
    assert "certificate" in done.err
    assert "REQUESTS_CA_BUNDLE" in done.err, "what to do next"
    assert hub.count() == 0


# IPv6


def test_ipv6(hub: HubSimulator, lab: Lab) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    with served(hub, host="::1") as site:
        assert site.endpoint.startswith("http://[::1]:")
        lab.endpoint = site.endpoint
        lab.run("pull", "acme/tiny", "--patience", "2")
    lab.assert_same(lab.snapshot())


def test_an_endpoint_with_a_slash_at_its_end(lab: Lab) -> None:
    lab.run("pull", "acme/tiny", "--patience", "2", settings={"HF_ENDPOINT": lab.endpoint + "/"})
    lab.assert_same(lab.snapshot())
