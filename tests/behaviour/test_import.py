"""Files that people bring themselves: found by content, proven, shown like a pull, and left as they were."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.brought import NOWHERE, brought, client, put, repo_files, traces
from tests.behaviour.lab import kill, wait_until
from tests.behaviour.test_store import little_room  # noqa: F401 - a fixture
from tests.simulator import Made

if TYPE_CHECKING:
    from tests.behaviour.lab import Lab
    from tests.simulator import HubSimulator

MODEL = "model.safetensors"
ODD_NAMES = {
    "config.json": "下载/config (1).json",
    "README.md": "read me.txt",
    "sub/vocab.txt": "a/b/c/d/vocab",
    MODEL: "模型 (2).safetensors",
}


@pytest.fixture
def downloads(lab: Lab) -> Path:
    """All files of a repo, renamed and nested, among others that nobody wants."""
    files = repo_files(lab)
    mine = {ODD_NAMES[path]: data for path, data in files.items() if path in ODD_NAMES}
    return put(lab.folder / "我的 downloads", {**mine, "holiday.jpg": b"\xff\xd8" * 999, "same size": b"x" * 21})


def test_files_are_found_by_content_whatever_they_are_called(lab: Lab, downloads: Path) -> None:
    before = traces(downloads)
    done = brought(lab, str(downloads), "--repo", "acme/tiny")
    assert {row["path"] for row in done["taken"]} == ODD_NAMES.keys()
    assert {row["how"] for row in done["taken"]} <= {"reflink", "copy"}
    (repo,) = done["repos"]
    assert (repo["lacking"], repo["held"], repo["origin"]) == ([], 5, "hub")
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()
    assert {stat.S_IMODE(path.stat().st_mode) for path in lab.objects().values()} == {0o444}
    assert {path.stat().st_nlink for path in lab.objects().values()} == {2}, "the store's and the view's name"
    assert traces(downloads) == before
    assert lab.hub.count("resolve") == 0, "no byte was fetched"
    assert not list((lab.root / "incoming").iterdir())


def test_an_import_cannot_be_told_from_a_pull(lab: Lab, downloads: Path) -> None:
    lab.run("import", str(downloads), "--repo", "acme/tiny")
    mine = _names_of(lab.root)
    shutil.rmtree(lab.root)
    lab.run("pull", "acme/tiny")
    assert mine == _names_of(lab.root)


def _names_of(root: Path) -> dict[str, bytes]:
    """The store's own files, but for what holds a time."""
    return {
        str(path.relative_to(root)): b"" if path.parts[-3] in {"pins", "refs"} else path.read_bytes()
        for room in ("objects", "manifests", "pins", "refs", "about", "access", "hub")
        for path in (root / room).rglob("*")
        if path.is_file()
    }


def test_what_lacks_is_said_with_the_command_that_fetches_it(lab: Lab, downloads: Path) -> None:
    (downloads / ODD_NAMES[MODEL]).unlink()
    done = brought(lab, str(downloads), "--repo", "acme/tiny")
    (repo,) = done["repos"]
    assert [row["path"] for row in repo["lacking"]] == [MODEL]
    assert (lab.snapshot() / "config.json").read_bytes() == lab.hub.content("acme/tiny", "config.json")
    assert repo["command"].split()[:2] == ["hfmirror", "pull"]
    lab.run(*repo["command"].split()[1:])
    assert {row.file for row in lab.hub.ledger.select(kind="resolve")} == {MODEL}
    lab.assert_same(lab.snapshot())


def test_people_are_told_what_was_done(lab: Lab, downloads: Path) -> None:
    (downloads / ODD_NAMES[MODEL]).unlink()
    done = lab.run("import", str(downloads), "--repo", "acme/tiny")
    assert "took in 3 of 5 files" in done.err
    assert "hfmirror pull acme/tiny" in done.err
    assert done.out.strip() == str(lab.snapshot())


