"""The order of the checks, and where they stop."""

from __future__ import annotations

import time
from contextlib import closing
from email.utils import formatdate
from pathlib import Path

import pytest

from hfmirror.doctor import examine as examining
from hfmirror.doctor import rate
from hfmirror.doctor.examine import Asker, examine_machine, examine_network
from hfmirror.doctor.findings import Finding, Level, exit_code, fail, failed, ok, tilde, warn
from hfmirror.errors import BadToken, RepoNotFound, StoreError, StoreTooNew, Unavailable
from hfmirror.model import Kind, RepoId
from hfmirror.settings import Settings
from hfmirror.sources.http import Http
from tests.simulator import HubSimulator, Made, Served
from tests.unit.doctor.world import JSON, answering, certificate, closed_port, silent_port

REPO = RepoId(Kind.MODEL, "acme/tiny")


def found_at(endpoint: str, root: Path, *, token: str | None = None, rated: RepoId | None = None) -> dict[str, Finding]:
    """What the network's checks find, by their names."""
    with closing(Http(0.3)) as http:
        wanted = (rated, "main") if rated else None
        asker = Asker(Settings(root, endpoint, "requests"), http, lambda: token, {}, wanted)
        return {finding.check: finding for finding in examine_network(asker)}


def test_the_worst_news_come_first_in_the_exit_code() -> None:
    rows = [
        ok("space", ""),
        warn("locks", "", ""),
        fail("write", "", "", StoreError),
        fail("dns", "", "", Unavailable),
    ]
    assert exit_code(rows) == Unavailable.exit_code
    assert exit_code(rows[:3]) == StoreError.exit_code
    assert exit_code(rows[:2]) == 0


def test_whose_home_it_is_is_not_told(no_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tilde(no_home / "mirror") == str(Path("~/mirror"))
    assert tilde(f"{no_home}-other") == f"{no_home}-other"
    assert failed("store", StoreError(str(no_home / "mirror"), "broken")).sentence == f"{Path('~/mirror')}: broken"
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    assert tilde("/data/mirror") == "/data/mirror"


def test_a_store_of_a_later_version_is_a_finding(tmp_path: Path) -> None:
    def refuse() -> bool:
        raise StoreTooNew(str(tmp_path), 9)

    found = {row.check: row for row in examine_machine(Settings(tmp_path), {}, refuse)}
    assert found["store"].code == StoreError.exit_code
    assert {"space", "settings", "engine"} <= found.keys()


def test_a_hub_that_is_well(site: Served, tmp_path: Path) -> None:
    found = found_at(site.endpoint, tmp_path)
    assert [*found] == ["proxy", "dns", "connect", "clock", "endpoint", "token"]
    assert exit_code(found.values()) == 0


def test_what_follows_a_broken_step_is_not_tried(tmp_path: Path) -> None:
    found = found_at(f"http://127.0.0.1:{closed_port()}", tmp_path)
    assert [*found] == ["proxy", "dns", "connect", "network"]
    assert exit_code(found.values()) == Unavailable.exit_code


def test_a_wrong_clock_keeps_nothing_else_from_being_looked_at(tmp_path: Path) -> None:
    date = {"Date": formatdate(time.time() - 3600, usegmt=True)}
    with answering(401, JSON | date, b'{"error": "Invalid"}') as (port, _):
        found = found_at(f"http://127.0.0.1:{port}", tmp_path)
    assert [*found] == ["proxy", "dns", "connect", "clock", "endpoint", "token"]
    assert exit_code(found.values()) == found["clock"].code == Unavailable.exit_code
    assert "ahead" in found["clock"].sentence


def test_a_port_that_never_answers(tmp_path: Path) -> None:
    with silent_port() as port:
        found = found_at(f"http://127.0.0.1:{port}", tmp_path)
    assert (found["endpoint"].level, found["endpoint"].code) == (Level.FAIL, Unavailable.exit_code)


def test_a_hub_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "ASK_S", 0.05)
    with silent_port() as port:
        found = found_at(f"http://127.0.0.1:{port}", tmp_path)
    assert "no answer" in found["endpoint"].sentence


def test_nobody_is_asked_over_a_connection_that_cannot_be_trusted(tmp_path: Path) -> None:
    _, context = certificate(tmp_path)
    with answering(tls=context) as (port, seen):
        found = found_at(f"https://127.0.0.1:{port}", tmp_path, token="hf_secret")
    assert [*found] == ["proxy", "dns", "connect", "tls", "network"]
    assert seen == []


def test_a_port_that_is_no_number(tmp_path: Path) -> None:
    assert found_at("http://127.0.0.1:many", tmp_path)["settings"].level is Level.FAIL


@pytest.mark.parametrize(("token", "level"), [("hf_me", Level.OK), ("hf_other", Level.FAIL)])
def test_a_token(hub: HubSimulator, site: Served, tmp_path: Path, token: str, level: Level) -> None:
    hub.add("acme/closed", {"config.json": b"{}"}, private=True, token="hf_me")
    found = found_at(site.endpoint, tmp_path, token=token)
    assert found["token"].level is level
    assert found["token"].code == (BadToken.exit_code if level is Level.FAIL else 0)


def test_the_rate_is_that_of_the_largest_file(hub: HubSimulator, site: Served, tmp_path: Path) -> None:
    hub.add("acme/tiny", {"config.json": b"{}", "model.bin": Made(4 * 2**20, seed=1)})
    found = found_at(site.endpoint, tmp_path, rated=REPO)
    assert "over one connection" in found["rate"].sentence
    assert len({record.range for record in hub.ledger.records if record.range}) >= rate.MANY


def test_the_rate_of_a_repo_of_small_files_is_not_measured(hub: HubSimulator, site: Served, tmp_path: Path) -> None:
    hub.add("acme/tiny", {"config.json": b"{}"})
    assert "not measured" in found_at(site.endpoint, tmp_path, rated=REPO)["rate"].sentence


def test_the_rate_of_a_repo_that_is_not_there(site: Served, tmp_path: Path) -> None:
    assert found_at(site.endpoint, tmp_path, rated=REPO)["rate"].code == RepoNotFound.exit_code


def test_what_rates_mean() -> None:
    assert rate.rate(1e6, 3.9e6).level is Level.NOTE
    assert rate.rate(1e6, 1.1e6).level is Level.OK
