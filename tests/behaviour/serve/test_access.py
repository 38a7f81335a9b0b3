"""Who may read what (design, section 15): a hidden repo looks exactly like one that does not exist."""

from __future__ import annotations

import hashlib
import re
import socket
import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.behaviour.serve.lab import PART, Lab, Trap, cold, resolve, serve, wait_until
from tests.simulator import HubSimulator, Made, Served, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.behaviour.serve.lab import Serving
    from tests.behaviour.serve.wire import Answer
    from tests.simulator.content import Given

ALICE, BOB, SERVER = ("hf_" + name * 6 + name[:4] for name in ("alice", "bobob", "serve"))
NOBODY = "hf_" + "z" * 34
SECRET, GATED, PUBLIC, MISSING = "acme/secret", "acme/gated", "acme/public", "acme/absent"
WEIGHTS = Made(2 * PART + 7, seed=40)
FILES: dict[str, Given] = {"model.safetensors": WEIGHTS, "config.json": b'{"secret":"marker-of-the-secret"}'}
ETAG = f'"{hashlib.sha256(WEIGHTS.data()).hexdigest()}"'
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(hub: HubSimulator) -> HubSimulator:
    """A private repo and a gated one that Alice may read, and one for everybody."""
    hub.add(SECRET, FILES, private=True, token=ALICE)
    hub.add(GATED, {"model.safetensors": Made(PART, seed=41), "config.json": b"{}"}, gated="manual", token=ALICE)
    hub.add(PUBLIC, {"config.json": b"{}"})
    hub.login(BOB)
    return hub


def calls(repo: str, commit: str) -> list[tuple[str, str]]:
    """Everything one can ask about a repo."""
    api = f"/api/models/{repo}"
    reads = [
        *(resolve(repo, path, revision) for path in FILES for revision in ("main", commit)),
        f"/{repo}/raw/main/config.json",
        f"/api/resolve-cache/models/{repo}/{commit}/config.json",
        *(f"{api}{call}" for call in ("", "/revision/main", f"/revision/{commit}", "/tree/main", "/refs")),
        *(f"{api}{call}" for call in ("/commits/main", "/treesize/main/", "/auth-check", "/tree/main/sub")),
        f"/{repo}",
        f"/{repo}/blob/main/config.json",
    ]
    return [*((method, target) for target in reads for method in ("GET", "HEAD")), ("POST", f"{api}/paths-info/main")]


def seen(mirror: Serving, repo: str, commit: str, token: str) -> list[object]:
    """What somebody sees of a repo, its name and the numbers of requests made alike."""
    looks: list[object] = []
    for method, target in calls(repo, commit):
        body = b"paths=config.json" if method == "POST" else None
        got = mirror.ask(target, method, body=body, token=token)
        fields = sorted(f for f in got.head.fields if f[0] not in {"date", "x-request-id"})
        look = re.sub(r"\d+", "N", f"{got.status} {fields} {got.body!r}".replace(repo, "REPO").replace(commit, "C"))
        looks.append((method, target.replace(repo, "REPO").replace(commit, "C"), got.status, look))
    return looks


def read(mirror: Serving, token: str = "", repo: str = SECRET, path: str = "model.safetensors") -> Answer:
    """One file."""
    return mirror.ask(resolve(repo, path), token=token)


def commit_of(hub: HubSimulator, repo: str = SECRET) -> str:
    """The present commit of a repo."""
    return next(known for name, known in hub.repos.items() if str(name) == repo).commit("main").id


@pytest.mark.parametrize("words", [[], ["--offline"]])
def test_who_may_not_read_a_repo_cannot_tell_that_it_is_there(hub: HubSimulator, lab: Lab, words: list[str]) -> None:
    """Field notes B7: through a mirror without the Hub, everybody could read everything."""
    with serve(lab) as mirror:
        assert read(mirror, ALICE).whole == WEIGHTS.data()
        assert read(mirror, ALICE, path="config.json").status == 200
        assert mirror.ask(f"/api/models/{SECRET}", token=ALICE).json["private"] is True
        if not words:
            _assert_hidden(mirror, commit_of(hub))
    if words:
        with serve(lab, *words) as mirror:
            assert read(mirror, ALICE).whole == WEIGHTS.data()
            _assert_hidden(mirror, commit_of(hub))


def _assert_hidden(mirror: Serving, commit: str) -> None:
    for token in ("", BOB, NOBODY):
        hidden, missing = seen(mirror, SECRET, commit, token), seen(mirror, MISSING, COMMIT, token)
        assert hidden == missing
        assert "marker" not in str(hidden)
        for name, value in (("If-None-Match", ETAG), ("If-None-Match", "*"), ("Range", "bytes=0-9"), ("If-Match", "*")):
            for method in ("GET", "HEAD"):
                got = mirror.ask(resolve(SECRET, "model.safetensors"), method, headers={name: value}, token=token)
                assert got.status == 404


