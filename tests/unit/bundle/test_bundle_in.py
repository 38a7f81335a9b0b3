"""A bundle is a stranger's: what is taken from it, and what is not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from hfmirror.bundle import Trust, Wish, into_cache, is_bundle, take_in
from hfmirror.bundle.layout import SUMS, parts_name, sums_of, sums_text
from hfmirror.errors import (
    BadSignature,
    DamagedBundle,
    DiskFull,
    DiskGone,
    IntegrityError,
    MirrorError,
    NotHere,
    StoreTooNew,
    UnsafePath,
    UsageError,
)
from hfmirror.model import PART, Pin
from hfmirror.store.disk import DiskStore
from hfmirror.store.records import HEARSAY
from tests.contracts.store import fill
from tests.unit.bundle.shelf import FILES, FIRST, OTHER, SECOND, TINY, WEIGHTS, contents, entries_of, export, only, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hfmirror.bundle import Taken
    from hfmirror.model import Entry


@pytest.fixture
def stick(store: DiskStore, tmp_path: Path) -> Path:
    """A bundle."""
    export(store, tmp_path / "stick")
    return tmp_path / "stick"


@pytest.fixture
def target(tmp_path: Path) -> DiskStore:
    """Where it goes to, empty."""
    return DiskStore(tmp_path / "target")


def weights() -> Entry:
    """The large file."""
    return next(iter(entries_of({"model.safetensors": WEIGHTS})))


def resum(stick: Path) -> None:
    """Make the sums anew, as a forger would."""
    sums = sums_of((stick / SUMS).read_text("utf-8"))
    for path in stick.rglob("*"):
        name = path.relative_to(stick).as_posix()
        if path.is_file() and not path.is_symlink() and name != SUMS:
            sums[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (stick / SUMS).write_text(
        sums_text({name: told for name, told in sums.items() if (stick / name).exists()}), "utf-8"
    )


def forge(stick: Path, room: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the one JSON file of a room, and the sums with it."""
    (path,) = (stick / room).rglob("*.json")
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    resum(stick)


def nothing_came(target: DiskStore) -> bool:
    """Whether no name of the bundle is believed, and no byte lies about."""
    return not list(target.pins()) and not list(target.objects())


# -- what comes -----------------------------------------------------------------------------------


def test_all_of_it_comes_in_proven_with_its_names(stick: Path, store: DiskStore, target: DiskStore) -> None:
    taken = take_in(stick, target)
    assert (taken.problems, taken.objects, taken.there) == ([], 4, 0)
    assert contents(target) == FILES
    assert list(target.pins()) == list(store.pins())
    assert target.manifest(TINY, FIRST) == store.manifest(TINY, FIRST)
    assert target.about(TINY, FIRST) == store.about(TINY, FIRST)
    assert target.public(TINY)
    ref = store.layout.ref(TINY, "main")
    assert json.loads((target.root / ref.relative_to(store.root)).read_text("utf-8")) == json.loads(
        ref.read_text("utf-8")
    )


def test_taking_in_again_copies_nothing(stick: Path, target: DiskStore) -> None:
    take_in(stick, target)
    again = take_in(stick, target)
    assert (again.objects, again.there, again.problems) == (0, 4, [])


def test_parts_are_joined(store: DiskStore, tmp_path: Path, target: DiskStore) -> None:
    export(store, tmp_path / "split", most=PART)
    assert take_in(tmp_path / "split", target).problems == []
    assert contents(target) == FILES


def test_a_plain_store_can_be_taken_in_as_well(store: DiskStore, target: DiskStore) -> None:
    assert not is_bundle(store.root)
    assert take_in(store.root, target).problems == []
    assert contents(target) == FILES


def test_half_a_download_is_gone_on_with(stick: Path, target: DiskStore) -> None:
    with target.receive(weights()) as intake:
        intake.write(0, WEIGHTS[:PART])
    arrived = 0

    def watch(event: Any) -> None:
        nonlocal arrived
        arrived += getattr(event, "size", 0)

    assert take_in(stick, target, watch=watch).problems == []
    assert arrived == sum(map(len, set(FILES.values()))) - PART


