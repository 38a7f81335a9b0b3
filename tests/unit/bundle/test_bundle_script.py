"""verify.py on a machine with nothing but Python."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hfmirror import codec
from hfmirror.bundle import verify
from hfmirror.bundle.layout import SCRIPT, SUMS
from hfmirror.model import PART, Pin, Selection, entry_path
from hfmirror.store.disk import DiskStore
from tests.unit.bundle.shelf import FILES, FIRST, SECOND, TINY, WEIGHTS, entries_of, export, only, put
from tests.unit.bundle.test_bundle_in import forge, shown

if TYPE_CHECKING:
    from hfmirror.model import Entry

STANDARD = {"argparse", "fnmatch", "hashlib", "json", "os", "re", "shutil", "sys", "typing", "unicodedata"}
OURS = Path(verify.__file__)


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """A bundle with parts."""
    store = DiskStore(tmp_path / "store")
    put(store)
    export(store, tmp_path / "stick", most=2 * PART)
    return tmp_path / "stick"


def run(stick: Path, *words: str, code: int = 0, utf8: bool = True) -> str:
    """What it says, alone: no site packages, no settings, another folder."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", f"utf8={int(utf8)}", str(stick / SCRIPT), *words],
        cwd=stick.parent,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        capture_output=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    assert done.returncode == code, done.stdout
    return done.stdout.decode("utf-8" if utf8 else "ascii")


def place_of(stick: Path, entry: Entry) -> Path:
    """An object's file."""
    return stick / "objects" / entry.digest.algorithm.value / entry.digest.hex[:2] / entry.digest.hex


def test_it_needs_python_3_6_and_its_library_only() -> None:
    tree = ast.parse(OURS.read_text("utf-8"), feature_version=(3, 6))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == STANDARD
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & {"removeprefix", "removesuffix", "is_relative_to", "reconfigure"}, "later than 3.6"


def test_a_sound_bundle_is_called_sound_in_two_languages(stick: Path) -> None:
    said = run(stick)
    assert "sound" in said
    assert "完好" in said
    assert sorted(path.name for path in stick.iterdir() if path.name.startswith("__")) == []


def test_a_terminal_that_knows_no_chinese_is_no_trouble(stick: Path) -> None:
    assert "sound" in run(stick, utf8=False)


@pytest.mark.parametrize("damage", ["bent", "short", "lost", "folder"])
def test_damage_is_named_in_plain_words(stick: Path, damage: str) -> None:
    (vocab,) = entries_of({"sub/vocab.txt": FILES["sub/vocab.txt"]})
    place = place_of(stick, vocab)
    if damage in {"lost", "folder"}:
        place.unlink()
    if damage == "folder":
        place.mkdir()
    elif damage != "lost":
        place.write_bytes(b"?" * (5 if damage == "short" else vocab.size))
    said = run(stick, code=7)
    assert vocab.digest.hex in said
    assert "acme/tiny: sub/vocab.txt" in said
    assert {"bent": "损坏", "short": "损坏", "lost": "缺失", "folder": "无法读取"}[damage] in said


def test_a_bent_part_is_named(stick: Path) -> None:
    (part,) = stick.glob("parts/**/*.part0002")
    part.write_bytes(b"?" + part.read_bytes()[1:])
    said = run(stick, code=7)
    assert "part0002 is damaged" in said
    assert "acme/tiny: model.safetensors" in said
    assert "part0001" not in said


@pytest.mark.parametrize(
    "line", ["nonsense", "0" * 64 + "  ../../etc/passwd", "0" * 64 + "  C:/x", "0" * 64 + "  /etc/passwd"]
)
def test_a_sum_of_something_else_is_not_read(stick: Path, line: str) -> None:
    with (stick / SUMS).open("a", encoding="utf-8") as sums:
        sums.write(line + "\n")
    assert "passwd is" not in run(stick, code=7)


def test_names_that_came_later_and_links_are_told(stick: Path) -> None:
    (pins,) = (stick / "pins").rglob("*.json")
    shutil.copy(pins, pins.with_name("c" * 40 + ".json"))
    (vocab,) = entries_of({"sub/vocab.txt": FILES["sub/vocab.txt"]})
    place_of(stick, vocab).rename(stick.parent / "elsewhere")
    place_of(stick, vocab).symlink_to(stick.parent / "elsewhere")
    said = run(stick, code=7)
    assert "is not named in SHA256SUMS" in said
    assert "is a link" in said


def test_an_unfinished_export_is_called_that(stick: Path) -> None:
    (stick / SUMS).unlink()
    assert "has not finished" in run(stick, code=7)


def test_a_cache_is_made_without_us(stick: Path, tmp_path: Path) -> None:
    said = run(stick, "--to-hf-cache", str(tmp_path / "cache"))
    assert "acme/tiny (main) is in the cache" in said
    assert shown(tmp_path / "cache") == FILES
    assert (tmp_path / "cache" / TINY.folder / "refs" / "main").read_bytes() == FIRST.encode()
    run(stick, "--to-hf-cache", str(tmp_path / "cache"))


def test_the_listing_for_the_official_client_is_the_one_the_view_writes(stick: Path, tmp_path: Path) -> None:
    run(stick, "--to-hf-cache", str(tmp_path / "cache"))
    listing = tmp_path / "cache" / TINY.folder / "trees" / f"{FIRST}.json"
    ours = codec.tree_cache_text(DiskStore(tmp_path / "store").manifest(TINY, FIRST))
    assert json.loads(listing.read_text("utf-8")) == json.loads(ours)


