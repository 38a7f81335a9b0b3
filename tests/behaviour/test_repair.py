"""A bit rots on the disk: what is found, what is fetched, and what gc may take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import xxhash

from tests.behaviour.conftest import SIZE
from tests.behaviour.lab import PART

if TYPE_CHECKING:
    from pathlib import Path

    from tests.behaviour.lab import Lab
    from tests.simulator import HubSimulator

LARGE = "model.safetensors"


def digest_of(hub: HubSimulator, file: str = LARGE, repo: str = "acme/tiny") -> str:
    """What the object of a file is called."""
    return str(hub.stored(repo, file).digest)


def flip(path: Path, *offsets: int) -> None:
    """Flip a bit of each of these bytes, whatever the file's mode; nothing else is written to."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        for offset in offsets:
            file.seek(offset)
            (byte,) = file.read(1)
            file.seek(offset)
            file.write(bytes([byte ^ 1]))
    path.chmod(0o444)


def rotten(hub: HubSimulator, lab: Lab, *offsets: int) -> None:
    """A store whose large object has these bytes wrong; the Hub has forgotten what it served."""
    lab.run("pull", "acme/tiny")
    flip(lab.objects()[digest_of(hub)], *offsets)
    hub.reset_counts()


@pytest.mark.parametrize("offset", [0, PART, 3 * PART + 17, SIZE - 1])
def test_a_flipped_bit_costs_one_part(hub: HubSimulator, lab: Lab, offset: int) -> None:
    rotten(hub, lab, offset)
    report = lab.run("verify", "--json", code=7).lines[0]
    start = offset // PART * PART
    spans = [[start, min(start + PART, SIZE)]]
    assert report["wrong"] == [{"digest": digest_of(hub), "size": SIZE, "spans": spans}]
    (dry,) = lab.run("repair", "--dry-run", "--json").lines
    assert (dry["to_repair"][0]["path"], dry["to_repair"][0]["to_fetch"]) == (LARGE, spans[0][1] - spans[0][0])
    assert hub.bytes_served == 0
    done = lab.run("repair")
    assert "repaired 1 of 1" in done.err
    hub.settle()
    assert 0 < hub.bytes_served <= 2 * PART
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()
    assert not list((lab.root / "quarantine").iterdir())
    lab.run("verify")


def test_verify_and_repair_in_one_go(hub: HubSimulator, lab: Lab) -> None:
    rotten(hub, lab, 17, 18, 5 * PART)
    (report,) = lab.run("verify", "--repair", "--json").lines
    assert report["damaged"] == report["repaired"] == [digest_of(hub)]
    assert report["fetched"] <= 3 * PART
    hub.settle()
    assert hub.bytes_served <= 4 * PART
    assert {r.file for r in hub.ledger.select(kind="resolve")} == {LARGE}
    lab.assert_same(lab.snapshot())


def test_a_small_object_is_fetched_whole(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    flip(lab.objects()[digest_of(hub, "config.json")], 3)
    hub.reset_counts()
    lab.run("verify", "--repair")
    assert {r.file for r in hub.ledger.select(kind="resolve")} == {"config.json"}
    lab.assert_same(lab.snapshot())


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"\xff\xfe", b"0" * 200])
def test_without_digests_of_the_parts_all_is_fetched(hub: HubSimulator, lab: Lab, content: bytes | None) -> None:
    rotten(hub, lab, PART)
    (kept,) = (path for path in (lab.root / "parts").rglob("*") if path.is_file())
    kept.unlink()
    if content is not None:
        kept.write_bytes(content)
    assert lab.run("verify", "--json", code=7).lines[0]["wrong"][0]["spans"] is None
    lab.run("repair")
    lab.assert_same(lab.snapshot())
    hub.settle()
    assert SIZE <= hub.bytes_served <= SIZE * 1.02 + PART


