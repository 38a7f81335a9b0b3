"""Broken worlds on the loopback: ports that refuse, that are silent, that answer what they like."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.certificates import self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=utf-8"}


@contextmanager
def silent_port() -> Iterator[int]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    """Nobody listens there any more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Answering(http.server.BaseHTTPRequestHandler):
    """One answer for everything."""

    protocol_version = "HTTP/1.1"
    status = 200
    fields: Mapping[str, str] = JSON
    body = b"{}"
    seen: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization", "")))
        self.send_response_only(self.status)
        for name, value in self.fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # the base class names it so
        """Say nothing."""


@contextmanager
def answering(
    status: int = 200, fields: Mapping[str, str] = JSON, body: bytes = b"{}", tls: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """A server that says this to everything; its port, and what it was asked with which authorization."""
    seen: list[tuple[str, str]] = []
    kind = type("Kind", (Answering,), {"status": status, "fields": fields, "body": body, "seen": seen})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who hangs up in a handshake is expected
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1], seen
        finally:
            server.shutdown()
            thread.join()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """One for the loopback, signed by itself; and a server's context with it."""
    cert, key = self_signed(folder, "/O=Nosy Office/CN=localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context
