"""What the other side has, and what is left out for it."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hfmirror.bundle import Wish, known, plan_export, state_bytes, take_in
from hfmirror.bundle.layout import SUMS
from hfmirror.bundle.since import mark
from hfmirror.errors import StoreTooNew, UsageError
from hfmirror.model import PART, Algorithm, Digest, Pin
from hfmirror.store.disk import DiskStore
from tests.unit.bundle.shelf import FILES, SECOND, TINY, contents, export, put

if TYPE_CHECKING:
    from pathlib import Path

DIGESTS = some.sets(
    some.builds(Digest.of, some.sampled_from(Algorithm), some.binary(max_size=8)),
)


@given(DIGESTS)
def test_a_state_tells_what_it_was_made_of(tmp_path: Path, digests: set[Digest]) -> None:
    path = tmp_path / "their.state"
    path.write_bytes(state_bytes(digests))
    assert known(path) == {mark(digest) for digest in digests}


@given(DIGESTS)
def test_a_state_is_the_same_for_the_same_objects(digests: set[Digest]) -> None:
    assert state_bytes(sorted(digests)) == state_bytes(sorted(digests, reverse=True))


def test_a_state_is_small_and_tells_no_names(tmp_path: Path) -> None:
    chance = random.Random(5)
    digests = [Digest(Algorithm.SHA256, chance.randbytes(32).hex()) for _ in range(10_000)]
    assert len(state_bytes(digests)) < 10 * len(digests)
    store = DiskStore(tmp_path / "store")
    put(store)
    text = gzip.decompress(state_bytes(store.objects())).decode()
    assert "tiny" not in text
    assert "config" not in text


@pytest.mark.parametrize("how", ["state", "bundle", "split", "sums"])
def test_a_delta_carries_what_the_other_side_lacks_and_nothing_else(tmp_path: Path, how: str) -> None:
    store, other = DiskStore(tmp_path / "store"), DiskStore(tmp_path / "other")
    put(store)
    export(store, tmp_path / "first", most=PART if how == "split" else None)
    take_in(tmp_path / "first", other)
    told = {"state": tmp_path / "their.state", "sums": tmp_path / "first" / SUMS}.get(how, tmp_path / "first")
    if how == "state":
        told.write_bytes(state_bytes(other.objects()))
    put(store, {**FILES, "config.json": b"{}", "new.bin": b"new" * PART}, Pin(TINY, SECOND, "main"))
    plan = plan_export(store, tmp_path / "delta", [Wish(TINY, "main")], known(told))
    assert sorted(entry.path for entry in plan.to_copy) == ["acme/tiny/config.json", "acme/tiny/new.bin"]
    assert plan.size == 2 + 3 * PART
    export(store, tmp_path / "delta", known=known(told))
    assert sum(1 for path in (tmp_path / "delta" / "objects").rglob("*") if path.is_file()) == 2
    assert take_in(tmp_path / "delta", other).problems == []
    assert contents(other) == {**FILES, "config.json": b"{}", "new.bin": b"new" * PART}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        b"\x1f\x8bnonsense",
        gzip.compress(b"not json", mtime=0),
        gzip.compress(b"[]", mtime=0),
        gzip.compress(b'{"format": 1, "sha256": ["beef"]}', mtime=0),
        gzip.compress(b'{"format": 1, "sha256": [7]}', mtime=0),
        state_bytes([])[:-5],
    ],
)
def test_what_is_no_state_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "state").write_bytes(data)
    if data:
        with pytest.raises(UsageError) as caught:
            known(tmp_path / "state")
        assert "status --state" in caught.value.hint()
    else:
        assert known(tmp_path / "state") == frozenset()


def test_a_state_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfmirror.bundle.since.MOST", 1000)
    (tmp_path / "state").write_bytes(gzip.compress(b" " * 1_000_000, mtime=0))
    with pytest.raises(UsageError, match="larger than any state"):
        known(tmp_path / "state")


def test_a_later_state_and_a_folder_without_a_bundle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(gzip.compress(b'{"format": 2}', mtime=0))
    with pytest.raises(StoreTooNew):
        known(tmp_path / "state")
    with pytest.raises(UsageError, match="no bundle"):
        known(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        known(tmp_path / "nothing")