def test_wrong_digests_of_the_parts_cost_bytes_and_nothing_else(hub: HubSimulator, lab: Lab) -> None:
    rotten(hub, lab, PART)
    (kept,) = (path for path in (lab.root / "parts").rglob("*") if path.is_file())
    sound = kept.read_text()
    lab.run("verify", code=7)
    (aside,) = (path for path in (lab.root / "quarantine").iterdir() if not path.suffix)
    lines = sound.splitlines()
    lines[2] = xxhash.xxh3_64_hexdigest(aside.read_bytes()[PART : 2 * PART])  # calls the damaged part sound
    kept.write_text("\n".join([*lines, ""]))
    lab.run("repair")
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()
    assert kept.read_text() == sound


def test_a_truncated_object_keeps_its_head(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    path = lab.objects()[digest_of(hub)]
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(5 * PART - 9)
    hub.reset_counts()
    report = lab.run("verify", "--repair", "--json").lines[0]
    assert report["wrong"][0]["spans"] == [[4 * PART, SIZE]]
    hub.settle()
    assert hub.bytes_served <= SIZE - 4 * PART + PART
    lab.assert_same(lab.snapshot())


def test_a_pull_after_verify_takes_the_sound_parts_too(hub: HubSimulator, lab: Lab) -> None:
    rotten(hub, lab, PART)
    lab.run("verify", code=7)
    lab.run("pull", "acme/tiny")
    hub.settle()
    assert hub.bytes_served <= 2 * PART
    lab.assert_same(lab.snapshot())


def test_what_came_as_a_file_is_told_part_by_part_once_it_was_verified(hub: HubSimulator, lab: Lab) -> None:
    folder = lab.folder / "brought"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(hub.content("acme/tiny", LARGE))
    lab.run("import", str(folder), "--repo", "acme/tiny")
    lab.run("pull", "acme/tiny")
    lab.run("verify")
    flip(lab.objects()[digest_of(hub)], PART)
    hub.reset_counts()
    lab.run("verify", "--repair")
    hub.settle()
    assert hub.bytes_served <= 2 * PART
    lab.assert_same(lab.snapshot())


def test_two_repos_that_share_an_object_are_both_shown_again(hub: HubSimulator, lab: Lab) -> None:
    hub.add("other/fork", {LARGE: hub.content("acme/tiny", LARGE), "own.txt": b"own"})
    lab.run("pull", "acme/tiny", "other/fork")
    flip(lab.objects()[digest_of(hub)], PART)
    lab.run("verify", code=7)
    lab.run("repair")
    for repo in ("acme/tiny", "other/fork"):
        lab.assert_same(lab.snapshot(repo), repo)


def test_repair_without_the_hub_says_so_and_keeps_what_there_is(hub: HubSimulator, lab: Lab) -> None:
    rotten(hub, lab, PART)
    lab.run("verify", code=7)
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    lab.run("repair", "--patience", "0", settings=nowhere, code=5)
    assert list((lab.root / "quarantine").iterdir())
    lab.run("repair")
    hub.settle()
    assert hub.bytes_served <= 2 * PART
    lab.assert_same(lab.snapshot())


def test_repair_with_nothing_to_do(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    hub.reset_counts()
    (report,) = lab.run("repair", "--json").lines
    assert (report["to_repair"], report["unwanted"], report["repaired"], report["fetched"]) == ([], [], [], 0)
    assert hub.count("resolve") == 0


def test_what_nobody_wants_is_not_fetched(hub: HubSimulator, lab: Lab) -> None:
    rotten(hub, lab, PART)
    lab.run("verify", code=7)
    lab.run("rm", "acme/tiny")
    (report,) = lab.run("repair", "--json").lines
    assert (report["unwanted"], report["fetched"]) == ([digest_of(hub)], 0)
    assert hub.bytes_served == 0


# Wanted, and not


def test_an_unpinned_repo_stays_until_gc_and_a_pin_keeps_it(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    before = lab.snapshot()
    assert lab.run("unpin", "acme/tiny", "--json").lines[0]["unpinned"] == [before.name]
    lab.assert_same(lab.snapshot())
    assert lab.run("gc", "--dry-run", "--min-age", "0", "--json").lines[0]["freed"] > SIZE
    lab.run("pin", "acme/tiny")
    hub.reset_counts()
    (kept,) = lab.run("gc", "--min-age", "0", "--json").lines
    assert (kept["freed"], kept["unpinned"]) == (0, [])
    lab.assert_same(lab.snapshot())
    lab.run("unpin", "acme/tiny", "--revision", "main")
    dry = lab.run("gc", "--min-age", "0", "--dry-run")
    assert "it was unpinned" in dry.err
    assert digest_of(hub) in dry.err
    lab.run("gc", "--min-age", "0")
    assert lab.objects() == {}
    assert not [path for path in (lab.root / "parts").rglob("*") if path.is_file()]
    assert not list(lab.cache.rglob(LARGE))
    lab.run("path", "acme/tiny", code=6)
    lab.run("pin", "acme/tiny", code=6)
    assert hub.bytes_served == 0


def test_a_pin_with_patterns_lets_go_of_the_rest(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    lab.run("unpin", "acme/tiny")
    (told,) = lab.run("pin", "acme/tiny", "--include", "*.json", "--json").lines
    assert (told["files"], told["to_fetch"]) == (1, 0)
    lab.run("gc", "--min-age", "0")
    assert set(lab.objects()) == {digest_of(hub, "config.json")}


def demanded(lab: Lab, used: str) -> Path:
    """Make the wish for a repo one that only clients had, who used it last at this time."""
    (path,) = (lab.root / "pins" / "models--acme--tiny").iterdir()
    pins = json.loads(path.read_text()) | {"asked": [], "demand": {"revision": "main"}, "used": used}
    path.write_text(json.dumps(pins))
    return path


@pytest.mark.parametrize(("used", "goes"), [("2020-01-01T00:00:00Z", True), ("2999-01-01T00:00:00Z", False)])
def test_what_only_clients_asked_for_goes_when_unused_and_told_so(lab: Lab, used: str, goes: bool) -> None:
    lab.run("pull", "acme/tiny")
    commit = demanded(lab, used).stem
    (never,) = lab.run("gc", "--min-age", "0", "--json").lines
    assert (never["freed"], never["unused"]) == (0, [])
    (dry,) = lab.run("gc", "--min-age", "0", "--unused-for", "30", "--dry-run", "--json").lines
    assert (dry["freed"] > SIZE) == goes
    assert dry["unused"] == ([{"repo": "acme/tiny", "commit": commit}] if goes else [])
    assert len(lab.objects()) == 5
    lab.run("gc", "--min-age", "0", "--unused-for", "30")
    assert (lab.objects() == {}) == goes


# Explained


def test_why_says_who_wants_it(hub: HubSimulator, lab: Lab) -> None:
    hub.add("other/fork", {"deep/weights.bin": hub.content("acme/tiny", LARGE)})
    lab.run("pull", "acme/tiny", "other/fork")
    digest = digest_of(hub)
    ways = (digest, digest.partition(":")[2], str(lab.snapshot() / LARGE), str(lab.objects()[digest]), LARGE)
    for word in ways:
        ((reason,),) = lab.run("why", word, "--json").lines
        assert (reason["digest"], reason["size"], reason["parts"]) == (digest, SIZE, True)
        wanted = {(row["repo"], row["path"], row["revision"], row["demand"]) for row in reason["wanted_by"]}
        assert wanted == {("acme/tiny", LARGE, "main", False), ("other/fork", "deep/weights.bin", "main", False)}
    said = lab.run("why", digest).out
    assert "deep/weights.bin" in said
    assert "other/fork" in said
    lab.run("rm", "other/fork")
    lab.run("rm", "acme/tiny")
    assert "nothing wants it" in lab.run("why", digest).out


@pytest.mark.parametrize("word", ["sha256:" + "0" * 64, "0" * 40, "no/such/file.bin", "sha256:xyz"])
def test_why_of_what_is_not_here(lab: Lab, word: str) -> None:
    lab.run("pull", "acme/tiny")
    lab.run("why", word, code=6)