def test_a_dry_run_says_the_same_and_touches_nothing(lab: Lab, downloads: Path) -> None:
    before = lab.files()
    dry = brought(lab, str(downloads), "--repo", "acme/tiny", "--dry-run")
    assert lab.files() == before
    wet = brought(lab, str(downloads), "--repo", "acme/tiny")
    for document in (dry, wet):
        document["taken"] = [{**row, "how": ""} for row in document["taken"]]
    assert dry | {"dry_run": False} == wet


def test_a_second_import_finds_nothing_to_do(lab: Lab, downloads: Path) -> None:
    brought(lab, str(downloads), "--repo", "acme/tiny")
    before = {name: path.stat().st_mtime_ns for name, path in lab.objects().items()}
    done = brought(lab, str(downloads), "--repo", "acme/tiny")
    assert (done["taken"], done["repos"][0]["lacking"]) == ([], [])
    assert {name: path.stat().st_mtime_ns for name, path in lab.objects().items()} == before


def test_wrong_bytes_under_the_right_name_are_named_and_left_out(lab: Lab, downloads: Path) -> None:
    wrong = downloads / "elsewhere" / "config.json"
    put(downloads, {"elsewhere/config.json": b"?" * 21})
    (downloads / ODD_NAMES["config.json"]).unlink()
    done = brought(lab, str(downloads), "--repo", "acme/tiny")
    assert [row["path"] for row in done["repos"][0]["lacking"]] == ["config.json"]
    assert [row["from"] for row in done["left_out"]] == [str(wrong)]
    assert "config.json" not in {row["path"] for row in done["taken"]}


def test_a_file_with_one_wrong_byte_is_never_taken(lab: Lab, downloads: Path) -> None:
    place = downloads / ODD_NAMES[MODEL]
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    done = brought(lab, str(downloads), "--repo", "acme/tiny")
    assert [row["path"] for row in done["repos"][0]["lacking"]] == [MODEL]
    assert hashlib.sha256(data).hexdigest() not in "".join(lab.objects())
    assert not list((lab.root / "incoming").iterdir())


def test_a_folder_that_fits_nothing_is_refused_and_nothing_is_pinned(lab: Lab) -> None:
    other = put(lab.folder / "other", {"a.bin": b"1" * 5000, "b": b"2"})
    done = lab.run("import", str(other), "--repo", "acme/tiny", code=6)
    assert "2 files" in done.err
    assert lab.run("ls", "--json").lines == [[]]


def test_a_path_that_is_not_there_is_a_matter_of_words(lab: Lab) -> None:
    assert "no such file" in lab.run("import", "nowhere", "--repo", "acme/tiny", code=2).err
    assert "name at least one" in lab.run("import", code=2).err
    lab.run("pull", "acme/tiny")
    assert "store itself" in lab.run("import", str(lab.cache), code=2).err


def test_one_file_is_enough(lab: Lab, downloads: Path) -> None:
    done = brought(lab, str(downloads / ODD_NAMES["README.md"]), "--repo", "acme/tiny@v1")
    assert [row["path"] for row in done["taken"]] == ["README.md"]
    assert done["repos"][0]["revisions"] == ["v1"]
    assert (lab.snapshot("acme/tiny@v1") / "README.md").is_file()


def test_patterns_say_what_is_wanted(lab: Lab, downloads: Path) -> None:
    done = brought(lab, str(downloads), "--repo", "acme/tiny", "--include", "*.json", "--include", "*.md")
    assert {row["path"] for row in done["taken"]} == {"config.json", "README.md"}
    assert done["repos"][0]["lacking"] == []


def test_bytes_that_are_here_by_way_of_another_repo_are_used(lab: Lab, hub: HubSimulator, downloads: Path) -> None:
    hub.add("other/fork", {"weights.bin": hub.content("acme/tiny", MODEL), "own.txt": "own"})
    brought(lab, str(downloads), "--repo", "acme/tiny")
    done = brought(lab, str(downloads), "--repo", "other/fork")
    assert done["taken"] == []
    assert [row["path"] for row in done["repos"][0]["lacking"]] == ["own.txt"]
    assert (lab.snapshot("other/fork") / "weights.bin").is_file()
    lab.run("rm", "acme/tiny")
    lab.run("gc", "--min-age", "0")
    assert (lab.snapshot("other/fork") / "weights.bin").read_bytes() == hub.content("acme/tiny", MODEL)