def test_damage_reaches_no_cache(stick: Path, tmp_path: Path) -> None:
    (part,) = stick.glob("parts/**/*.part0002")
    part.write_bytes(b"?" + part.read_bytes()[1:])
    said = run(stick, "--to-hf-cache", str(tmp_path / "cache"), code=7)
    assert "model.safetensors" in said
    assert set(shown(tmp_path / "cache")) == set(FILES) - {"model.safetensors"}
    assert not (tmp_path / "cache" / TINY.folder / "refs").exists()
    assert not list((tmp_path / "cache").rglob("*.hfmirror"))


def test_a_delta_says_what_it_leaves_out(tmp_path: Path) -> None:
    from hfmirror.bundle.since import mark

    store = DiskStore(tmp_path / "store")
    put(store)
    put(store, {**FILES, "new.txt": b"new"}, Pin(TINY, SECOND, "main"))
    export(store, tmp_path / "delta", known=frozenset(mark(each.digest) for each in entries_of(FILES)))
    run(tmp_path / "delta")
    said = run(tmp_path / "delta", "--to-hf-cache", str(tmp_path / "cache"), code=6)
    assert "is not in this bundle" in said
    assert "is not whole" in said


@pytest.mark.parametrize("name", ["../../../evil", "/evil", "a/../../../../evil", "x\\..\\evil", "C:evil"])
def test_a_hostile_path_writes_nothing_anywhere(stick: Path, tmp_path: Path, name: str) -> None:
    forge(stick, "manifests", lambda manifest: manifest["entries"][0].update(path=name))
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    said = run(stick, "--to-hf-cache", str(tmp_path / "cache"), code=7)
    assert "not safe" in said
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.relative_to(tmp_path).parts} == before
    assert not list((tmp_path / "cache").rglob("*evil*"))


@pytest.mark.parametrize("revision", ["../../../evil", "/evil", "x/../../evil"])
def test_a_hostile_revision_writes_nothing_anywhere(stick: Path, tmp_path: Path, revision: str) -> None:
    forge(stick, "pins", lambda pins: pins["asked"][0].update(revision=revision))
    assert "not safe" in run(stick, "--to-hf-cache", str(tmp_path / "cache"), code=7)
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("repo", ["model:../../evil", "model:a/b/c", "planet:a/b", "model:a--b", "model:..", 7])
def test_a_hostile_repo_writes_nothing_anywhere(stick: Path, tmp_path: Path, repo: object) -> None:
    forge(stick, "pins", lambda pins: pins.update(repo=repo))
    run(stick, "--to-hf-cache", str(tmp_path / "cache"), code=7)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("room", ["pins", "manifests", "refs"])
def test_garbled_names_are_told_and_not_believed(stick: Path, tmp_path: Path, room: str) -> None:
    forge(stick, room, lambda document: document.clear())
    assert "form" in run(stick, "--to-hf-cache", str(tmp_path / "cache"), code=7)
    assert not (tmp_path / "cache").exists()


# -- the same rules as ours -----------------------------------------------------------------------

PATHS = ["a", "a/b", "", "/a", "a/", "a//b", ".", "a/..", "..a", "a\\b", "a\nb", "中文/模型.bin", "con.txt", "a\ud800"]


@pytest.mark.parametrize("path", PATHS)
def test_its_rule_for_paths_is_ours(path: str) -> None:
    try:
        entry_path(path)
    except Exception:  # noqa: BLE001 - whatever it is
        assert not verify.safe(path)
    else:
        assert verify.safe(path)


@pytest.mark.parametrize("pattern", ["*", "*.json", "sub/", "sub/*", "s?b/*", "[ab]*", "config.json", "SUB/"])
def test_its_rule_for_patterns_is_ours(pattern: str) -> None:
    for selection in (only(pattern), Selection((), (pattern,)), Selection(("*.json",), (pattern,))):
        wish = {"include": list(selection.include), "exclude": list(selection.exclude)}
        for path in ("config.json", "sub/a.json", "a.bin", "sub/deep/b.bin", "b"):
            assert verify.takes(wish, path) == selection.takes(path)


@pytest.mark.parametrize("revision", ["main", "refs/pr/1", "a b%2F", "v1.0", "中文", "~x", "+"])
def test_its_file_names_of_revisions_are_ours(revision: str) -> None:
    assert verify.quoted(revision) == codec.file_name(revision)


def test_windows_device_names_are_known() -> None:
    assert not verify.holdable("a/con.txt")
    assert verify.holdable("a/icon.txt")


def test_names_that_clash_on_a_blind_disk_are_told(tmp_path: Path) -> None:
    seen: dict[str, str] = {}
    (tmp_path / "a").write_bytes(b"")
    verify.refuse_clash(str(tmp_path), "A", seen)
    with pytest.raises(verify.Trouble, match="clash"):
        verify.refuse_clash(str(tmp_path), "a", seen)


def test_the_copy_in_a_bundle_is_the_file_itself(stick: Path) -> None:
    assert (stick / SCRIPT).read_bytes() == OURS.read_bytes()
    assert len(WEIGHTS) > 3 * PART
