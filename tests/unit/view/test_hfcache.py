"""The view: what clients see of a store, and what is nobody's but theirs."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import scan_cache_dir

from hfmirror.errors import NotHere
from hfmirror.mirror import Mirror
from hfmirror.model import CommitId, Pin, Selection
from hfmirror.settings import Settings
from tests.contracts.scene import COMMIT, TINY, entry, head_of, manifest, pin_of

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.model import Manifest

FILES = {"config.json": b"{}", "copy.json": b"{}", "sub/deep/a b.txt": b"text", "w.bin": b"weights"}
LISTING = manifest([entry(data, path) for path, data in FILES.items()])


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """A mirror that holds the repo, and shows nothing yet."""
    mirror = Mirror(Settings(tmp_path / "mirror"))
    hold(mirror, LISTING)
    return mirror


def hold(mirror: Mirror, listing: Manifest) -> None:
    """As a pull leaves the store."""
    mirror.store.keep(pin_of(listing), listing)
    with mirror.store.batch() as batch:
        for one in listing.entries:
            batch.add(one, FILES[one.path])
    mirror.store.publish(pin_of(listing), head_of(listing))


def show(mirror: Mirror, pin: Pin | None = None) -> None:
    """Lay it out."""
    pin = pin or pin_of(LISTING)
    mirror.view.show(pin, LISTING, tuple(pin.selection.of(LISTING)))


def seen(mirror: Mirror, commit: str = COMMIT) -> dict[str, bytes]:
    """What stands in a snapshot."""
    snapshot = mirror.view.snapshot(TINY, CommitId(commit))
    return {path.relative_to(snapshot).as_posix(): path.read_bytes() for path in snapshot.rglob("*") if path.is_file()}


def test_the_official_client_takes_it_for_its_own(mirror: Mirror) -> None:
    show(mirror)
    found = scan_cache_dir(mirror.view.folder)
    assert list(found.warnings) == []
    (repo,) = found.repos
    (revision,) = repo.revisions
    assert (repo.repo_id, revision.commit_hash, set(revision.refs)) == (TINY.name, COMMIT, {"main"})
    assert seen(mirror) == FILES


def test_it_costs_no_bytes_and_leads_into_no_other_folder(mirror: Mirror) -> None:
    show(mirror)
    for place in mirror.view.snapshot(TINY, COMMIT).rglob("*"):
        if place.is_symlink():
            assert not place.readlink().is_absolute()
            assert place.resolve().is_relative_to(mirror.view.folder)
    for one in LISTING.entries:
        held = mirror.store.path(one.digest)
        assert held is not None
        assert held.samefile(mirror.view.home(TINY) / "blobs" / one.digest.hex)


def test_it_may_be_thrown_away_and_made_anew(mirror: Mirror) -> None:
    show(mirror)
    shutil.rmtree(mirror.view.folder)
    show(mirror)
    assert seen(mirror) == FILES


def test_showing_twice_changes_nothing(mirror: Mirror) -> None:
    show(mirror)
    before = {path: path.lstat().st_mtime_ns for path in mirror.view.folder.rglob("*") if not path.is_dir()}
    show(mirror)
    assert before == {path: path.lstat().st_mtime_ns for path in mirror.view.folder.rglob("*") if not path.is_dir()}


def test_a_name_comes_only_when_every_file_is_there(mirror: Mirror) -> None:
    mirror.store.discard(LISTING.entries[-1].digest)
    with pytest.raises(NotHere):
        show(mirror)
    assert not (mirror.view.home(TINY) / "refs" / "main").exists()


@pytest.mark.parametrize("spoil", ["other bytes", "empty", "dangling link", "folder gone", "link elsewhere"])
def test_what_went_wrong_in_it_is_put_right(mirror: Mirror, spoil: str, tmp_path: Path) -> None:
    show(mirror)
    blob = mirror.view.home(TINY) / "blobs" / entry(b"weights").digest.hex
    place = mirror.view.snapshot(TINY, COMMIT) / "w.bin"
    if spoil in {"other bytes", "empty"}:
        blob.unlink()
        blob.write_bytes(b"WEIGHTS" if spoil == "other bytes" else b"")
    elif spoil == "dangling link":
        blob.unlink()
        blob.symlink_to("nowhere")
    elif spoil == "folder gone":
        shutil.rmtree(place.parent)
    else:
        (tmp_path / "other").write_bytes(b"weights")
        place.unlink()
        place.symlink_to(tmp_path / "other")
    show(mirror)
    assert seen(mirror) == FILES
    assert place.resolve() == blob.resolve()


def test_a_client_that_removes_a_revision_removes_no_object(mirror: Mirror) -> None:
    show(mirror)
    scan_cache_dir(mirror.view.folder).delete_revisions(COMMIT).execute()
    assert all(mirror.store.has(one.digest) for one in LISTING.entries)
    show(mirror)
    assert seen(mirror) == FILES


def test_hiding_a_commit_leaves_what_a_client_put_there(mirror: Mirror) -> None:
    show(mirror)
    home = mirror.view.home(TINY)
    foreign = home / "blobs" / ("a" * 40)
    foreign.write_bytes(b"the client's")
    other = mirror.view.snapshot(TINY, CommitId("d" * 40)) / "own.txt"
    other.parent.mkdir()
    other.symlink_to(f"../../blobs/{'a' * 40}")
    mirror.view.hide(TINY, COMMIT)
    assert other.read_bytes() == b"the client's"
    assert not mirror.view.snapshot(TINY, COMMIT).exists()
    assert not (home / "refs" / "main").exists()
    assert sorted(path.name for path in (home / "blobs").iterdir()) == ["a" * 40]


def test_hiding_the_last_commit_leaves_nothing(mirror: Mirror) -> None:
    show(mirror)
    mirror.view.hide(TINY, COMMIT)
    assert not mirror.view.home(TINY).exists()


def test_a_part_of_a_commit_is_shown_with_the_whole_listing_beside_it(mirror: Mirror) -> None:
    show(mirror, pin_of(LISTING, selection=Selection(("*.json",))))
    assert sorted(seen(mirror)) == ["config.json", "copy.json"]
    assert (mirror.view.home(TINY) / "trees" / f"{COMMIT}.json").exists()


@pytest.mark.parametrize("revision", ["refs/pr/1", "feature/x"])
def test_a_name_with_slashes_lies_where_the_client_looks(mirror: Mirror, revision: str) -> None:
    show(mirror, pin_of(LISTING, revision))
    assert (mirror.view.home(TINY) / "refs" / revision).read_text() == COMMIT


def test_a_commit_asked_for_by_itself_gets_no_name(mirror: Mirror) -> None:
    show(mirror, pin_of(LISTING, COMMIT))
    assert list((mirror.view.home(TINY) / "refs").iterdir()) == []