# With only a browser


def test_a_person_with_only_a_browser_can_complete_a_repo(lab: Lab) -> None:
    (planned, told) = lab.run("pull", "acme/tiny", "--print-urls", "--json").lines
    assert (planned["event"], told["event"]) == ("planned", "by_hand")
    assert lab.hub.count("resolve") == 0
    by_hand = lab.folder / "by hand"
    by_hand.mkdir()
    for number, row in enumerate(told["files"]):
        program = f"import urllib.request as u; u.urlretrieve({row['url']!r}, {str(by_hand / f'{number} (1)')!r})"
        client(lab, program)
    done = brought(lab, str(by_hand), settings=NOWHERE)  # what was planned is known, so nobody has to be asked
    assert done["repos"][0]["lacking"] == []
    lab.assert_same(lab.snapshot())
    assert {row["path"] for row in told["files"]} == lab.expected().keys() - {"empty.txt"}
    for row in told["files"]:
        assert row["size"] == len(lab.hub.content("acme/tiny", row["path"]))


def test_the_list_for_people_has_address_size_digest_and_target(lab: Lab) -> None:
    said = lab.run("pull", "acme/tiny", "--include", "*.safetensors", "--print-urls").out
    entry = lab.hub.stored("acme/tiny", MODEL).entry
    assert f"{lab.endpoint}/acme/tiny/resolve/" in said
    assert {str(entry.digest), MODEL} <= set(said.split())
    assert "6.29 MB" in said


def test_a_dry_list_pins_nothing(lab: Lab) -> None:
    lab.run("pull", "acme/tiny", "--print-urls", "--dry-run")
    assert not lab.root.exists()


# A repo of one's own


@pytest.fixture
def own(lab: Lab) -> Path:
    """A folder that no Hub knows."""
    files = {
        "config.json": b'{"model_type":"bert"}',
        "sub/权重.bin": Made(2**21, seed=5).data(),
        "README.md": b"# mine",
    }
    litter = {".git/HEAD": b"ref: x", "__pycache__/a.pyc": b"1", ".DS_Store": b"2"}
    return put(lab.folder / "my-model", {**files, **litter})


def test_a_repo_of_ones_own_has_to_be_asked_for(lab: Lab, own: Path) -> None:
    assert "--local" in lab.run("import", str(own), "--repo", "me/my-model", code=3).err
    assert "--local" in lab.run("import", str(own), "--repo", "me/my-model", code=5, settings=NOWHERE).err
    assert not lab.objects()


def test_a_repo_of_ones_own_loads_offline_and_says_what_it_is(lab: Lab, own: Path) -> None:
    before = traces(own)
    done = brought(lab, str(own), "--repo", "me/my-model", "--local", settings=NOWHERE)
    (repo,) = done["repos"]
    assert (repo["origin"], repo["held"], repo["lacking"]) == ("local", 3, [])
    assert traces(own) == before
    program = "from huggingface_hub import hf_hub_download as h; print(h('me/my-model', 'sub/权重.bin'))"
    place = client(lab, program, HF_HUB_CACHE=str(lab.cache), HF_HUB_OFFLINE="1")
    assert Path(place).read_bytes() == (own / "sub/权重.bin").read_bytes()
    assert "your own" in lab.run("info", "me/my-model").out
    again = brought(lab, str(own), "--repo", "me/my-model", "--local", settings=NOWHERE)
    assert again["repos"][0]["commit"] == repo["commit"], "the same files make the same commit"
    (own / "config.json").write_bytes(b"{}")
    other = brought(lab, str(own), "--repo", "me/my-model", "--local", settings=NOWHERE)
    assert other["repos"][0]["commit"] != repo["commit"]
    assert lab.snapshot("me/my-model").name == other["repos"][0]["commit"]