def test_a_delta_needs_what_it_leaves_out(store: DiskStore, tmp_path: Path, target: DiskStore) -> None:
    from hfmirror.bundle.since import mark

    put(store, {**FILES, "new.txt": b"new"}, Pin(TINY, SECOND, "main"))
    known = frozenset(mark(each.digest) for each in entries_of(FILES))
    done = export(store, tmp_path / "delta", known=known)
    assert (done.copied, done.size) == (1, 3)
    (problem,) = take_in(tmp_path / "delta", target).problems
    assert isinstance(problem, NotHere)
    assert "this bundle leaves out" in str(problem)
    assert target.refs_of(TINY) == {}
    put(target)
    assert take_in(tmp_path / "delta", target).problems == []
    assert contents(target, revision=SECOND) == {**FILES, "new.txt": b"new"}


def test_a_name_that_was_asked_for_more_lately_stays(stick: Path, target: DiskStore) -> None:
    forge(stick, "refs", lambda ref: ref.update(checked_at="2020-01-01T00:00:00Z"))
    put(target, {"x": b"x"}, Pin(TINY, SECOND, "main"))
    taken = take_in(stick, target)
    assert target.commit(TINY, "main") == SECOND
    assert len(taken.kept) == 1
    assert set(contents(target, revision=FIRST)) == set(FILES)


def test_nobody_speaks_for_the_future(stick: Path, target: DiskStore) -> None:
    forge(stick, "refs", lambda ref: ref.update(checked_at="9999-01-01T00:00:00Z"))
    take_in(stick, target)
    assert "9999" not in target.layout.ref(TINY, "main").read_text("utf-8")


@pytest.mark.parametrize("told", ["soon", "", 7, None])
def test_a_time_that_is_none_is_long_ago(stick: Path, target: DiskStore, told: object) -> None:
    forge(stick, "refs", lambda ref: ref.update(checked_at=told))
    assert take_in(stick, target).problems == []
    asked = target.asked(TINY, "main")
    assert asked is not None
    assert asked[0] == 0


def test_a_rumour_gives_way_to_what_an_authority_said(stick: Path, target: DiskStore) -> None:
    forge(stick, "refs", lambda ref: ref.update(authority=HEARSAY, checked_at="2100-01-01T00:00:00Z"))
    put(target, {"x": b"x"}, Pin(TINY, SECOND, "main"))
    assert len(take_in(stick, target).kept) == 1
    assert target.commit(TINY, "main") == SECOND


def test_what_is_closed_here_is_not_opened_by_a_bundle(stick: Path, target: DiskStore) -> None:
    from hfmirror.model import Head

    listing = put(target, {"x": b"x"}, Pin(TINY, SECOND, "v0"))
    target.publish(Pin(TINY, listing.commit, "v0"), Head(SECOND, {}, "a hub", public=False))
    take_in(stick, target)
    assert not target.public(TINY)


def test_objects_that_no_pin_of_it_wants_stay_outside(stick: Path, target: DiskStore) -> None:
    stray = hashlib.sha256(b"stray").hexdigest()
    (stick / "objects" / "sha256" / stray[:2]).mkdir()
    (stick / "objects" / "sha256" / stray[:2] / stray).write_bytes(b"stray")
    take_in(stick, target)
    assert len(list(target.objects())) == 4


