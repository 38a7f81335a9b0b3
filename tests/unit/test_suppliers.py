"""Whom to ask for bytes: what people write, and what becomes of it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hfmirror import suppliers
from hfmirror.bundle.supply import BundleSource
from hfmirror.errors import NotHere, Unreachable, UsageError
from hfmirror.mirror import Mirror
from hfmirror.model import PART, Algorithm, Entry, Kind, RepoId, Span
from hfmirror.ports import Nearby
from hfmirror.settings import Settings
from hfmirror.sources.folder import FolderSource
from hfmirror.sources.http import Http
from hfmirror.sources.hub import HubSource
from tests.contracts.scene import entry, manifest, read
from tests.contracts.store import fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfmirror.ports import Supplier

DATA = bytes(range(256)) * (3 * PART // 256) + b"tail"
LARGE = entry(DATA, "sub/large.bin")
SMALL = entry(b"{}", "config.json", Algorithm.GIT_SHA1)
EMPTY = entry(b"", "empty.txt", Algorithm.GIT_SHA1)
LISTING = manifest([LARGE, SMALL, EMPTY])
HOME = "https://hub.example"


@pytest.fixture
def http() -> Iterator[Http]:
    with closing(Http()) as http:
        yield http


def named(http: Http, *sources: str) -> list[Supplier]:
    settings = Settings(root=None, endpoint=HOME, engine="requests", sources=sources)  # type: ignore[arg-type]
    return list(suppliers.others(http, settings, lambda: "hf_secret"))


# -- words ----------------------------------------------------------------------------------------


def test_each_place_is_asked_once_and_the_endpoint_not_again(http: Http, tmp_path: Path) -> None:
    found = named(http, HOME, HOME + "/", "https://a.example", "https://a.example/", str(tmp_path), f"{tmp_path}/")
    assert [supplier.name for supplier in found] == ["https://a.example", f"the folder {tmp_path}"]


def test_only_the_endpoints_own_origin_gets_the_token(http: Http) -> None:
    for where, expected in {"https://a.example": {}, f"{HOME}/mirror": {"Authorization": "Bearer hf_secret"}}.items():
        (source,) = named(http, where)
        assert isinstance(source, HubSource)
        assert source._credentials(where + "/x") == expected
        assert source._credentials(HOME + "/x") == ({} if where.startswith("https://a") else expected)


def test_a_name_holds_no_secret(http: Http) -> None:
    (source,) = named(http, "https://me:hf_secret@a.example/hub")
    assert source.name == "https://a.example"


@pytest.mark.parametrize("where", ["/no/such/folder", "ftp://a.example", "https://", "a.example:8090"])
def test_what_is_no_place_is_refused_by_name(where: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder") as refused:
        Settings(tmp_path).with_sources([where])
    assert where in str(refused.value)
    assert "https://" in refused.value.hint()


def test_what_is_given_wins_over_the_environment(tmp_path: Path) -> None:
    told = Settings.of({"HFMIRROR_HOME": str(tmp_path), "HFMIRROR_FROM": " https://a.example  /media/stick\n"})
    assert told.sources == ("https://a.example", "/media/stick")
    assert told.with_sources(None) == told.with_sources([]) == told
    assert told.with_sources(["https://b.example"]) == replace(told, sources=("https://b.example",))


# -- places ---------------------------------------------------------------------------------------


def store_in(folder: Path) -> Path:
    mirror = Mirror(Settings(folder))
    mirror.store.prepare()
    for wanted, data in ((LARGE, DATA), (SMALL, b"{}")):
        fill(mirror.store, wanted, data)
    return folder


def files_in(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "large.bin").write_bytes(DATA)
    (folder / "config.json").write_bytes(b"{}")
    return folder


def below_in(folder: Path) -> Path:
    files_in(folder / "acme" / "tiny")
    return folder


def links_in(folder: Path) -> Path:
    place = files_in(folder / "elsewhere")
    folder = folder / "links"
    folder.mkdir()
    (folder / "sub").symlink_to(place / "sub")
    (folder / "config.json").symlink_to(place / "config.json")
    return folder


KINDS = {
    "a store": (store_in, BundleSource),
    "a folder": (files_in, FolderSource),
    "a folder of repos": (below_in, FolderSource),
    "links": (links_in, FolderSource),
}


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Supplier:
    """Each kind of place with two files."""
    make, kind = KINDS[request.param]
    source = suppliers.place(make(tmp_path / "place"))
    assert isinstance(source, kind)
    return source


def test_a_place_knows_what_it_has(place: Supplier) -> None:
    assert isinstance(place, Nearby)
    assert place.holds(LISTING, LARGE)
    assert place.holds(LISTING, SMALL)
    assert not place.holds(LISTING, entry(b"other", "other.txt"))
    assert not place.holds(LISTING, Entry("sub/large.bin", len(DATA) + 1, entry(DATA + b"x").digest))


@pytest.mark.parametrize("span", [Span(0, 1), Span(5, 70_000), Span(PART, 2 * PART), Span(3 * PART, len(DATA))])
def test_a_place_gives_a_span_and_not_a_byte_more(place: Supplier, span: Span) -> None:
    with place.open(LISTING, LARGE, span) as stream:
        assert b"".join(map(bytes, stream)) == DATA[span.start : span.stop]


def test_a_place_gives_whole_files(place: Supplier) -> None:
    assert read(place, LISTING, LARGE) == DATA
    assert read(place, LISTING, SMALL) == b"{}"


def test_what_a_place_does_not_have_is_not_here(place: Supplier) -> None:
    with pytest.raises(NotHere), place.open(LISTING, entry(b"other", "other.txt"), Span(0, 5)):
        pass


def test_a_folder_where_a_file_should_be_is_none(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    assert not FolderSource(tmp_path).holds(LISTING, SMALL)


def test_a_folder_for_another_repo_of_the_same_name_is_told_by_its_bytes_alone(tmp_path: Path) -> None:
    source = FolderSource(files_in(tmp_path / "x"))
    other = manifest([SMALL], RepoId(Kind.DATASET, "acme/other"))
    assert source.holds(other, SMALL)


def test_a_file_that_cannot_be_read_may_be_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FolderSource(files_in(tmp_path / "x"))

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hfmirror.sources.folder.os.open", refuse)
    with pytest.raises(Unreachable, match="Permission denied"), source.open(LISTING, SMALL, Span(0, 2)):
        pass


def test_a_damaged_bundle_has_not_what_is_damaged(tmp_path: Path) -> None:
    folder = store_in(tmp_path / "x")
    source = suppliers.place(folder)
    whole = next(path for path in (folder / "objects").rglob("*") if path.is_file() and path.stat().st_size > PART)
    whole.chmod(0o644)
    whole.write_bytes(DATA[:PART])
    assert isinstance(source, Nearby)
    assert not source.holds(LISTING, LARGE)
    with pytest.raises(NotHere), source.open(LISTING, LARGE, Span(0, 5)):
        pass