def test_a_repo_of_ones_own_is_never_taken_for_the_hubs(lab: Lab, own: Path) -> None:
    assert "is a repo of the Hub" in lab.run("import", str(own), "--repo", "acme/tiny", "--local", code=2).err
    brought(lab, str(own), "--repo", "me/my-model", "--local")
    lab.hub.reset_counts()
    lab.run("pull", "me/my-model")
    assert not lab.hub.requests
    lab.hub.add("me/my-model", {"theirs.txt": "theirs"})
    assert "your own" in lab.run("import", str(own), "--repo", "me/my-model", code=2).err
    assert "theirs.txt" not in {path.name for path in lab.snapshot("me/my-model").iterdir()}


def test_a_link_out_of_the_folder_does_not_carry_secrets_in(lab: Lab, own: Path) -> None:
    secret = put(lab.folder / "home", {".ssh/id": b"secret"}) / ".ssh/id"
    (own / "notes.txt").symlink_to(secret)
    (own / "inside.txt").symlink_to(own / "README.md")
    done = brought(lab, str(own), "--repo", "me/my-model", "--local")
    assert [row["from"] for row in done["left_out"]] == [str(own / "notes.txt")]
    assert {path.name for path in lab.snapshot("me/my-model").iterdir()} >= {"inside.txt", "config.json"}


# What may be done to the files


def test_moved_files_are_gone_from_where_they_were_and_only_those(lab: Lab, downloads: Path) -> None:
    done = brought(lab, str(downloads), "--repo", "acme/tiny", "--move")
    assert sorted(done["removed"]) == sorted(str(downloads / name) for name in ODD_NAMES.values())
    assert {path.name for path in downloads.rglob("*") if path.is_file()} == {"holiday.jpg", "same size"}
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()


def test_what_a_link_leads_to_is_taken_and_never_moved(lab: Lab, downloads: Path) -> None:
    place = downloads / ODD_NAMES["README.md"]
    link = downloads / "link.txt"
    place.rename(lab.folder / "elsewhere.txt")
    link.symlink_to(lab.folder / "elsewhere.txt")
    done = brought(lab, str(downloads), "--repo", "acme/tiny", "--move")
    assert str(link) not in done["removed"]
    assert (lab.folder / "elsewhere.txt").is_file(), "it was not named"
    assert link.is_symlink()
    lab.assert_same(lab.snapshot())


def test_linked_files_are_shared_and_read_only(lab: Lab, downloads: Path) -> None:
    done = brought(lab, str(downloads), "--repo", "acme/tiny", "--link")
    (how,) = [row["how"] for row in done["taken"] if row["path"] == MODEL]
    place = downloads / ODD_NAMES[MODEL]
    if how == "hard link":
        assert place.stat().st_ino == (lab.snapshot() / MODEL).stat().st_ino
        assert stat.S_IMODE(place.stat().st_mode) == 0o444
    else:
        assert how == "reflink"
    lab.assert_objects_sound()


def test_a_file_edited_after_the_import_does_not_change_the_store(lab: Lab, downloads: Path) -> None:
    brought(lab, str(downloads), "--repo", "acme/tiny")
    for name in ODD_NAMES.values():
        with (downloads / name).open("r+b") as file:
            file.write(b"edited")
    lab.run("verify")
    lab.assert_same(lab.snapshot())


# What goes wrong


def test_odd_things_in_a_folder_are_named_and_do_no_harm(lab: Lab, downloads: Path) -> None:
    (downloads / "dangling").symlink_to("nowhere")
    (downloads / "loop").symlink_to("loop")
    (downloads / "up").symlink_to("..")
    os.mkfifo(downloads / "pipe")
    done = brought(lab, str(downloads), "--repo", "acme/tiny")
    assert done["repos"][0]["lacking"] == []
    assert {row["from"] for row in done["left_out"]} == {
        str(downloads / name) for name in ("dangling", "loop", "up", "pipe")
    }


