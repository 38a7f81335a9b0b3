"""Starting, watching and stopping it (issue, point 5)."""

from __future__ import annotations

import json
import signal
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.behaviour.serve.lab import PART, Lab, Trap, all_at_once, resolve, serve, wait_until
from tests.behaviour.serve.wire import Line
from tests.simulator import HubSimulator, Made

if TYPE_CHECKING:
    from tests.behaviour.serve.lab import Serving

FILE, WEIGHTS = "model.safetensors", Made(24 * PART + 3, seed=80)  # more than a connection's buffers
TARGET = resolve("acme/tiny", FILE)
UNREAD = 2**14  # bytes of a client's own buffer


@pytest.fixture
def held(hub: HubSimulator, lab: Lab) -> Lab:
    """A store with one repo."""
    hub.add("acme/tiny", {FILE: WEIGHTS, "config.json": b"{}"})
    lab.run("pull", "acme/tiny")
    hub.reset_counts()
    return lab


def refuses(mirror: Serving) -> bool:
    """Whether nobody listens there any more."""
    parts = urlsplit(mirror.address)
    try:
        socket.create_connection((str(parts.hostname), parts.port or 0), 1).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # it closes at this very moment: the next time tells
    return False


def reading(mirror: Serving) -> Line:
    """A client that has begun to read and takes its time."""
    line = mirror.line()
    line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD)
    line.send(TARGET)
    assert line.head().status == 200
    return line


def listens_on(port: int) -> set[str]:
    """The local addresses of a listening port, as the kernel writes them."""
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks at Linux's table of sockets")
def test_it_listens_on_this_machine_only_unless_told_otherwise(held: Lab) -> None:
    """Design 6.2: it binds to the loopback."""
    with serve(held) as mirror:
        assert listens_on(urlsplit(mirror.address).port or 0) <= {"0100007F", "0" * 24 + "01000000"}


def test_it_tells_where_it_is_and_that_it_lives(held: Lab) -> None:
    """`/healthz` and `/readyz` never depend on upstream, and never ask it."""
    with Trap() as trap, serve(held, upstream=trap.url) as mirror:
        for target in ("/healthz", "/readyz"):
            got = mirror.ask(target, timeout_s=3)
            assert got.status == 200
            assert (got["Content-Type"] or "").startswith("application/json")
            assert mirror.ask(target, "HEAD", timeout_s=3).status == 200
        assert trap.heard == []


def test_asked_to_stop_it_finishes_what_is_running(held: Lab) -> None:
    """SIGTERM: nobody new, and everybody who reads gets his last byte."""
    with serve(held, "--stop-within", "60") as mirror:
        line, idle = reading(mirror), mirror.line()
        mirror.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(mirror))
        assert mirror.fresh
        assert line.some(WEIGHTS.size) == WEIGHTS.data()
        assert mirror.process.wait(20) == 0
        line.close()
        idle.close()


def test_asked_to_stop_it_does_not_wait_for_ever(held: Lab) -> None:
    with serve(held, "--stop-within", "1") as mirror, reading(mirror) as line:
        mirror.process.send_signal(signal.SIGTERM)
        assert mirror.process.wait(20) == 0
        assert len(line.rest()) < WEIGHTS.size


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_asked_twice_it_stops_at_once(held: Lab, signum: signal.Signals) -> None:
    with serve(held, "--stop-within", "600") as mirror, reading(mirror) as line:
        mirror.process.send_signal(signum)
        wait_until(lambda: refuses(mirror))
        assert mirror.fresh
        mirror.process.send_signal(signum)
        mirror.process.wait(20)
        assert len(line.rest()) < WEIGHTS.size
        assert "Traceback" not in mirror.said