def test_listings_show_nobody_what_he_may_not_read(hub: HubSimulator, lab: Lab) -> None:
    with serve(lab) as mirror:
        assert read(mirror, ALICE, path="config.json").status == 200
        assert read(mirror, "", PUBLIC, "config.json").status == 200
        for query in ("", "?author=acme", "?search=secret", "?limit=1", "?sort=lastModified&direction=-1"):
            for token in ("", BOB, NOBODY):
                got = mirror.ask(f"/api/models{query}", token=token)
                assert SECRET.encode() not in got.body
                assert SECRET not in (got["Link"] or "")
        assert SECRET in {row["id"] for row in mirror.ask("/api/models", token=ALICE).json}
        assert SECRET.encode() not in mirror.ask("/api/models").body
        assert PUBLIC in {row["id"] for row in mirror.ask("/api/models").json}


def test_a_gated_repo_shows_its_names_and_keeps_its_bytes(hub: HubSimulator, lab: Lab) -> None:
    """Protocol 2.6: 401 or 403 GatedRepo; the metadata of gated repos stay public."""
    with serve(lab) as mirror:
        assert read(mirror, ALICE, GATED).whole == Made(PART, seed=41).data()
        for token in ("", BOB):
            for method in ("GET", "HEAD"):
                got = mirror.ask(resolve(GATED, "model.safetensors"), method, token=token)
                assert (got.status in {401, 403}, got.code) == (True, "GatedRepo")
                assert got["X-Error-Message"]
        assert mirror.ask(f"/api/models/{GATED}").json["gated"] == "manual"
    with serve(lab, "--offline") as mirror:
        assert read(mirror, ALICE, GATED).whole == Made(PART, seed=41).data()
        for token in ("", BOB, NOBODY):
            assert read(mirror, token, GATED).status in {401, 403, 404}


def test_a_fill_for_one_is_not_for_another(hub: HubSimulator, lab: Lab) -> None:
    """While it is on its way as well."""
    with serve(lab) as mirror, hub.failing(hold_from=PART, where="cdn") as held, mirror.line() as line:
        line.send(resolve(SECRET, "model.safetensors"), headers={"Authorization": f"Bearer {ALICE}"})
        assert line.head().status == 200
        wait_until(lambda: held.strikes > 0)
        for token in ("", BOB, NOBODY):
            assert read(mirror, token).status in {401, 404}
            part = mirror.ask(resolve(SECRET, "model.safetensors"), headers={"Range": "bytes=0-9"}, token=token)
            assert part.status in {401, 404}
        held.lifted.set()
        assert line.some(WEIGHTS.size) == WEIGHTS.data()


def test_each_proves_it_for_himself(hub: HubSimulator, lab: Lab) -> None:
    """The Hub is asked with the caller's own token, never with another's."""
    hub.restrict(SECRET, token=BOB)
    with serve(lab) as mirror:
        assert read(mirror, ALICE).status == read(mirror, BOB).status == 200
        assert read(mirror, "").status == 404
        assert hub.count(repo=SECRET, token=ALICE) >= 1
        assert hub.count(repo=SECRET, token=BOB) >= 1
        assert hub.count(origin="cdn") == hub.count(origin="cdn", token="") > 0
    with serve(lab, "--offline") as mirror:
        assert read(mirror, ALICE).status == read(mirror, BOB).status == 200
        assert read(mirror, NOBODY).status == 404


def test_the_same_bytes_in_a_public_repo_are_public(hub: HubSimulator, lab: Lab) -> None:
    """Access belongs to names; what the Hub shows everybody is no secret."""
    hub.add("acme/open", {"w.safetensors": WEIGHTS})
    with serve(lab) as mirror:
        assert read(mirror, ALICE).status == 200
        assert mirror.ask(resolve("acme/open", "w.safetensors")).whole == WEIGHTS.data()
        assert read(mirror, "").status == 404


def test_what_the_servers_own_token_brought_is_not_for_everybody(hub: HubSimulator, lab: Lab) -> None:
    """Field notes B8. Deny by default, pulled by the admin or through the server alike."""
    hub.restrict(SECRET, token=SERVER)
    lab.run("pull", SECRET, settings={"HF_TOKEN": SERVER})
    with serve(lab, settings={"HF_TOKEN": SERVER}) as mirror:
        for token in ("", BOB, NOBODY):
            assert seen(mirror, SECRET, commit_of(hub), token) == seen(mirror, MISSING, COMMIT, token)
        assert read(mirror, ALICE).whole == WEIGHTS.data()
        assert read(mirror, "", PUBLIC, "config.json").status == 200
    with serve(lab, "--offline", settings={"HF_TOKEN": SERVER}) as mirror:
        assert read(mirror, "").status == read(mirror, BOB).status == 404
        assert read(mirror, ALICE).status == 200


