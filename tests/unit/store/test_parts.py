"""The digests of an object's parts: kept at the seal, believed as far as they go, gone with the object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import xxhash

from hfmirror.care import verify
from hfmirror.errors import DigestMismatch, StoreError
from hfmirror.model import PART, PartDigests, Span, part_runs
from hfmirror.store.parts import HEAD, parsed, text_of
from tests.contracts.scene import entry
from tests.contracts.store import LARGE, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hfmirror.store.disk import DiskStore

WANTED = entry(LARGE)
PARTS = PartDigests(
    len(LARGE),
    tuple(xxhash.xxh3_64_hexdigest(LARGE[at : at + PART]) for at in range(0, len(LARGE), PART)),
)


def test_a_seal_keeps_them(store: DiskStore) -> None:
    fill(store, WANTED, LARGE)
    assert store.part_digests(WANTED.digest) == PARTS


def test_what_an_earlier_run_claimed_counts(store: DiskStore) -> None:
    with store.receive(WANTED) as intake:
        intake.write(0, LARGE[:PART])
    with store.receive(WANTED) as intake:
        assert intake.missing()[0].start == PART
        intake.write(PART, LARGE[PART:])
        intake.seal()
    assert store.part_digests(WANTED.digest) == PARTS


def test_nothing_is_kept_of_what_is_not_named(store: DiskStore) -> None:
    with store.receive(WANTED) as intake:
        intake.write(0, LARGE)
    assert store.part_digests(WANTED.digest) is None
    with store.receive(entry(LARGE[:-1] + b"?")) as intake, pytest.raises(DigestMismatch):
        intake.write(0, LARGE)
        intake.seal()
    assert not [path for path in store.layout.parts.rglob("*") if path.is_file()]


def test_a_seal_does_not_fail_for_them(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object) -> None:
        raise StoreError("parts", "no")

    monkeypatch.setattr(store.parts, "keep", refuse)
    fill(store, WANTED, LARGE)
    assert store.has(WANTED.digest)
    assert not list(store.layout.incoming.iterdir())


def test_they_go_with_the_object_and_those_of_nothing_are_swept(store: DiskStore) -> None:
    fill(store, WANTED, LARGE)
    other = entry(b"other" * PART)
    store.parts.keep(other.digest, PARTS)
    store.sweep_parts()
    assert store.part_digests(other.digest) is None
    assert store.part_digests(WANTED.digest) == PARTS
    store.set_aside(WANTED.digest)
    store.sweep_parts()
    assert store.part_digests(WANTED.digest) == PARTS, "it can still be repaired"
    store.forget_damaged(WANTED.digest)
    store.sweep_parts()
    assert store.part_digests(WANTED.digest) is None
    fill(store, WANTED, LARGE)
    store.discard(WANTED.digest)
    assert store.part_digests(WANTED.digest) is None


def test_an_intake_takes_the_sound_parts_of_what_was_set_aside(store: DiskStore) -> None:
    fill(store, WANTED, LARGE)
    aside = store.set_aside(WANTED.digest)
    aside.chmod(0o644)
    aside.write_bytes(LARGE[:PART] + b"?" + LARGE[PART + 1 :])
    with store.receive(WANTED) as intake:
        assert intake.missing() == [Span(PART, 2 * PART)]
        intake.write(PART, LARGE[PART : 2 * PART])
        intake.seal()
    assert aside.read_bytes()[PART : PART + 1] == b"?", "what was set aside is never written to"
    assert store.damaged() == [WANTED.digest]


def test_digests_that_misled_are_forgotten(store: DiskStore) -> None:
    fill(store, WANTED, LARGE)
    aside = store.set_aside(WANTED.digest)
    aside.chmod(0o644)
    wrong = b"?" * len(LARGE)
    aside.write_bytes(wrong)
    sums = tuple(xxhash.xxh3_64_hexdigest(wrong[at : at + PART]) for at in range(0, len(wrong), PART))
    store.parts.keep(WANTED.digest, PartDigests(len(wrong), sums))
    with store.receive(WANTED) as intake:
        assert intake.missing() == []
        with pytest.raises(DigestMismatch):
            intake.seal()
    with store.receive(WANTED) as intake:
        assert intake.missing() == [Span(0, len(LARGE))]


def test_the_form_is_read_back_and_nothing_else_is() -> None:
    text = text_of(PARTS)
    assert text.startswith(f"{HEAD} {len(LARGE)}\n")
    assert parsed(text) == PARTS
    torn = [text[:length] for length in range(0, len(text), 7)]
    garbled = [text.replace(" 1 ", " 2 ", 1), text + text, text.upper(), "\0" * len(text), text.replace("\n", "\r\n")]
    assert [parsed(other) for other in [*torn, *garbled]] == [None] * (len(torn) + len(garbled))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda data: data, ()),
        (lambda data: b"?" + data[1:], (Span(0, PART),)),
        (lambda data: data[:-1] + b"?", part_runs([len(LARGE) // PART], len(LARGE))),
        (lambda data: data[: PART + 5], (Span(PART, len(LARGE)),)),
        (lambda data: data[:PART], (Span(PART, len(LARGE)),)),
        (lambda data: data[:9], (Span(0, len(LARGE)),)),
        (lambda _: b"", (Span(0, len(LARGE)),)),
        (lambda data: data + b"more" * PART, part_runs([len(LARGE) // PART], len(LARGE))),
    ],
)
def test_a_look_says_where_it_is_wrong(tmp_path: Path, change: Callable[[bytes], bytes], wrong: Sequence[Span]) -> None:
    place = tmp_path / "object"
    place.write_bytes(change(LARGE))
    found = verify.look(WANTED.digest, place, PARTS)
    assert (found.wrong or ()) == tuple(wrong)
    assert found.sound == (not wrong)
    assert verify.look(WANTED.digest, place, None).wrong is None
