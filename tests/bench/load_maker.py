"""The clients of a load, in a process of their own: `python -m tests.bench.load_maker`.

It reads its work as a line of JSON, says `ready`, waits for the moment to begin (seconds of the
monotonic clock, which all processes of a machine share), works, and says what came as JSON. What
arrives is thrown away as cheaply as can be, so that it is the server that is measured: what a flood
brings is not even copied out of the kernel where that is possible (Linux), and not decrypted.
"""

from __future__ import annotations

import json
import selectors
import sys
import threading
import time
from itertools import cycle
from typing import TYPE_CHECKING

from tests.bench.load import Work
from tests.bench.load_stream import Stream, connected, request

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

LEAD_S = 0.3  # of work before the clock: connections reach their pace
_BUFFER = 2**20  # bytes taken at once
_HEAD_END = b"\r\n\r\n"
_SLEEP_S = 0.02  # of a slow client


def flood(work: Work, begin: float) -> dict[str, object]:
    """As many bytes as come in the time, by clients that ask again and again."""
    streams = [Stream(work) for _ in range(work.clients)]
    buffer = memoryview(bytearray(_BUFFER))
    with selectors.DefaultSelector() as ready:
        for stream in streams:
            stream.register(ready)
        _wait_until(begin)
        before = _drain(ready, buffer, begin + LEAD_S)
        since = time.monotonic()
        count = _drain(ready, buffer, since + work.seconds)
        took = time.monotonic() - since
    broken = sum(stream.broken for stream in streams)
    return {"count": count, "seconds": took, "all": before + count, "broken": broken}


def _drain(ready: selectors.BaseSelector, buffer: memoryview, until: float) -> int:
    count = 0
    while time.monotonic() < until:
        for key, _ in ready.select(0.1):
            stream: Stream = key.data
            count += stream.take(buffer, ready)
    return count


def ask(work: Work, begin: float) -> dict[str, object]:
    """As many answers as come in the time; each client has one question out at any moment. Targets come in turn."""
    socks, head_only = [connected(work) for _ in range(work.clients)], work.method == "HEAD"
    questions = cycle([request(work, number) for number in range(len(work.targets))])
    for sock in socks:
        sock.sendall(next(questions))
    _wait_until(begin)
    counts = []
    since = begin
    for until in (begin + LEAD_S, begin + LEAD_S + work.seconds):
        since, count = time.monotonic(), 0
        while time.monotonic() < until:
            for sock in socks:
                _hear(sock, head_only=head_only)
                sock.send(next(questions))
            count += len(socks)
        counts.append(count)
    took = time.monotonic() - since
    return {"count": counts[-1], "seconds": took, "all": sum(counts), "broken": 0}


def _hear(sock: socket.socket, *, head_only: bool) -> None:
    """One answer, with its body."""
    answer = sock.recv(65_536)
    while (end := answer.find(_HEAD_END)) < 0:
        answer += _more(sock)
    if not answer.startswith(b"HTTP/1.1 20"):
        raise ValueError(f"not what was asked for: {answer[:200]!r}")
    if head_only:
        return
    missing = end + len(_HEAD_END) + body_length(answer[:end]) - len(answer)
    while missing > 0:
        missing -= len(_more(sock))


def _more(sock: socket.socket) -> bytes:
    more = sock.recv(65_536)
    if not more:
        raise ConnectionError("the answer ends too early")
    return more


def body_length(head: bytes) -> int:
    """What a head says of its body."""
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0])


def ping(work: Work, begin: float) -> dict[str, object]:
    """How long each answer takes one client that asks for one after the other, with `pause_s` between."""
    question, sock = request(work, 0), connected(work)
    took = []
    _wait_until(begin + LEAD_S)
    until = time.monotonic() + work.seconds
    while (start := time.perf_counter()) and time.monotonic() < until:
        sock.send(question)
        _hear(sock, head_only=work.method == "HEAD")
        took.append(time.perf_counter() - start)
        if work.pause_s:
            time.sleep(work.pause_s)
    return {"took": sorted(took)}


def fetch(work: Work, begin: float) -> dict[str, object]:
    """Each client fetches the whole once, from its connection on: when its first byte came, and its last."""
    firsts, lasts = [0.0] * work.clients, [0.0] * work.clients

    def one(number: int) -> None:
        _wait_until(begin)
        with connected(work) as sock:
            sock.sendall(request(work, number))
            buffer = memoryview(bytearray(_BUFFER))
            answer = bytes(buffer[: sock.recv_into(buffer)])
            while (end := answer.find(_HEAD_END)) < 0 or len(answer) == end + len(_HEAD_END):
                answer += _more(sock)
            firsts[number] = time.monotonic() - begin
            if not answer.startswith(b"HTTP/1.1 20"):
                raise ValueError(f"not what was asked for: {answer[:200]!r}")
            missing = end + len(_HEAD_END) + body_length(answer[:end]) - len(answer)
            while missing > 0 and (came := sock.recv_into(buffer)):
                missing -= came
            if missing == 0:
                lasts[number] = time.monotonic() - begin

    threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(work.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"firsts": firsts, "lasts": lasts}


def crawl(work: Work, begin: float) -> dict[str, object]:
    """One client that takes `rate` bytes a second, and has little room for more, for as long as it is let."""
    sock = connected(work, receive_buffer=65_536)
    _wait_until(begin)
    sock.sendall(request(work, 0))
    while sock.recv(int(work.rate * _SLEEP_S)):
        time.sleep(_SLEEP_S)
    raise ConnectionError("the crawling client was sent away")


def _wait_until(moment: float) -> None:
    time.sleep(max(moment - time.monotonic(), 0))


_KINDS: dict[str, Callable[[Work, float], dict[str, object]]] = {
    "flood": flood, "ask": ask, "ping": ping, "fetch": fetch, "crawl": crawl,
}  # fmt: skip


def main() -> None:
    """Do the work that is named on the first line."""
    work = Work(**json.loads(sys.stdin.readline()))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    begin = float(sys.stdin.readline()) + work.delay_s
    sys.stdout.write(json.dumps(_KINDS[work.kind](work, begin)) + "\n")


if __name__ == "__main__":
    main()