def test_a_repo_that_was_public_is_not_shown_when_it_is_private(hub: HubSimulator, lab: Lab) -> None:
    """Once the Hub says no, the mirror does for branches; who has proven it goes on."""
    with serve(lab) as mirror:
        assert read(mirror, "", PUBLIC, "config.json").status == 200
    hub.restrict(PUBLIC, private=True, token=ALICE)
    cold(lab)
    with serve(lab) as mirror:
        got = read(mirror, "", PUBLIC, "config.json")
        assert (got.status, got.code) == (404, "RepoNotFound")
        assert read(mirror, ALICE, PUBLIC, "config.json").status == 200


def test_a_token_that_nobody_knows_does_not_shut_the_door_to_what_is_public(hub: HubSimulator, lab: Lab) -> None:
    """Clients send whatever token they were once given (protocol 2.11)."""
    with serve(lab) as mirror:
        for token in (NOBODY, "x", BOB):
            assert read(mirror, token, PUBLIC, "config.json").whole == b"{}"
        for header in ("Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "bearer  " + ALICE, "Nonsense"):
            got = mirror.ask(resolve(PUBLIC, "config.json"), headers={"Authorization": header})
            assert got.whole == b"{}"
        got = mirror.ask(resolve(SECRET, "config.json"), headers={"Authorization": f"bearer {ALICE}"})
        assert got.status == 200


def test_no_token_is_kept_or_told(hub: HubSimulator, lab: Lab) -> None:
    """Design 15: never logged, never stored in clear."""
    log = lab.folder / "access.jsonl"
    with serve(lab, "--log-json", str(log)) as mirror:
        assert read(mirror, ALICE).status == 200
        read(mirror, BOB)
        mirror.ask(f"{resolve(SECRET, 'config.json')}?token={ALICE}&x=1")
        mirror.ask("/api/whoami-v2", token=ALICE)
        mirror.ask("/nowhere", headers={"Authorization": f"Token {BOB}"})
    assert log.read_bytes()
    places = [log, mirror.out, mirror.err, *(p for p in lab.root.rglob("*") if p.is_file())]
    for token in (ALICE, BOB):
        assert [place for place in places if token.encode() in place.read_bytes()] == []
        plain = hashlib.sha256(token.encode()).hexdigest().encode()  # a keyed hash is asked for
        assert [place for place in places if plain in place.read_bytes()] == []


def test_a_password_in_the_address_of_the_hub_is_not_told(lab: Lab) -> None:
    with serve(lab, "--upstream", lab.endpoint.replace("://", "://me:secret@")) as mirror:
        assert read(mirror, ALICE, PUBLIC, "config.json").whole == b"{}"
    assert b"upstream http://127" in mirror.err.read_bytes()
    assert b"secret" not in mirror.err.read_bytes()


# Where tokens go


def test_a_token_does_not_follow_a_redirect_to_another_host(hub: HubSimulator, lab: Lab) -> None:
    with Trap() as trap, serve(lab) as mirror:
        with hub.failing(redirect_to=f"{trap.url}{{target}}", where="hub"):
            read(mirror, ALICE, path="config.json")
            mirror.ask(f"/api/models/{SECRET}", token=ALICE)
        heard = b"".join(trap.heard)
        assert ALICE.encode() not in heard
        assert b"authorization" not in heard.lower()
        assert read(mirror, ALICE, path="config.json").status == 200


class _Proxy(socketserver.ThreadingTCPServer):
    """A plain HTTP proxy that leads every address to one place, and keeps what it heard."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, place: str) -> None:
        self.place, self.heard = urlsplit(place), bytearray()
        super().__init__(("127.0.0.1", 0), _Relay)


class _Relay(socketserver.BaseRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        place = self.server.place
        with socket.create_connection((str(place.hostname), place.port or 80)) as there:
            back = threading.Thread(target=_copy, args=(there, self.request, bytearray()))
            back.start()
            _copy(self.request, there, self.server.heard)
            back.join()


def _copy(source: socket.socket, sink: socket.socket, heard: bytearray) -> None:
    try:
        while data := source.recv(2**16):
            heard += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def behind_a_proxy(site: Served) -> Iterator[_Proxy]:
    """The Hub under a name that is not the loopback's, by plain http."""
    with _Proxy(site.endpoint) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


def test_a_token_never_goes_over_plain_http_to_another_machine(hub: HubSimulator, tmp_path: Path) -> None:
    """Design 15: only to the upstream's own origin, over TLS or on the loopback. Public repos still come through."""
    with served(hub, cdn=False) as site, behind_a_proxy(site) as proxy:
        lab = Lab(hub, "http://hub.example", tmp_path)
        address = f"http://127.0.0.1:{proxy.server_address[1]}"
        settings = {"http_proxy": address, "HTTP_PROXY": address, "HF_TOKEN": SERVER}
        with serve(lab, settings=settings) as mirror:
            assert read(mirror, "", PUBLIC, "config.json").whole == b"{}"
            assert read(mirror, ALICE, PUBLIC, "config.json").whole == b"{}"
            assert read(mirror, ALICE).status in {401, 403, 404}
        assert b"hub.example" in proxy.heard
        assert b"authorization" not in proxy.heard.lower()
        assert ALICE.encode() not in proxy.heard
        assert all(not record.has_authorization for record in hub.requests)