def test_an_export_that_did_not_finish_brings_what_it_has(stick: Path, target: DiskStore) -> None:
    for path in (stick / SUMS, stick / "refs"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert take_in(stick, target).problems == []
    assert contents(target, revision=FIRST) == FILES
    assert target.refs_of(TINY) == {}


# -- what is damaged ------------------------------------------------------------------------------


def problems_of(stick: Path, target: DiskStore) -> str:
    """What is said, once something is wrong."""
    taken: Taken = take_in(stick, target)
    assert taken.problems
    assert all(isinstance(problem, IntegrityError | NotHere) for problem in taken.problems)
    assert taken.names == []
    assert target.refs_of(TINY) == {}
    for digest in target.objects():
        place = target.path(digest)
        assert place is not None
        assert digest == type(digest).of(digest.algorithm, place.read_bytes())
    return " / ".join(map(str, taken.problems))


@pytest.mark.parametrize("path", ["model.safetensors", "sub/vocab.txt"])
@pytest.mark.parametrize("bent", [lambda data: b"?" + data[1:], lambda data: data[:-1], lambda data: data + b"!"])
def test_a_bent_object_is_named_and_the_rest_comes(
    stick: Path, target: DiskStore, path: str, bent: Callable[[bytes], bytes]
) -> None:
    (wanted,) = entries_of({path: FILES[path]})
    place = stick / "objects" / wanted.digest.algorithm.value / wanted.digest.hex[:2] / wanted.digest.hex
    place.write_bytes(bent(place.read_bytes()))
    assert wanted.digest.hex in problems_of(stick, target)
    assert set(contents(target, revision=FIRST)) == set(FILES) - {path}


@pytest.mark.parametrize("part", [1, 3])
def test_a_bent_part_is_named(store: DiskStore, tmp_path: Path, target: DiskStore, part: int) -> None:
    export(store, tmp_path / "split", most=PART)
    (place,) = (tmp_path / "split").glob(f"parts/**/*.part000{part}")
    place.write_bytes(b"?" + place.read_bytes()[1:])
    said = problems_of(tmp_path / "split", target)
    assert f"part000{part} in the bundle" in said
    assert "model.safetensors" in said


def test_a_lost_part_is_named(store: DiskStore, tmp_path: Path, target: DiskStore) -> None:
    export(store, tmp_path / "split", most=PART)
    next((tmp_path / "split").glob("parts/**/*.part0002")).unlink()
    assert "part0002 in the bundle: is missing" in problems_of(tmp_path / "split", target)


@pytest.mark.parametrize("room", ["manifests", "pins", "refs", "about"])
def test_a_bent_name_is_not_believed(stick: Path, target: DiskStore, room: str) -> None:
    (path,) = (stick / room).rglob("*.json")
    path.write_text(path.read_text("utf-8").replace("\n}", " \n}"), encoding="utf-8")
    assert "has changed" in problems_of(stick, target)
    assert nothing_came(target)


@pytest.mark.parametrize("room", ["manifests", "refs"])
def test_a_lost_name_is_noticed(stick: Path, target: DiskStore, room: str) -> None:
    next((stick / room).rglob("*.json")).unlink()
    assert "missing" in problems_of(stick, target)


def test_names_that_came_later_are_not_believed(stick: Path, store: DiskStore, target: DiskStore) -> None:
    put(store, {"x": b"x"}, Pin(OTHER, SECOND, "main"))
    shutil.copytree(store.root / "pins" / OTHER.folder, stick / "pins" / OTHER.folder)
    taken = take_in(stick, target)
    assert [str(problem) for problem in taken.problems if "is not named in SHA256SUMS" in str(problem)]
    assert contents(target) == FILES


def test_a_listing_that_tells_another_story_than_ours_is_refused(stick: Path, target: DiskStore) -> None:
    put(target)

    def lie(manifest: dict[str, Any]) -> None:
        manifest["entries"][0]["digest"] = manifest["entries"][1]["digest"]

    forge(stick, "manifests", lie)
    before = target.layout.manifest(TINY, FIRST).read_bytes()
    taken = take_in(stick, target)
    assert "differs" in str(taken.problems[0])
    assert target.layout.manifest(TINY, FIRST).read_bytes() == before


# -- what is hostile ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "..", "a//b", "a\\b", "a/./b", "x\0y", ""])
def test_a_path_that_leaves_its_folder_is_refused(stick: Path, target: DiskStore, name: str) -> None:
    forge(stick, "manifests", lambda manifest: manifest["entries"][0].update(path=name))
    problems_of(stick, target)
    assert nothing_came(target)


@pytest.mark.parametrize("revision", ["../../../evil", "a/../../b", "/evil", 7, None, "x\ny"])
def test_a_revision_that_leaves_its_folder_is_refused(stick: Path, target: DiskStore, revision: object) -> None:
    forge(stick, "pins", lambda pins: pins["asked"][0].update(revision=revision))
    problems_of(stick, target)
    assert nothing_came(target)


@pytest.mark.parametrize("repo", ["model:../../evil", "model:a/b/c", "model:", "planet:a/b", "model:acme/other", 7])
def test_a_repo_of_another_name_is_refused(stick: Path, target: DiskStore, repo: object) -> None:
    forge(stick, "pins", lambda pins: pins.update(repo=repo))
    problems_of(stick, target)
    assert nothing_came(target)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(commit="b" * 40),
        lambda manifest: manifest.update(origin="heaven"),
        lambda manifest: manifest["entries"].append(dict(manifest["entries"][0])),
        lambda manifest: manifest["entries"][0].update(size=-1),
        lambda manifest: manifest["entries"][0].update(size="many"),
        lambda manifest: manifest["entries"][0].update(digest="sha256:beef"),
        lambda manifest: manifest["entries"][0].update(digest="md5:" + "0" * 32),
        lambda manifest: manifest.update(entries=[7]),
        lambda manifest: manifest.update(format=99),
        lambda manifest: manifest.pop("entries"),
    ],
)
def test_a_listing_that_is_none_is_refused(
    stick: Path, target: DiskStore, change: Callable[[dict[str, Any]], object]
) -> None:
    forge(stick, "manifests", change)
    taken = take_in(stick, target)
    assert taken.problems
    assert nothing_came(target)