def test_a_file_that_cannot_be_read_is_named(lab: Lab, downloads: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything: tests/unit/adopt tries this with a stream that breaks")
    (downloads / ODD_NAMES[MODEL]).chmod(0)
    done = brought(lab, str(downloads), "--repo", "acme/tiny")
    assert [row["from"] for row in done["left_out"]] == [str(downloads / ODD_NAMES[MODEL])]
    assert [row["path"] for row in done["repos"][0]["lacking"]] == [MODEL]


def test_a_huge_folder_is_looked_through_without_reading_it(lab: Lab, downloads: Path) -> None:
    many = downloads / "many"
    many.mkdir()
    for number in range(3000):
        (many / f"{number}.txt").write_bytes(b"." * (number % 17))
    done = brought(lab, str(downloads), "--repo", "acme/tiny")
    assert done["looked_at"] > 3000
    assert done["repos"][0]["lacking"] == []


def test_a_killed_import_goes_on(lab: Lab, hub: HubSimulator) -> None:
    large = {f"shard-{number}.bin": Made(24 * 2**20 + number, seed=number) for number in range(4)}
    hub.add("acme/big", large)
    folder = put(lab.folder / "shards", {f"{name} (1)": made.data() for name, made in large.items()})
    before = traces(folder)
    running = lab.start("import", str(folder), "--repo", "acme/big")
    wait_until(lambda: bool(lab.objects()))
    kill(running)
    lab.assert_objects_sound()
    done = brought(lab, str(folder), "--repo", "acme/big")
    assert done["repos"][0]["lacking"] == []
    lab.assert_same(lab.snapshot("acme/big"), "acme/big")
    lab.assert_objects_sound()
    assert traces(folder) == before
    assert not list((lab.root / "incoming").iterdir())


# Room


def test_a_disk_that_is_too_full_says_so_before_the_first_byte(
    lab: Lab,
    downloads: Path,
    little_room: Path,  # noqa: F811 - the fixture that is imported above
) -> None:
    before = traces(downloads)
    done = lab.run("import", str(downloads), "--repo", "acme/tiny", "--root", str(little_room / "store"), code=8)
    assert "6.3 MB needed" in done.err
    assert not list((little_room / "store").rglob("*-*"))
    assert traces(downloads) == before


def test_files_of_another_disk_are_copied_even_when_links_were_allowed(
    lab: Lab,
    hub: HubSimulator,
    little_room: Path,  # noqa: F811 - as above
) -> None:
    hub.add("acme/mid", {"a.bin": Made(2 * 2**20, seed=8)})
    folder = put(little_room / "files", {"b": Made(2 * 2**20, seed=8).data()})
    done = brought(lab, str(folder), "--repo", "acme/mid", "--move")
    assert [row["how"] for row in done["taken"]] == ["copy"]
    assert not (folder / "b").exists()
    lab.assert_same(lab.snapshot("acme/mid"), "acme/mid")


# Bundles


def test_a_bundle_is_known_for_one_and_taken_in(lab: Lab, downloads: Path) -> None:
    lab.run("pull", "acme/tiny")
    lab.run("export", "acme/tiny", "bundle")
    shutil.rmtree(lab.root)
    done = lab.run("import", "bundle", settings=NOWHERE)
    assert done.out.strip() == str(lab.snapshot())
    lab.assert_same(lab.snapshot())
    assert "no bundle" in lab.run("import", str(downloads), "--to-hf-cache", "cache", code=2).err
    lab.run("import", "bundle", "--to-hf-cache", "cache", settings=NOWHERE)
    program = "from huggingface_hub import hf_hub_download as h; print(h('acme/tiny', 'config.json'))"
    assert client(lab, program, HF_HUB_CACHE=str(lab.folder / "cache"), HF_HUB_OFFLINE="1").startswith(str(lab.folder))
    assert lab.run("import", "bundle", "--require-signature", code=7, settings=NOWHERE).err