def test_stopped_in_a_fill_it_keeps_what_came(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/tiny", {FILE: WEIGHTS})
    with hub.failing(slow_rate=8 * PART, where="cdn"):
        with serve(lab, "--stop-within", "0") as mirror, reading(mirror):
            wait_until(lambda: hub.bytes_served > 8 * PART)
            assert mirror.end() == 0
        hub.settle()
        with serve(lab) as mirror:
            assert mirror.ask(TARGET).whole == WEIGHTS.data()
    hub.settle()
    assert hub.bytes_served <= WEIGHTS.size + 10 * PART


# What it writes


def test_each_request_leaves_a_line_for_people_and_one_for_machines(held: Lab) -> None:
    log = held.folder / "log.jsonl"
    with serve(held, "--log-json", str(log)) as mirror:
        mirror.ask("/api/models/acme/tiny?x=1")
        mirror.ask(TARGET, headers={"Range": "bytes=0-99"})
        mirror.ask("/acme/tiny/resolve/main/nope", "HEAD")
        wait_until(lambda: log.exists() and log.read_text().count("\n") >= 3)
        rows: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
        for row, (method, status, path) in zip(
            rows, (("GET", 200, "/api/models/acme/tiny"), ("GET", 206, TARGET), ("HEAD", 404, "nope")), strict=True
        ):
            values = list(row.values())
            assert method in values
            assert status in values
            assert any(path in value for value in values if isinstance(value, str))
            assert "127.0.0.1" in values
        assert 100 in rows[1].values()
        people = mirror.err.read_text()
        assert any("GET" in line and TARGET in line and "206" in line for line in people.splitlines())


@pytest.mark.parametrize("rude", [b"\x1b]0;x\x07", b"\x1b[31m", b"\xff\xfe", "\u202e".encode(), b"\x7f", b"\t"])
def test_a_log_is_not_written_by_its_readers(held: Lab, rude: bytes) -> None:
    """What clients send may hold a terminal's commands, or another line of the log."""
    log = held.folder / "log.jsonl"
    with serve(held, "--log-json", str(log)) as mirror:
        for data in (b"/" + rude + b"x", b"/%0a%0dGET%20/fake%20200", b"/%1b%5b31m"):
            with mirror.line() as line:
                line.raw(
                    b"GET " + data + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: " + rude + b"\r\nConnection: close\r\n\r\n"
                )
                line.rest()
        mirror.ask("/healthz")
        wait_until(lambda: "healthz" in log.read_text())
        for text in (mirror.err.read_bytes(), log.read_bytes()):
            assert not set(text) & ({*range(32), 127} - {10})
            assert not any(line.startswith(b"GET /fake") for line in text.splitlines())
        assert all(json.loads(line) for line in log.read_text().splitlines())


def test_quiet_is_quiet(held: Lab) -> None:
    with serve(held, "--quiet") as mirror:
        mirror.ask(TARGET, "HEAD")
        assert mirror.err.read_text() == ""


# What cannot be


@pytest.mark.parametrize(
    "words",
    [
        ["--upstream", "nonsense"],
        ["--upstream", "ftp://x"],
        ["--tls-cert", "nowhere.pem"],
        ["--tls-key", "nowhere.pem"],
        ["--tls-cert", "nowhere.pem", "--tls-key", "nowhere.pem"],
        ["--port", "99999"],
        ["--port", "x"],
        ["--prefetch", "some"],
        ["--prefix", "no-slash/../x"],
        ["--host", "no such host"],
        ["--max-clients", "0"],
        ["--stop-within", "-1"],
        ["--nonsense"],
    ],
)
def test_words_that_make_no_sense_are_refused(lab: Lab, words: list[str]) -> None:
    """In one sentence; a server that cannot be is no server."""
    done = lab.run("serve", "--port", "0", *words, code=None, longest_s=8)
    assert done.code not in {0, 1}
    assert len(done.err.splitlines()) <= 4


def test_a_port_that_is_taken_is_said_so(held: Lab) -> None:
    with serve(held) as mirror:
        port = str(urlsplit(mirror.address).port)
        done = held.run("serve", "--port", port, code=None, longest_s=8)
        assert done.code not in {0, 1}
        assert port in done.err
        assert mirror.ask(TARGET, "HEAD").status == 200


# The store under it


def test_what_is_pulled_beside_it_is_served(hub: HubSimulator, held: Lab) -> None:
    """Offline as well, and without a restart."""
    hub.add("acme/new", {"x.txt": b"new"})
    with serve(held, "--offline") as mirror:
        assert mirror.ask(resolve("acme/new", "x.txt")).code == "MirrorMiss"
        held.run("pull", "acme/new")
        assert mirror.ask(resolve("acme/new", "x.txt")).whole == b"new"
        assert {row["id"] for row in mirror.ask("/api/models").json} == {"acme/new", "acme/tiny"}


def test_what_is_removed_under_it_is_gone_or_fetched_again(hub: HubSimulator, held: Lab) -> None:
    """No 500, no short file."""
    with serve(held) as online, serve(held, "--offline") as offline:
        assert online.ask(TARGET, "HEAD").status == offline.ask(TARGET, "HEAD").status == 200
        for path in held.objects().values():
            path.unlink()
        assert (offline.ask(TARGET).status, offline.ask(TARGET).code) == (404, "MirrorMiss")
        assert online.ask(TARGET).whole == WEIGHTS.data()
        assert offline.ask(TARGET).whole == WEIGHTS.data()
        held.run("rm", "acme/tiny", "--yes", code=None)
        got = online.ask(TARGET)
        assert got.whole == WEIGHTS.data()


def test_an_empty_place_is_a_store(lab: Lab) -> None:
    with serve(lab, "--offline") as mirror:
        assert mirror.ask("/api/models").json == []
        assert mirror.ask("/readyz").status == 200


# TLS


def test_all_the_same_over_tls(hub: HubSimulator, held: Lab, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    cold = Made(3 * PART + 1, seed=81)
    hub.add("acme/cold", {FILE: cold, "empty.txt": b""})
    hub.add("acme/wide", {f"{n:03}.txt": b"x" for n in range(50)})
    tls = ssl.create_default_context(cafile=str(cert))
    with serve(held, "--tls-cert", str(cert), "--tls-key", str(key), tls=tls) as mirror:
        assert mirror.address.startswith("https://")
        got = all_at_once(mirror.ask, [TARGET, resolve("acme/cold", FILE)] * 4)
        assert [answer.whole for answer in got] == [WEIGHTS.data(), cold.data()] * 4
        part = mirror.ask(TARGET, headers={"Range": "bytes=-9"})
        assert (part.status, part.whole) == (206, WEIGHTS.data()[-9:])
        assert mirror.ask(TARGET, "HEAD")["Content-Length"] == str(WEIGHTS.size)
        assert mirror.ask(resolve("acme/cold", "empty.txt")).whole == b""
        assert mirror.ask(TARGET, headers={"If-None-Match": str(part["ETag"])}).status == 304
        assert (mirror.ask("/api/models/acme/wide/tree/main?limit=5").next or "").startswith(mirror.address)
        with mirror.line() as line:
            for _ in range(3):
                line.send(resolve("acme/tiny", "config.json"))
                assert line.answer().whole == b"{}"


def test_clients_that_never_shake_hands_are_in_nobodys_way(held: Lab, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    tls = ssl.create_default_context(cafile=str(cert))
    with serve(held, "--tls-cert", str(cert), "--tls-key", str(key), tls=tls) as mirror:
        silent = [Line(mirror.address) for _ in range(30)]
        plain = [Line(mirror.address) for _ in range(5)]
        try:
            for line in plain:
                line.send("/healthz")
            assert mirror.ask(TARGET, "HEAD", timeout_s=5).status == 200
            stuck = mirror.line()
            stuck.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD)
            stuck.send(TARGET)
            assert mirror.ask(TARGET, timeout_s=9).whole == WEIGHTS.data()
            stuck.close()
        finally:
            for line in (*silent, *plain):
                line.close()
