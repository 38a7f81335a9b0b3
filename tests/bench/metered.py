"""A Hub in this process that counts every byte, holds to a rate, and spoils bits on request.

Not for speed: where bytes must be counted as they leave, or changed on their way, nginx cannot help.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.material import File, Repo

    Spoiler = Callable[[File, int, bytearray], None]  # may change the bytes from an offset on

_CHUNK = 64 * 2**10  # bytes sent at a time
_SEND_BUFFER = 128 * 2**10  # bytes; small, so that what counts as sent has nearly arrived
_RESOLVE = re.compile(r"/bench/([^/]+)/resolve/(?:main|[0-9a-f]{40})/(.+)")
_ABOUT = re.compile(r"/api/models/bench/([^/]+)(?:/(revision|tree)/(?:main|[0-9a-f]{40}))?")


class MeteredHub(ThreadingHTTPServer):
    """Counts; shared by the threads that answer."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, repos: Sequence[Repo], bytes_per_s: float | None, spoil: Spoiler | None) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.repos = {repo.name: repo for repo in repos}
        self.files = {(repo.name, file.path): file for repo in repos for file in repo.files}
        self.spoil = spoil
        self._bytes_per_s = bytes_per_s
        self._lock = threading.Lock()
        self._free_at = 0.0  # when the line has room again
        self._open: dict[int, int] = {}  # bytes sent of each answer still under way
        self.served = 0  # bytes of files, in all
        self.connections: list[socket.socket] = []  # every one there was

    @property
    def endpoint(self) -> str:
        """What to set HF_ENDPOINT to."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def under_way(self) -> list[int]:
        """Bytes sent so far of each file answer that has not ended."""
        with self._lock:
            return list(self._open.values())

    def opened(self, answer: int) -> None:
        """An answer with bytes of a file begins."""
        with self._lock:
            self._open[answer] = 0

    def sent(self, answer: int, count: int) -> None:
        """Bytes of an answer were taken by the other side's kernel."""
        with self._lock:
            self.served += count
            self._open[answer] += count

    def ended(self, answer: int) -> None:
        """An answer is over, whole or broken."""
        with self._lock:
            self._open.pop(answer, None)

    def wait_for_room(self, count: int) -> None:
        """Sleep until the line, all connections together, may carry `count` more bytes."""
        if self._bytes_per_s is None:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free_at)
            self._free_at = start + count / self._bytes_per_s
        time.sleep(start - now)

    def get_request(self) -> tuple[socket.socket, Any]:
        """As the base class; remembers the connection."""
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients are killed on purpose here: broken pipes are no news."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MeteredHub

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the log would be the loudest part of a bench."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        if found := _RESOLVE.fullmatch(path):
            file = self.server.files.get((found[1], found[2]))
            if file:
                return self._file(self.server.repos[found[1]], file, body=body)
        about = _ABOUT.fullmatch(path)
        repo = self.server.repos.get(about[1]) if about else None
        if repo is None or about is None:
            return self._say(404, b'{"error":"Not found"}', {"X-Error-Code": "EntryNotFound"}, body=body)
        return self._say(200, repo.tree() if about[2] == "tree" else repo.info(), {}, body=body)

    def _say(self, status: int, answer: bytes, headers: dict[str, str], *, body: bool) -> None:
        self._head(status, {"Content-Type": "application/json", "Content-Length": str(len(answer))} | headers)
        if body:
            self.wfile.write(answer)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _file(self, repo: Repo, file: File, *, body: bool) -> None:
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
        if file.lfs:
            headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
        start, stop, status = _span(self.headers.get("Range", ""), file.size)
        if status == 416:
            return self._say(416, b"", headers | {"Content-Range": f"bytes */{file.size}"}, body=body)
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
        self._head(status, headers | {"Content-Length": str(stop - start)})
        if body:
            self._send(repo, file, start, stop)
        return None

    def _send(self, repo: Repo, file: File, start: int, stop: int) -> None:
        answer = id(self)  # one at a time on a connection
        self.server.opened(answer)
        try:
            with (repo.folder / file.path).open("rb") as source:
                source.seek(start)
                while start < stop:
                    chunk = bytearray(source.read(min(_CHUNK, stop - start)))
                    if self.server.spoil:
                        self.server.spoil(file, start, chunk)
                    self.server.wait_for_room(len(chunk))
                    self.connection.sendall(chunk)
                    self.server.sent(answer, len(chunk))
                    start += len(chunk)
        except OSError:
            self.close_connection = True
        finally:
            self.server.ended(answer)


def _span(asked: str, size: int) -> tuple[int, int, int]:
    """Start, stop and status for a Range header."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
    if not found or size == 0:
        return 0, size, 200
    start = int(found[1])
    if start >= size:
        return 0, 0, 416
    return start, min(int(found[2]) + 1, size) if found[2] else size, 206


@contextmanager
def metered_hub(
    repos: Sequence[Repo], *, bytes_per_s: float | None = None, spoil: Spoiler | None = None
) -> Iterator[MeteredHub]:
    """Publish repos on a loopback port of this process."""
    hub = MeteredHub(repos, bytes_per_s, spoil)
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        with suppress(OSError):
            hub.shutdown()
            hub.server_close()
        thread.join(5)
