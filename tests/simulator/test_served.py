"""The same hub over sockets: what the wire shows, byte for byte where clients look."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.certificates import self_signed
from tests.simulator import HubSimulator, Made, Served, served
from tests.simulator.ask import Got, ask
from tests.simulator.repos import repo_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulator.content import Given

ROOT = Path(__file__).parents[2]
WEIGHTS = Made(300_000, seed=1)
CONFIG = b'{"model_type":"bert"}'
FILES: dict[str, Given] = {"config.json": CONFIG, "model.safetensors": WEIGHTS, "sub/a b+c.txt": b"x", "empty.txt": b""}
REAL_CLIENT = """
import sys
from huggingface_hub import snapshot_download
for kind in ("model", "dataset"):
    print(snapshot_download("acme/tiny", repo_type=kind, token=sys.argv[1] or False))
"""


@pytest.fixture
def hub() -> HubSimulator:
    """A hub with one small model and one dataset."""
    hub = HubSimulator()
    hub.add("acme/tiny", FILES, tags=("v1.0",), refs=("refs/pr/1", "refs/convert/parquet"))
    hub.add("acme/tiny", FILES, branch="feature/x")
    hub.add("datasets/acme/tiny", {"data/train.parquet": WEIGHTS, "README.md": b"# tiny"})
    return hub


@pytest.fixture
def site(hub: HubSimulator) -> Iterator[Served]:
    """The hub behind sockets, with its CDN."""
    with served(hub) as site:
        yield site


def follow(site: Served, url: str, **headers: str) -> Got:
    """The answer behind at most one redirect."""
    first = ask(url, headers=headers)
    where = first["Location"]
    return ask(where if where.startswith("http") else site.endpoint + where, headers=headers) if where else first


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


# Files


def test_a_small_file_is_behind_a_relative_redirect(hub: HubSimulator, site: Served) -> None:
    url = f"{site.endpoint}/acme/tiny/resolve/main/sub/a%20b%2Bc.txt"
    commit = hub.resolve(repo_id("acme/tiny"), "main").commit
    oid = hub.stored("acme/tiny", "sub/a b+c.txt").oid
    for method, body in (("HEAD", b""), ("GET", b"x")):
        first = ask(url, method)
        assert first.status == 307
        assert first["Location"] == (
            f"/api/resolve-cache/models/acme/tiny/{commit}/sub%2Fa%20b%2Bc.txt"
            f"?%2Facme%2Ftiny%2Fresolve%2Fmain%2Fsub%2Fa%20b%2Bc.txt=&etag=%22{oid}%22"
        )
        second = ask(site.endpoint + str(first["Location"]), method)
        assert (second.status, second["Content-Length"]) == (200, "1")
        assert second.body == body
        for answer in (first, second):
            assert (answer["ETag"], answer["X-Repo-Commit"]) == (f'"{oid}"', commit)
    assert ask(url, headers={"If-None-Match": f'"{oid}"'}).status == 304


def test_a_large_file_is_behind_a_signed_address_of_another_origin(hub: HubSimulator, site: Served) -> None:
    first = ask(f"{site.endpoint}/acme/tiny/resolve/main/model.safetensors", "HEAD")
    sha256 = hashlib.sha256(WEIGHTS.data()).hexdigest()
    location = str(first["Location"])
    assert first.status == 302
    assert location.startswith(site.cdn_origin)
    assert {"Expires", "Policy", "Signature"} <= parse_qs(urlsplit(location).query).keys()
    assert (first["X-Linked-Size"], first["X-Linked-ETag"]) == ("300000", f'"{sha256}"')
    assert 'rel="xet-auth"' in str(first["Link"])
    whole = ask(location)
    assert (whole.status, whole.body) == (200, WEIGHTS.data())
    assert whole["ETag"] == f'"{first["X-Xet-Hash"]}"' != f'"{sha256}"'
    part = ask(location, headers={"Range": "bytes=100-199"})
    assert (part.status, part["Content-Range"]) == (206, "bytes 100-199/300000")
    assert part.body == WEIGHTS.data()[100:200]
    assert hub.bytes_served == 300_100


def test_the_cdn_wants_its_signature_and_no_token(site: Served) -> None:
    location = str(ask(f"{site.endpoint}/acme/tiny/resolve/main/model.safetensors")["Location"])
    assert ask(location, headers=bearer("hf_x")).status == 400
    assert ask(location.replace("Signature=", "Signature=0")).status == 403
    assert ask(f"{site.cdn_origin}/").status == 404


def test_who_accepts_xet_gets_no_bytes(hub: HubSimulator, site: Served) -> None:
    url, wish = f"{site.endpoint}/acme/tiny/resolve/main/model.safetensors", "application/vnd.xet-fileinfo+json"
    got = ask(url, headers={"Accept": wish})
    assert (got.status, got["Content-Type"], got.json["size"]) == (200, wish, 300_000)
    hub.xet = False
    quiet = ask(url, headers={"Accept": wish})
    assert (quiet.status, quiet["X-Xet-Hash"], quiet["Link"]) == (302, None, None)


def test_a_signed_address_expires() -> None:
    now = [1_700_000_000.0]
    hub = HubSimulator(clock=lambda: now[0])
    hub.add("acme/tiny", FILES)
    with served(hub) as site:
        location = str(ask(f"{site.endpoint}/acme/tiny/resolve/main/model.safetensors")["Location"])
        assert ask(location, "HEAD").status == 200
        now[0] += 3601
        late = ask(location)
    assert late.status == 403
    assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in late.body


def test_without_a_cdn_the_bytes_come_at_once(hub: HubSimulator) -> None:
    with served(hub, cdn=False) as site:
        assert site.cdn_origin == ""
        small = ask(f"{site.endpoint}/acme/tiny/resolve/main/config.json")
        large = ask(f"{site.endpoint}/acme/tiny/resolve/main/model.safetensors", headers={"Range": "bytes=-5"})
    assert (small.status, small.body) == (200, CONFIG)
    assert (large.status, large.body) == (206, WEIGHTS.data()[-5:])
    assert large["ETag"] == large["X-Linked-ETag"]


@pytest.mark.parametrize(
    ("wish", "status", "told", "size"),
    [
        ("bytes=0-0", 206, "bytes 0-0/300000", 1),
        ("bytes=299999-", 206, "bytes 299999-299999/300000", 1),
        ("bytes=299990-999999", 206, "bytes 299990-299999/300000", 10),
        ("bytes=300000-", 416, "bytes */300000", 0),
        ("bytes=5-2", 200, None, 300_000),
        ("bytes=0-1,5-6", 200, None, 300_000),
        ("lines=0-1", 200, None, 300_000),
    ],
)
def test_ranges_follow_the_standard(site: Served, wish: str, status: int, told: str | None, size: int) -> None:
    got = follow(site, f"{site.endpoint}/acme/tiny/resolve/main/model.safetensors", Range=wish)
    assert (got.status, got["Content-Range"], len(got.body)) == (status, told, size)


def test_a_range_holds_only_for_the_etag_it_was_meant_for(site: Served) -> None:
    location = str(ask(f"{site.endpoint}/acme/tiny/resolve/main/model.safetensors")["Location"])
    etag = str(ask(location, "HEAD")["ETag"])
    assert ask(location, headers={"Range": "bytes=1-1", "If-Range": etag}).status == 206
    assert ask(location, headers={"Range": "bytes=1-1", "If-Range": '"other"'}).status == 200


def test_an_empty_file_has_no_range(site: Served) -> None:
    assert follow(site, f"{site.endpoint}/acme/tiny/resolve/main/empty.txt").body == b""
    assert follow(site, f"{site.endpoint}/acme/tiny/resolve/main/empty.txt", Range="bytes=0-").status == 416


def test_raw_shows_what_git_keeps(hub: HubSimulator, site: Served) -> None:
    raw = f"{site.endpoint}/acme/tiny/raw/main"
    assert ask(f"{raw}/config.json").body == CONFIG
    assert ask(f"{raw}/model.safetensors").body == hub.stored("acme/tiny", "model.safetensors").pointer


def test_files_on_disk_are_sent_exactly(tmp_path: Path) -> None:
    (tmp_path / "f.bin").write_bytes(Made(5_000_000).data())
    hub = HubSimulator()
    hub.add("acme/tiny", {"f.bin": tmp_path / "f.bin"})
    with served(hub) as site:
        got = follow(site, f"{site.endpoint}/acme/tiny/resolve/main/f.bin", Range="bytes=1000000-4000000")
    assert got.body == Made(5_000_000).data()[1_000_000:4_000_001]


def test_a_repo_may_bear_the_name_of_a_call(hub: HubSimulator, site: Served) -> None:
    for name in ("acme/resolve", "acme/tree", "resolve"):
        commit = hub.add(name, {"raw/main/x.txt": name})
        assert ask(f"{site.endpoint}/api/models/{name}").json["sha"] == commit
        assert ask(f"{site.endpoint}/api/models/{name}/revision/main").json["id"] == name
        assert follow(site, f"{site.endpoint}/{name}/resolve/main/raw/main/x.txt").body == name.encode()
    assert ask(f"{site.endpoint}/api/models/gpt2/tree/main").status == 401


# The server itself


def test_a_whole_address_is_as_good_as_a_path(site: Served) -> None:
    address = urlsplit(site.endpoint)
    with socket.create_connection((str(address.hostname), address.port or 0)) as sock:
        sock.sendall(b"GET http://hub.example/api/models/acme/tiny HTTP/1.1\r\nHost: hub.example\r\n\r\n")
        assert sock.recv(2**16).startswith(b"HTTP/1.1 200 OK")


def test_requests_are_counted_with_what_they_carried(hub: HubSimulator, site: Served) -> None:
    hub.login("hf_me")
    assert hub.count(token="hf_me") == 0
    url = f"{site.endpoint}/acme/tiny/resolve/main/model.safetensors"
    follow_up = str(ask(url, headers=bearer("hf_me") | {"User-Agent": "test/1"})["Location"])
    ask(follow_up, headers={"Range": "bytes=10-19"})
    first, second = hub.requests
    assert (first.origin, first.kind, first.status, first.has_authorization) == ("hub", "resolve", 302, True)
    assert first.user_agent == "test/1"
    assert (second.origin, second.kind, second.status, second.sent) == ("cdn", "cdn", 206, 10)
    assert (second.range, second.has_authorization, second.file) == (
        "bytes=10-19",
        False,
        "model.safetensors",
    )
    assert hub.count(file="*.safetensors") == hub.count(repo="acme/tiny") == 2
    assert (hub.count(token="hf_me"), hub.count(token="")) == (1, 1)


def test_one_connection_carries_many_requests(site: Served) -> None:
    address = urlsplit(site.endpoint)
    one = f"GET /api/models/acme/tiny/refs HTTP/1.1\r\nHost: {address.netloc}\r\n"
    with socket.create_connection((str(address.hostname), address.port or 0)) as sock:
        sock.sendall(f"{one}\r\n{one}Connection: close\r\n\r\n".encode())
        with sock.makefile("rb") as reader:
            assert reader.read().count(b"HTTP/1.1 200 OK") == 2


def test_bodies_come_in_chunks_and_after_a_question(site: Served) -> None:
    address = urlsplit(site.endpoint)
    head = f"POST /api/models/acme/tiny/paths-info/main HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n"
    with socket.create_connection((str(address.hostname), address.port or 0)) as sock:
        sock.sendall(f"{head}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"6\r\npaths=\r\n3\r\nsub\r\n0\r\n\r\n")
        with sock.makefile("rb") as reader:
            assert b'"type":"directory"' in reader.read()


def test_nothing_is_left_behind(hub: HubSimulator) -> None:
    before = set(threading.enumerate())
    with served(hub) as site:
        idle = socket.create_connection((str(urlsplit(site.endpoint).hostname), urlsplit(site.endpoint).port or 0))
        ask(f"{site.endpoint}/api/models/acme/tiny")
    with idle:
        assert idle.recv(1) == b""
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        ask(f"{site.endpoint}/api/models/acme/tiny")


def test_the_same_over_tls(hub: HubSimulator, tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(cert, key)
    theirs = ssl.create_default_context(cafile=str(cert))
    with served(hub, tls=ours) as site:
        address = urlsplit(site.endpoint)
        with (
            socket.create_connection((str(address.hostname), address.port or 0)) as plain,
            theirs.wrap_socket(plain, server_hostname=str(address.hostname)) as sock,
        ):
            sock.sendall(f"GET /api/models/acme/tiny HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
            assert sock.recv(2**16).startswith(b"HTTP/1.1 200 OK")
    assert site.cdn_origin.startswith("https://")


@pytest.mark.parametrize("cdn", [True, False])
@pytest.mark.parametrize("token", ["", "hf_reader"])
def test_the_real_client_downloads_from_it(hub: HubSimulator, tmp_path: Path, token: str, cdn: bool) -> None:
    pytest.importorskip("huggingface_hub")
    if token:
        hub.restrict("acme/tiny", private=True, token=token)
    with served(hub, cdn=cdn) as site:
        settings = {"HF_ENDPOINT": site.endpoint, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
        words = [sys.executable, "-c", REAL_CLIENT, token]
        done = subprocess.run(words, env=os.environ | settings, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    model, dataset = map(Path, done.stdout.split())
    assert {p: (model / p).read_bytes() for p in FILES} == {p: hub.content("acme/tiny", p) for p in FILES}
    assert (dataset / "data/train.parquet").read_bytes() == WEIGHTS.data()
    assert not any(record.has_authorization for record in hub.ledger.select(origin="cdn"))


def test_the_command_publishes_folders_and_tells_what_it_served(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "f.bin").write_bytes(WEIGHTS.data())
    words = [
        "-m",
        "tests.simulator",
        "--folder",
        str(tmp_path),
        "--repo",
        "acme/tiny",
        "--no-cdn",
        "--cut-every",
    ]
    process = subprocess.Popen(
        [sys.executable, *words, "200000"], cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    with process:
        assert process.stdout is not None
        endpoint = json.loads(process.stdout.readline())["endpoint"]
        got = ask(f"{endpoint}/acme/tiny/resolve/main/sub/f.bin")
        rest = ask(f"{endpoint}/acme/tiny/resolve/main/sub/f.bin", headers={"Range": "bytes=200000-"})
        process.send_signal(signal.SIGTERM)
        assert json.loads(process.stdout.readline()) == {"requests": 2, "bytes_served": 300_000}
    assert got.broke is not None
    assert got.body + rest.body == WEIGHTS.data()
    assert process.returncode == 0
