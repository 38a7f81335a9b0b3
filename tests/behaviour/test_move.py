"""The command that moves the store, as a person types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.behaviour.lab import kill, wait_until
from tests.simulator.repos import repo_id

if TYPE_CHECKING:
    from pathlib import Path

    from tests.behaviour.lab import Lab
    from tests.simulator import HubSimulator


def test_a_moved_store_loads_offline_and_the_old_place_leads_there(lab: Lab, tmp_path: Path) -> None:
    lab.run("pull", "acme/tiny")
    target = tmp_path / "larger disk"
    done = lab.run("store", "move", str(target))
    assert done.out.strip() == str(target)
    assert f"HFMIRROR_HOME={target}" in done.err

    elsewhere = lab.run("ls", code=8)
    assert f"HFMIRROR_HOME={target}" in elsewhere.err
    new = {"HFMIRROR_HOME": str(target)}
    lab.assert_same(
        target / "hub" / "models--acme--tiny" / "snapshots" / lab.hub.repos[repo_id("acme/tiny")].commit("main").id
    )
    lab.run("verify", settings=new)
    lab.hub.reset_counts()
    lab.run("pull", "acme/tiny", settings=new)
    assert lab.hub.bytes_served == 0


def test_a_dry_run_says_what_it_would_do(lab: Lab, tmp_path: Path) -> None:
    lab.run("pull", "acme/tiny")
    before = lab.files()
    done = lab.run("store", "move", str(tmp_path / "new"), "--dry-run", "--json")
    (document,) = done.lines
    assert (document["dry_run"], document["how"], document["done"]) == (True, "rename", False)
    assert lab.files() == before


def test_it_does_not_move_under_a_server(lab: Lab, tmp_path: Path) -> None:
    lab.run("pull", "acme/tiny")
    server = lab.start("serve", "--port", "0", "--json", "--quiet")
    try:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["addresses"]
        refused = lab.run("store", "move", str(tmp_path / "new"), code=8)
        assert "serve" in refused.err
        assert not (tmp_path / "new").exists()
    finally:
        kill(server)
    lab.run("store", "move", str(tmp_path / "new"))  # a killed server holds nothing


def test_it_does_not_move_under_a_pull_and_takes_along_what_a_killed_one_left(
    lab: Lab, hub: HubSimulator, tmp_path: Path
) -> None:
    with hub.failing(hold_from=3 * 2**20, where="cdn"):
        pull = lab.start("pull", "acme/tiny", settings={"HF_HUB_DOWNLOAD_TIMEOUT": "60"})
        try:
            wait_until(lambda: any(path.stat().st_size for path in lab.root.glob("incoming/*/journal")))
            refused = lab.run("store", "move", str(tmp_path / "new"), code=8)
            assert "at work" in refused.err
        finally:
            kill(pull)
    lab.run("store", "move", str(tmp_path / "new"))
    hub.reset_counts()
    lab.run("pull", "acme/tiny", settings={"HFMIRROR_HOME": str(tmp_path / "new")})
    assert hub.bytes_served < 6 * 2**20


def test_words_that_make_no_sense_change_nothing(lab: Lab, tmp_path: Path) -> None:
    lab.run("store", "move", str(tmp_path / "new"), code=2)
    lab.run("pull", "acme/tiny")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine", encoding="utf-8")
    before = lab.files()
    for target in (lab.root, lab.root / "inside", tmp_path, tmp_path / "taken"):
        assert lab.run("store", "move", str(target), code=2).err
    assert lab.files() == before