@pytest.mark.parametrize("patterns", [["*" * 5000], ["x"] * 5000, [7]])
def test_patterns_that_nobody_typed_are_refused(stick: Path, target: DiskStore, patterns: list[object]) -> None:
    forge(stick, "pins", lambda pins: pins["asked"][0].update(include=patterns))
    assert "nobody typed" in problems_of(stick, target)
    assert nothing_came(target)


def test_an_absurd_size_takes_no_room(stick: Path, target: DiskStore) -> None:
    def grow(manifest: dict[str, Any]) -> None:
        next(row for row in manifest["entries"] if row["path"] == "model.safetensors").update(size=2**60)

    forge(stick, "manifests", grow)
    assert f"has {len(WEIGHTS)} bytes" in problems_of(stick, target)
    assert not list(target.layout.incoming.glob("*~*/data"))


def test_what_does_not_fit_is_noticed_before_anything_is_written(
    stick: Path, target: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfmirror.store.files.free_space", lambda where: 1000)
    with pytest.raises(DiskFull):
        take_in(stick, target)
    assert nothing_came(target)


@pytest.mark.parametrize("where", ["objects", "objects/sha256", "manifests", "pins/models--acme--tiny"])
def test_a_folder_that_is_a_link_is_not_entered(stick: Path, target: DiskStore, where: str) -> None:
    (stick / where).rename(stick.parent / "elsewhere")
    (stick / where).symlink_to(stick.parent / "elsewhere")
    try:
        assert take_in(stick, target).problems
    except DamagedBundle as error:
        assert "no repo" in str(error)
    assert target.refs_of(TINY) == {}
    assert not target.has(weights().digest)


def test_a_file_that_is_a_link_is_not_read(stick: Path, target: DiskStore) -> None:
    wanted = weights()
    place = stick / "objects" / "sha256" / wanted.digest.hex[:2] / wanted.digest.hex
    place.rename(stick.parent / "elsewhere")
    place.symlink_to(stick.parent / "elsewhere")
    assert "is a link" in problems_of(stick, target)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_does_not_hold_it_up(stick: Path, target: DiskStore) -> None:
    wanted = weights()
    place = stick / "objects" / "sha256" / wanted.digest.hex[:2] / wanted.digest.hex
    place.unlink()
    os.mkfifo(place)
    assert "no plain file" in problems_of(stick, target)


@pytest.mark.parametrize("line", ["nonsense", "0" * 64 + "  format.json", "0" * 63 + "  x"])
def test_sums_that_are_none_are_refused(stick: Path, target: DiskStore, line: str) -> None:
    with (stick / SUMS).open("a") as sums:
        sums.write(line + "\n")
    with pytest.raises(DamagedBundle):
        take_in(stick, target)
    assert nothing_came(target)


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: parts["parts"].extend([{"name": "x", "size": 1, "sha256": "0" * 64}] * 20_000),
        lambda parts: parts["parts"][0].update(size=1),
        lambda parts: parts["parts"][0].update(name="../../../../etc/passwd"),
        lambda parts: parts["parts"].append(dict(parts["parts"][0])),
        lambda parts: parts["parts"][1].update(name=parts["parts"][0]["name"]),
        lambda parts: parts["parts"][0].update(sha256="?"),
        lambda parts: parts.update(size=2**60),
        lambda parts: parts.update(digest="sha256:" + "0" * 64),
        lambda parts: parts.update(parts=[]),
        lambda parts: parts.pop("size"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(
    store: DiskStore, tmp_path: Path, target: DiskStore, change: Callable[[dict[str, Any]], object]
) -> None:
    split = tmp_path / "split"
    export(store, split, most=PART)
    path = split / parts_name(weights().digest)
    parts = json.loads(path.read_text("utf-8"))
    change(parts)
    path.write_text(json.dumps(parts), encoding="utf-8")
    resum(split)
    assert "parts/sha256" in problems_of(split, target)
    assert not target.has(weights().digest)


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"format": "other", "version": 1}'])
def test_another_folder_is_no_bundle(stick: Path, target: DiskStore, text: str) -> None:
    (stick / "format.json").write_text(text, encoding="utf-8")
    (stick / SUMS).unlink()
    with pytest.raises(MirrorError):
        take_in(stick, target)
    with pytest.raises(UsageError, match="no bundle"):
        take_in(stick / "objects", target)
    assert not is_bundle(stick / "objects")
    assert nothing_came(target)


@pytest.mark.parametrize(("name", "field"), [("format.json", "version"), ("bundle.json", "format")])
def test_a_later_form_is_refused_with_what_to_do(stick: Path, target: DiskStore, name: str, field: str) -> None:
    document = json.loads((stick / name).read_text("utf-8"))
    (stick / name).write_text(json.dumps({**document, field: 2}), encoding="utf-8")
    resum(stick)
    with pytest.raises(StoreTooNew) as caught:
        take_in(stick, target)
    assert "upgrade" in caught.value.hint()
    assert nothing_came(target)


def test_a_bundle_that_tells_of_nothing_says_so(stick: Path, target: DiskStore) -> None:
    shutil.rmtree(stick / "pins")
    with pytest.raises(DamagedBundle, match="no repo"):
        take_in(stick, target)


def test_the_store_is_not_taken_into_itself(store: DiskStore) -> None:
    with pytest.raises(UsageError, match="the store itself"):
        take_in(store.root, store)


def test_names_that_clash_on_this_disk_are_refused(
    store: DiskStore, tmp_path: Path, target: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, {"A.txt": b"1", "a.txt": b"2"}, Pin(OTHER, SECOND, "main"))
    export(store, tmp_path / "clash", Wish(OTHER, "main"))
    monkeypatch.setattr(DiskStore, "case_blind", lambda self: True)
    (problem,) = take_in(tmp_path / "clash", target).problems
    assert isinstance(problem, UnsafePath)
    assert nothing_came(target)


def test_a_stick_pulled_out_half_way_says_so_and_goes_on(
    stick: Path, target: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hfmirror.bundle.reading import Bundle

    chunks = Bundle.chunks

    def pulled_out(self: Bundle, piece: Any, start: int = 0) -> Any:
        if piece.size == len(WEIGHTS):
            stick.rename(stick.parent / "in my pocket")
            monkeypatch.setattr("hfmirror.bundle.disk.Stick.there", lambda self: False)
        return chunks(self, piece, start)

    monkeypatch.setattr(Bundle, "chunks", pulled_out)
    with pytest.raises(DiskGone) as caught:
        take_in(stick, target)
    assert "put it back" in caught.value.hint()
    monkeypatch.undo()
    (stick.parent / "in my pocket").rename(stick)
    assert take_in(stick, target).problems == []
    assert contents(target) == FILES


@pytest.mark.parametrize("left", [0, 1, PART, len(WEIGHTS) - 1])
def test_a_file_that_is_cut_short_while_it_is_read_costs_itself_only(
    stick: Path, target: DiskStore, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    from hfmirror.bundle.reading import Bundle

    chunks = Bundle.chunks

    def cut(self: Bundle, piece: Any, start: int = 0) -> Any:
        if piece.size == len(WEIGHTS):
            os.truncate(stick / piece.name, left)
        return chunks(self, piece, start)

    monkeypatch.setattr(Bundle, "chunks", cut)
    (problem,) = take_in(stick, target).problems
    assert isinstance(problem, DamagedBundle)
    assert "too early" in str(problem)
    assert {one.path for one in entries_of(FILES) if target.has(one.digest)} == FILES.keys() - {"model.safetensors"}
    assert target.refs_of(TINY) == {}


# -- who signed -----------------------------------------------------------------------------------


def test_an_unsigned_bundle_is_taken_with_a_word_unless_a_signature_is_required(stick: Path, target: DiskStore) -> None:
    with pytest.raises(BadSignature, match="not signed"):
        take_in(stick, target, Trust(required=True))
    assert nothing_came(target)
    assert "not signed" in take_in(stick, target).signature


# -- a plain cache --------------------------------------------------------------------------------


def shown(cache: Path, repo: str = TINY.folder, commit: str = FIRST) -> dict[str, bytes]:
    """What a client would find."""
    snapshot = cache / repo / "snapshots" / commit
    return {p.relative_to(snapshot).as_posix(): p.read_bytes() for p in snapshot.rglob("*") if p.is_file()}


@pytest.mark.parametrize("most", [None, PART])
def test_a_cache_gets_blobs_names_and_refs(store: DiskStore, tmp_path: Path, most: int | None) -> None:
    export(store, tmp_path / "bundle", most=most)
    placed = into_cache(tmp_path / "bundle", tmp_path / "cache")
    assert (placed.problems, placed.repos) == ([], [f"acme/tiny@{FIRST}"])
    assert shown(tmp_path / "cache") == FILES
    assert (tmp_path / "cache" / TINY.folder / "refs" / "main").read_text() == FIRST
    assert not list((tmp_path / "cache").rglob("*.hfmirror"))


def test_a_cache_gets_no_name_for_what_is_not_whole(store: DiskStore, tmp_path: Path) -> None:
    put(store, {**FILES, "new.txt": b"new"}, Pin(TINY, SECOND, "main"))
    from hfmirror.bundle.since import mark

    known = frozenset(mark(each.digest) for each in entries_of(FILES))
    export(store, tmp_path / "delta", known=known)
    placed = into_cache(tmp_path / "delta", tmp_path / "cache")
    assert {type(problem) for problem in placed.problems} == {NotHere}
    assert not (tmp_path / "cache" / TINY.folder / "refs").exists()
    export(store, tmp_path / "full", Wish(TINY, FIRST))
    into_cache(tmp_path / "full", tmp_path / "cache")
    assert into_cache(tmp_path / "delta", tmp_path / "cache").problems == []
    assert shown(tmp_path / "cache", commit=SECOND) == {**FILES, "new.txt": b"new"}


def test_wrong_bytes_in_a_cache_are_put_right_and_right_ones_left_alone(stick: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    into_cache(stick, cache)
    blobs = {path.name: path for path in (cache / TINY.folder / "blobs").iterdir()}
    bent = blobs[weights().digest.hex]
    before = {name: path.stat().st_ino for name, path in blobs.items() if path != bent}
    bent.write_bytes(b"?" + WEIGHTS[1:])
    assert into_cache(stick, cache).problems == []
    assert shown(cache) == FILES
    assert {name: blobs[name].stat().st_ino for name in before} == before


def test_a_cache_takes_no_damage_and_no_stranger(stick: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSignature):
        into_cache(stick, tmp_path / "cache", Trust(required=True))
    place = stick / "objects" / "sha256" / weights().digest.hex[:2] / weights().digest.hex
    place.write_bytes(b"?" + WEIGHTS[1:])
    placed = into_cache(stick, tmp_path / "cache")
    assert [type(problem) for problem in placed.problems] == [DamagedBundle]
    assert "model.safetensors" in str(placed.problems[0])
    assert set(shown(tmp_path / "cache")) == set(FILES) - {"model.safetensors"}


def test_a_cache_without_symbolic_links_gets_files(
    stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    assert into_cache(stick, tmp_path / "linked").problems == []
    monkeypatch.setattr(os, "link", refuse)
    assert into_cache(stick, tmp_path / "copied").problems == []
    for cache in (tmp_path / "linked", tmp_path / "copied"):
        assert shown(cache) == FILES
        assert not [path for path in cache.rglob("*") if path.is_symlink()]
    assert into_cache(stick, tmp_path / "copied").problems == []


def test_patterns_reach_the_cache(store: DiskStore, tmp_path: Path) -> None:
    export(store, tmp_path / "some", Wish(TINY, "main", only("sub/", "*.json")))
    assert into_cache(tmp_path / "some", tmp_path / "cache").problems == []
    assert set(shown(tmp_path / "cache")) == {"config.json", "sub/vocab.txt", "sub/copy.json"}


def test_filled_by_hand_the_same_store_results(store: DiskStore, target: DiskStore, stick: Path) -> None:
    for wanted, data in entries_of(FILES).items():
        if not target.has(wanted.digest):
            fill(target, wanted, data)
    assert take_in(stick, target).objects == 0
    assert sorted(target.objects()) == sorted(store.objects())


def test_a_name_no_windows_can_hold_is_refused_as_by_a_pull(stick: Path, target: DiskStore) -> None:
    forge(stick, "manifests", lambda manifest: manifest["entries"][0].update(path="con.json"))
    (problem,) = take_in(stick, target).problems
    assert isinstance(problem, UnsafePath)
    assert nothing_came(target)


@pytest.mark.parametrize("room", ["manifests", "pins", "refs", "about"])
def test_nesting_without_end_is_refused(stick: Path, target: DiskStore, room: str) -> None:
    (path,) = (stick / room).rglob("*.json")
    path.write_text('{"format": 1, "x": ' + "[" * 100_000, encoding="utf-8")
    resum(stick)
    problems_of(stick, target)
    assert nothing_came(target)
    assert into_cache(stick, stick.parent / "cache").problems or room == "about"


def test_what_was_signed_is_read_once(stick: Path, monkeypatch: pytest.MonkeyPatch, target: DiskStore) -> None:
    from hfmirror.bundle.reading import Bundle

    asked: list[str] = []
    read = Bundle.read

    def listening(self: Bundle, name: str) -> bytes | None:
        asked.append(name)
        return read(self, name)

    monkeypatch.setattr(Bundle, "read", listening)
    take_in(stick, target)
    assert asked.count(SUMS) == 1
