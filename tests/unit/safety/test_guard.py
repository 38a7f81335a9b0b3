"""Who looks, when again, and what follows from it under each policy."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import StoreError, UnsafePickle
from hfmirror.model import Algorithm, Digest, Entry, Kind, RepoId
from hfmirror.safety import guard as guards
from hfmirror.safety import names
from hfmirror.safety.guard import Guard, sentence, told
from hfmirror.store.scans import DANGEROUS, SAFE, SUSPICIOUS, UNREADABLE, Import, Scan
from tests import pickled
from tests.pickled import SYSTEM, Payload

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.store.disk import DiskStore

REPO = RepoId(Kind.MODEL, "acme/evil")


@pytest.fixture
def payload(tmp_path: Path) -> Payload:
    """Something evil."""
    return Payload(tmp_path / "ran")


def put(store: DiskStore, path: str, data: bytes) -> Entry:
    """A file, taken in."""
    entry = Entry(path, len(data), Digest.of(Algorithm.SHA256, data))
    with store.batch() as batch:
        batch.add(entry, data)
    return entry


def test_a_file_is_looked_at_once(store: DiskStore, payload: Payload, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = put(store, "model.pkl", payload.pickled())
    first = Guard(store).look(entry)
    monkeypatch.setattr(guards, "look_at", lambda *_: pytest.fail("looked again"))
    assert first == Guard(store).look(entry) == store.scans.of(entry.digest)


@pytest.mark.parametrize(
    "older", ["picklescan 1.0.3 rules 1", "picklescan 0.9.30 rules 1", "picklescan 1.0.3 rules 0", ""]
)
def test_a_later_scanner_looks_again(store: DiskStore, payload: Payload, older: str) -> None:
    entry = put(store, "model.pkl", payload.pickled())
    store.scans.keep(entry.digest, Scan(SAFE, scanner=older))
    scan = Guard(store).look(entry)
    assert scan is not None
    assert scan.verdict == DANGEROUS


def test_what_a_later_scanner_found_is_believed(store: DiskStore) -> None:
    entry = put(store, "model.pkl", pickled.harmless())
    known = Scan(SUSPICIOUS, (Import("a", "b", SUSPICIOUS),), scanner="picklescan 99.0.0 rules 1")
    store.scans.keep(entry.digest, known)
    assert Guard(store).look(entry) == known


def test_files_without_pickles_leave_no_trace(store: DiskStore) -> None:
    for path, data in (
        ("config.json", b"{}"),
        ("a.npy", pickled.array_of_numbers()),
        ("vocab.txt", b"cat\ndog\nbird\n"),
    ):
        assert Guard(store).look(put(store, path, data)) is None
    assert list(store.scans.all()) == []


def test_a_file_that_is_not_here_is_not_looked_at(store: DiskStore) -> None:
    assert Guard(store).look(Entry("model.pkl", 5, Digest.of(Algorithm.SHA256, b"other"))) is None
    assert Guard(store).look(put(store, "empty.pkl", b"")) is None


def test_the_worst_comes_first(store: DiskStore, payload: Payload) -> None:
    suspicious = put(store, "args.bin", b"\x80\x02csomebody.of\nours\n.")
    evil, good = put(store, "z.pkl", payload.pickled()), put(store, "a.pkl", pickled.harmless())
    found = Guard(store).suspects([good, suspicious, evil])
    assert [(entry.path, scan.verdict) for entry, scan in found] == [("z.pkl", DANGEROUS), ("args.bin", SUSPICIOUS)]
    assert dict(Guard(store).unsafe()) == {entry.digest: scan for entry, scan in found}


@pytest.mark.parametrize(("policy", "bars"), [("warn", False), ("off", False), ("refuse", True)])
def test_only_one_policy_bars(store: DiskStore, payload: Payload, policy: str, *, bars: bool) -> None:
    guard, entry = Guard(store, policy), put(store, "a.pkl", payload.pickled())
    assert guard.bars(entry) is bars
    assert (guard.refusal(REPO, entry) is not None) is bars
    suspects = guard.suspects([entry])
    assert bool(suspects) is (policy != "off")
    if not bars:
        guard.refuse(REPO, suspects)
        return
    with pytest.raises(UnsafePickle) as caught:
        guard.refuse(REPO, suspects)
    assert str(caught.value) == f"a.pkl of acme/evil would run {SYSTEM} when it is loaded"
    assert "kept out of the view" in caught.value.hint()
    assert caught.value.exit_code == 7


def test_what_cannot_be_looked_through_is_barred_and_what_is_suspicious_is_not(store: DiskStore) -> None:
    guard = Guard(store, "refuse")
    assert guard.bars(put(store, "a.pkl", b"\x80\x04\x93."))
    assert not guard.bars(put(store, "b.pkl", b"\x80\x02csomebody.of\nours\n."))


def test_nobody_is_asked_when_nobody_wants_to_know(store: DiskStore, payload: Payload) -> None:
    guard, entry = Guard(store, "off"), put(store, "a.pkl", payload.pickled())
    Guard(store).look(entry)
    assert guard.known(entry) is None
    assert guard.unsafe() == {}
    assert not guard.look_again(entry)
    assert not guard.expects(entry)
    assert guard.sentence(entry) == ""


def test_news_is_what_was_not_known(store: DiskStore, payload: Payload) -> None:
    guard = Guard(store)
    evil, good = put(store, "a.pkl", payload.pickled()), put(store, "b.pkl", pickled.harmless())
    assert [guard.look_again(each) for each in (evil, good, evil)] == [True, False, False]
    assert [entry for entry, _ in guard.news] == [evil]


def test_without_the_scanner_it_is_said_and_not_remembered(
    store: DiskStore, payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = put(store, "a.pkl", payload.pickled())
    monkeypatch.delitem(sys.modules, "hfmirror.safety.looking", raising=False)
    monkeypatch.setitem(sys.modules, "hfmirror.safety.looking", None)
    scan = Guard(store).look(entry)
    assert scan is not None
    assert (scan.verdict, "pip install picklescan" in scan.why) == (UNREADABLE, True)
    assert store.scans.of(entry.digest) is None


def test_a_disk_that_takes_no_record_is_no_reason_to_be_silent(
    store: DiskStore, payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("here", "full")

    monkeypatch.setattr(store.scans, "keep", full)
    scan = Guard(store).look(put(store, "a.pkl", payload.pickled()))
    assert scan is not None
    assert scan.verdict == DANGEROUS


def test_the_sentences_say_which_file_what_it_runs_and_what_to_do(store: DiskStore, payload: Payload) -> None:
    evil, other = put(store, "a.pkl", payload.pickled()), put(store, "b.bin", b"\x80\x02csomebody.of\nours\n.")
    guard = Guard(store)
    said = sentence(REPO, "v1", guard.suspects([other, evil]))
    assert said.startswith(f"a.pkl of acme/evil would run {SYSTEM} when it is loaded (1 more: hfmirror info acme/evil)")
    assert "do not load it" in said
    assert said.endswith("hfmirror convert acme/evil@v1")
    mild = sentence(REPO, "main", guard.suspects([other]))
    assert mild.startswith("b.bin of acme/evil wants somebody.of.ours when it is loaded, which may be harmless; ")
    assert "do not load it" not in mild
    assert mild.endswith("hfmirror convert acme/evil")
    assert guard.sentence(evil) == f"a.pkl ({evil.digest}) would run {SYSTEM} when it is loaded"
    many = tuple(Import("os", name, DANGEROUS) for name in ("popen", "remove", "system"))
    assert told(Scan(DANGEROUS, many)) == "would run os.popen, os.remove and more when it is loaded"
    assert told(replace(Scan(UNREADABLE), why="it is packed")) == "cannot be looked through: it is packed"


@pytest.mark.parametrize(
    ("path", "is_named"),
    [
        ("pytorch_model.bin", True),
        ("a/b/MODEL.PT", True),
        ("x.pkl.gz", True),
        ("data.npz", True),
        ("model.safetensors", False),
        ("bin", False),
        ("a.bin/readme.md", False),
        ("logs.gz", False),
        ("model.onnx", False),
    ],
)
def test_names_that_loaders_take_for_pickles(path: str, *, is_named: bool) -> None:
    assert names.named(path) is is_named
