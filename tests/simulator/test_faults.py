"""Faults over sockets: each shows on the wire exactly as it was asked for."""

from __future__ import annotations

import gzip
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.simulator import Faults, HubSimulator, Made, Served, served
from tests.simulator.ask import Got, ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEIGHTS = Made(300_000, seed=1)
WHOLE = WEIGHTS.data()
CONFIG = b'{"model_type":"bert"}'


@pytest.fixture
def hub() -> HubSimulator:
    """A hub with one small model."""
    hub = HubSimulator()
    hub.add("acme/tiny", {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    return hub


@pytest.fixture
def site(hub: HubSimulator) -> Iterator[Served]:
    """The hub behind sockets, with its CDN."""
    with served(hub) as site:
        yield site


def signed(site: Served) -> str:
    """An address of the large file at the CDN."""
    return str(ask(f"{site.endpoint}/acme/tiny/resolve/main/model.safetensors")["Location"])


def weights(site: Served, wish: str | None = None) -> Got:
    """The large file, or a range of it."""
    return ask(signed(site), headers={"Range": wish} if wish else {})


def info(site: Served) -> Got:
    """A call of the API."""
    return ask(f"{site.endpoint}/api/models/acme/tiny/revision/main")


def test_a_fault_at_a_byte_meets_the_answer_that_brings_it(hub: HubSimulator, site: Served) -> None:
    with hub.failing(cut_after=5, at=200_000, where="cdn") as armed:
        assert weights(site, "bytes=0-199999").body == WHOLE[:200_000]
        assert weights(site, "bytes=200001-").body == WHOLE[200_001:]
        assert armed.strikes == 0
        assert weights(site, "bytes=150000-").body == WHOLE[150_000:200_005]
        assert weights(site).body == WHOLE[:200_005]
    where = signed(site)
    with hub.failing(status=503, at=200_000, times=1) as armed:
        assert info(site).status == 200, "which is no file"
        assert ask(where, headers={"Range": "bytes=0-199999"}).status == 206
        assert ask(where, headers={"Range": "bytes=200000-200000"}).status == 503
    assert armed.strikes == 1


def test_a_cut_ends_the_connection_after_so_many_bytes(hub: HubSimulator, site: Served) -> None:
    with hub.failing(cut_after=70_000) as armed:
        got = weights(site)
        assert (got.body, got["Content-Length"]) == (WHOLE[:70_000], "300000")
        assert got.broke is not None
        assert weights(site, "bytes=1-70000").body == WHOLE[1:70_001]
    assert armed.strikes == 1
    assert hub.bytes_served == 140_000


def test_a_reset_is_a_reset(hub: HubSimulator, site: Served) -> None:
    address = signed(site)
    with hub.failing(reset_after=70_000), pytest.raises(ConnectionResetError):
        ask(address)
    hub.settle()
    assert hub.bytes_served == 70_000


def test_a_stall_sends_the_rest_later_or_never(hub: HubSimulator, site: Served) -> None:
    with hub.failing(stall_after=1000, stall_s=0.05):
        start = time.monotonic()
        assert weights(site).body == WHOLE
        assert time.monotonic() - start >= 0.05
    with hub.failing(stall_after=1000, stall_s=600, where="cdn"), pytest.raises(TimeoutError):
        ask(signed(site), timeout_s=0.05)
    hub.settle()  # the server has noticed that the client is gone


def test_a_fault_every_so_many_bytes_counts_over_all_answers(hub: HubSimulator, site: Served) -> None:
    with hub.failing(cut_after=0, every=250_000, where="cdn") as armed:
        sizes = [len(weights(site).body) for _ in range(4)]
    assert sizes == [250_000, 250_000, 250_000, 250_000]
    with hub.failing(cut_after=0, every=400_000, where="cdn") as armed:
        sizes = [len(weights(site).body) for _ in range(4)]
    assert sizes == [300_000, 100_000, 300_000, 100_000]
    assert armed.strikes == 2


def test_a_reset_can_come_every_so_many_bytes(hub: HubSimulator, site: Served) -> None:
    with hub.failing(reset_after=0, every=400_000, where="cdn"):
        assert weights(site).body == WHOLE
        with pytest.raises(ConnectionResetError):
            weights(site)
        assert weights(site).body == WHOLE


def test_a_fault_every_so_many_bytes_strikes_once_over_many_connections(hub: HubSimulator, site: Served) -> None:
    bodies: list[int] = []
    with hub.failing(cut_after=0, every=500_000, where="cdn") as armed:
        threads = [threading.Thread(target=lambda: bodies.append(len(weights(site).body))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert armed.strikes <= 3
    assert len(bodies) == 6


def test_statuses_come_with_the_headers_asked_for(hub: HubSimulator, site: Served) -> None:
    with hub.failing(status=429, retry_after_s=7, where="api"):
        got = info(site)
        assert (got.status, got["Retry-After"], got["RateLimit"]) == (429, "7", None)
    with hub.failing(status=429, rate_limit_s=9, where="resolve"):
        got = ask(f"{site.endpoint}/acme/tiny/resolve/main/config.json")
        assert got["RateLimit"] == '"resolvers";r=0;t=9'
    with hub.failing(Faults(status=404, error_code="EntryNotFound")):
        assert info(site)["X-Error-Code"] == "EntryNotFound"
    with hub.failing(status=503, method="HEAD"):
        assert info(site).status == 200
    with hub.failing(status=403, where="cdn"):
        assert b"<Code>AccessDenied</Code>" in weights(site).body
    assert info(site)["Retry-After"] is None


def test_a_range_can_be_ignored(hub: HubSimulator, site: Served) -> None:
    with hub.failing(ignore_range=True) as armed:
        got = weights(site, "bytes=100-199")
        assert (got.status, got.body, got["Content-Range"]) == (200, WHOLE, None)
    assert armed.strikes == 1


def test_a_length_can_be_missing_or_too_short(hub: HubSimulator, site: Served) -> None:
    with hub.failing(no_length=True):
        got = weights(site)
        assert (got.body, got["Content-Length"], got["Transfer-Encoding"]) == (WHOLE, None, "chunked")
    with hub.failing(short_length=10):
        got = weights(site)
        assert (got.body, got["Content-Length"], got.broke) == (WHOLE[:-10], "299990", None)


def test_a_cut_shows_in_a_chunked_body_too(hub: HubSimulator, site: Served) -> None:
    with hub.failing(no_length=True, cut_after=1000):
        got = weights(site)
    assert got.body == WHOLE[:1000]
    assert got.broke is not None


@pytest.mark.parametrize(
    ("how", "told", "body"),
    [
        ("header", "bytes 99-198/300000", WHOLE[100:200]),
        ("bytes", "bytes 100-199/300000", WHOLE[99:199]),
        ("both", "bytes 99-198/300000", WHOLE[99:199]),
    ],
)
def test_a_range_can_be_a_wrong_one(hub: HubSimulator, site: Served, how: str, told: str, body: bytes) -> None:
    with hub.failing(wrong_range=how):
        got = weights(site, "bytes=100-199")
    assert (got.status, got["Content-Range"], got.body) == (206, told, body)


def test_bits_can_be_wrong(hub: HubSimulator, site: Served, tmp_path: Path) -> None:
    (tmp_path / "f.bin").write_bytes(WHOLE)
    hub.add("acme/tiny", {"model.safetensors": tmp_path / "f.bin"})
    with hub.failing(garbage_at=5, garbage_bits=(16, 17)):
        got = weights(site).body
    assert {at: got[at] ^ WHOLE[at] for at in range(len(WHOLE)) if got[at] != WHOLE[at]} == {2: 3, 5: 1}


def test_a_body_can_be_packed_unasked(hub: HubSimulator, site: Served) -> None:
    with hub.failing(gzip_anyway=True):
        got = weights(site)
        assert got["Content-Encoding"] == "gzip"
        assert gzip.decompress(got.body) == WHOLE
        assert gzip.decompress(info(site).body).startswith(b"{")


def test_a_login_page_can_come_instead(hub: HubSimulator, site: Served) -> None:
    with hub.failing(html_200=True):
        for got in (info(site), ask(f"{site.endpoint}/acme/tiny/resolve/main/config.json")):
            assert (got.status, got["Content-Type"]) == (200, "text/html; charset=utf-8")
    with hub.failing(json_error_200=True):
        got = info(site)
        assert (got.status, list(got.json)) == (200, ["error"])


def test_signed_addresses_can_expire_early(hub: HubSimulator, site: Served) -> None:
    with hub.failing(expire_s=0.0, where="cdn", times=1):
        assert weights(site).status == 403
        assert weights(site).status == 200
    with hub.failing(expire_after_uses=2):
        address = signed(site)
        assert [ask(address, "HEAD").status for _ in range(3)] == [200, 200, 403]


def test_etags_can_change(hub: HubSimulator, site: Served) -> None:
    with hub.failing(etag_changes=True):
        seen = {ask(f"{site.endpoint}/acme/tiny/resolve/main/config.json", "HEAD")["ETag"] for _ in range(3)}
        heads = {ask(f"{site.endpoint}/acme/tiny/resolve/main/model.safetensors")["X-Linked-ETag"] for _ in "ab"}
    assert len(seen) == 3
    assert len(heads) == 2


def test_an_answer_can_fail_to_come_or_come_late(hub: HubSimulator, site: Served) -> None:
    with hub.failing(close_without_answer=True, times=1):
        with pytest.raises(ConnectionError):
            info(site)
        assert info(site).status == 200
    with hub.failing(latency_s=0.03):
        start = time.monotonic()
        info(site)
        assert time.monotonic() - start >= 0.03


def test_bytes_can_be_slow(hub: HubSimulator, site: Served) -> None:
    with hub.failing(slow_rate=6_000_000, where="cdn"):
        start = time.monotonic()
        assert weights(site).body == WHOLE
        assert time.monotonic() - start >= 0.05


def test_nobody_listens_for_a_while(hub: HubSimulator, site: Served) -> None:
    address = signed(site)
    with hub.failing(refuse=True, where="cdn"):
        assert info(site).status == 200
        with pytest.raises(ConnectionRefusedError):
            ask(address)
    assert ask(address).body == WHOLE
    with hub.failing(refuse=True), pytest.raises(ConnectionRefusedError):
        info(site)
    assert info(site).status == 200


def test_refusing_ends_a_stall_at_once(hub: HubSimulator, site: Served) -> None:
    address, got = signed(site), list[Got]()
    with hub.failing(stall_after=1000, stall_s=600):
        reader = threading.Thread(target=lambda: got.append(ask(address)))
        reader.start()
        while hub.bytes_served < 1000:
            time.sleep(0.001)
        with hub.failing(refuse=True):
            reader.join(5)
    assert [answer.body for answer in got] == [WHOLE[:1000]]


def test_a_redirect_can_lead_anywhere(hub: HubSimulator, site: Served) -> None:
    with hub.failing(redirect_to="http://127.0.0.1:1{target}", where="api"):
        got = info(site)
    assert (got.status, got["Location"]) == (302, "http://127.0.0.1:1/api/models/acme/tiny/revision/main")


def test_an_olah_is_odd_in_all_its_ways(hub: HubSimulator, site: Served) -> None:
    api, file = f"{site.endpoint}/api/models/acme/tiny", f"{site.endpoint}/acme/tiny/resolve/main"
    with hub.failing(unranged_hub=True):
        got = ask(f"{file}/model.safetensors", headers={"Range": "bytes=5-9"})
        assert (got.status, got["Content-Length"], got.body) == (200, None, WHOLE)
        head = ask(f"{file}/model.safetensors", "HEAD")
        assert '"' not in str(head["ETag"])
        assert (head["Content-Length"], head["X-Linked-Size"], head["Link"]) == ("300000", None, None)
        assert (ask(api).status, ask(f"{api}/revision/main").status) == (401, 200)
        missing = ask(f"{file}/nope.json")
        assert (missing.status, missing["X-Error-Code"]) == (401, "RepoNotFound")
        moved = ask(f"{api}/tree/main?recursive=true")
        assert (moved.status, moved["Location"]) == (307, f"{api}/tree/main/?recursive=true")
        assert len(ask(str(moved["Location"])).json) == 2
        body, kind = b'{"paths":["config.json"]}', {"Content-Type": "application/json"}
        assert ask(f"{api}/paths-info/main", "POST", headers=kind, body=body).status == 422


def test_bytes_can_be_held_back_at_a_place_of_the_file(hub: HubSimulator, site: Served) -> None:
    got: list[Got] = []
    reader = threading.Thread(target=lambda: got.append(weights(site)))
    with hub.failing(hold_from=1000, hold_to=200_000) as armed:
        reader.start()
        while not armed.strikes:
            time.sleep(0.001)
        assert weights(site, "bytes=200000-").body == WHOLE[200_000:]
        assert weights(site, "bytes=10-999").body == WHOLE[10:1000]
        assert [r.sent for r in hub.ledger.select(kind="cdn")] == [1000, 100_000, 990]
    reader.join(5)
    assert [answer.body for answer in got] == [WHOLE]


def test_a_late_answer_comes_when_the_fault_is_over(hub: HubSimulator, site: Served) -> None:
    got: list[Got] = []
    reader = threading.Thread(target=lambda: got.append(info(site)))
    with hub.failing(latency_s=60) as armed:
        reader.start()
        while not armed.strikes:
            time.sleep(0.001)
        assert not got
    reader.join(5)
    assert [answer.status for answer in got] == [200]


def test_a_fault_can_be_meant_for_one_repo_only(hub: HubSimulator, site: Served) -> None:
    hub.add("datasets/acme/tiny", {"model.safetensors": WEIGHTS})
    with hub.failing(status=503, repo="datasets/acme/tiny"), hub.failing(cut_after=9, repo="acme/tiny", where="cdn"):
        assert ask(f"{site.endpoint}/api/datasets/acme/tiny").status == 503
        assert info(site).status == 200
        assert weights(site).body == WHOLE[:9]
        assert ask(f"{site.endpoint}/datasets/acme/tiny/resolve/main/model.safetensors").status == 503
    assert [r.repo.partition("/")[0] for r in hub.requests] == ["datasets", "acme", "acme", "acme", "datasets"]
