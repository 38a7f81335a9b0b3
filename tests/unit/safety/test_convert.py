"""A commit of one's own with safetensors: what is taken in, refused, and said. A stand-in plays the part of torch."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from hfmirror.errors import StoreError, UnsafePickle, UsageError
from hfmirror.model import HUB, LOCAL, Algorithm, Digest, Entry, Head, Kind, Manifest, Pin, RepoId, commit_id
from hfmirror.safety.convert import Converter, Wish
from hfmirror.safety.guard import Guard
from hfmirror.store.disk import DiskStore
from tests import pickled
from tests.pickled import SYSTEM, Payload

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.safety.convert import Converted

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in for a Python with torch is a shell script")

REPO = RepoId(Kind.MODEL, "acme/old")
COMMIT = commit_id("ab" * 20)
ABOUT: dict[str, object] = {"id": "acme/old", "private": False, "gated": False, "tags": ["bert"], "sha": COMMIT}

# Plays `to_safetensors.py`: each source becomes a file that names it; its tensors are called after it.
STAND_IN = """
import json, sys
work = json.load(sys.stdin)["work"]
ANSWERS = {answers}
print(json.dumps(ANSWERS.get("first", {{"torch": "2.13.0"}})), flush=True)
for number, each in enumerate(work):
    answer = ANSWERS.get(str(number))
    if answer == "die":
        sys.exit(1)
    if answer is None:
        data = open(each["source"], "rb").read()
        open(each["target"], "wb").write(b"safe " + data)
        answer = {{"tensors": {{f"w{{number}}": len(data)}}, "tied": {{}}}}
    print(json.dumps(answer), flush=True)
"""


class Bench:
    """A store with one repo of the Hub's, and a stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = DiskStore(folder / "mirror")
        self.store.prepare()

    def hold(self, files: dict[str, bytes], *, lacking: tuple[str, ...] = ()) -> None:
        """Let the repo's main have these files, and the store all but those that lack."""
        entries = {path: Entry(path, len(data), _digest(path, data)) for path, data in files.items()}
        manifest = Manifest.of(REPO, COMMIT, entries.values(), origin=HUB)
        pin = Pin(REPO, COMMIT, "main")
        self.store.keep(pin, manifest)
        with self.store.batch() as batch:
            for path, data in files.items():
                if path not in lacking:
                    batch.add(entries[path], data)
        self.store.publish(pin, Head(COMMIT, ABOUT, "https://hub", public=True))

    def wish(self, **answers: Any) -> Wish:
        """A conversion of main, with a stand-in that says this."""
        program, python = self.folder / "stand_in.py", self.folder / "python"
        program.write_text(STAND_IN.format(answers=repr(answers)), encoding="utf-8")
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}"\n', encoding="utf-8")
        python.chmod(0o755)
        return Wish(REPO, "main", python=str(python))

    def convert(self, wish: Wish) -> Converted:
        """The whole of it."""
        converter = Converter(wish, self.store, Guard(self.store))
        return converter.run(converter.plan())

    def text(self, converted: Converted, path: str) -> bytes:
        """A file of the new commit."""
        entry = converted.manifest.get(path)
        assert entry is not None, path
        place = self.store.path(entry.digest)
        assert place is not None, path
        return place.read_bytes()

    @property
    def left(self) -> list[str]:
        """What lies about among the unfinished things."""
        return sorted(path.name for path in self.store.layout.incoming.iterdir())


def _digest(path: str, data: bytes) -> Digest:
    large = path.endswith((".bin", ".pt", ".safetensors"))
    return Digest.of(Algorithm.SHA256 if large else Algorithm.GIT_SHA1, data)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty bench."""
    return Bench(tmp_path)


GOOD = pickled.torch_zip(pickled.harmless())
TWO = {f"pytorch_model-0000{n}-of-00002.bin": pickled.torch_zip(pickled.harmless(n)) for n in (1, 2)}
FIRST, SECOND = TWO
INDEX = {"metadata": {"total_size": 1}, "weight_map": {"w0": FIRST, "w1": SECOND}}


def test_the_new_commit_is_our_own_beside_the_hubs(bench: Bench) -> None:
    bench.hold({"pytorch_model.bin": GOOD, "config.json": b"{}"})
    converted = bench.convert(bench.wish())
    assert [entry.path for entry in converted.manifest.entries] == ["config.json", "model.safetensors"]
    assert converted.manifest.origin == LOCAL
    assert bench.text(converted, "model.safetensors") == b"safe " + GOOD
    assert bench.store.refs_of(REPO) == {"main": COMMIT, "main-safetensors": converted.pin.commit}
    asked = bench.store.asked(REPO, "main-safetensors")
    assert asked is not None
    assert asked[1] == LOCAL
    assert converted.pin in set(bench.store.pins())
    assert bench.store.manifest(REPO, converted.pin.commit) == converted.manifest
    assert bench.left == []


def test_who_may_read_the_original_may_read_the_copy(bench: Bench) -> None:
    bench.hold({"pytorch_model.bin": GOOD})
    converted = bench.convert(bench.wish())
    assert bench.store.public(REPO)
    about = bench.store.about(REPO, converted.pin.commit)
    assert about == {
        "id": "acme/old", "private": False, "gated": False, "tags": ["bert"], "origin": LOCAL, "convertedFrom": COMMIT,
    }  # fmt: skip


def test_shards_come_with_a_new_index(bench: Bench) -> None:
    bench.hold({**TWO, "pytorch_model.bin.index.json": json.dumps(INDEX).encode()})
    converted = bench.convert(bench.wish())
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    assert [entry.path for entry in converted.manifest.entries] == [*names, "model.safetensors.index.json"]
    index = json.loads(bench.text(converted, "model.safetensors.index.json"))
    assert index["weight_map"] == {"w0": names[0], "w1": names[1]}
    assert index["metadata"]["total_size"] == sum(map(len, TWO.values()))


def test_an_index_of_what_is_not_here_is_refused(bench: Bench) -> None:
    files = {**TWO, "pytorch_model.bin.index.json": json.dumps(INDEX).encode()}
    bench.hold(files, lacking=(SECOND,))
    with pytest.raises(UsageError, match=r"00002-of-00002\.bin is not here"):
        bench.convert(bench.wish())


def test_the_same_again_is_the_same_commit(bench: Bench) -> None:
    bench.hold({"pytorch_model.bin": GOOD})
    first, again = bench.convert(bench.wish()), bench.convert(bench.wish())
    assert first.pin == again.pin


def test_what_is_dangerous_is_refused_before_anything_is_started(bench: Bench, tmp_path: Path) -> None:
    payload = Payload(tmp_path / "ran")
    bench.hold({"pytorch_model.bin": pickled.torch_zip(payload.pickled())})
    with pytest.raises(UnsafePickle) as caught:
        bench.convert(replace(bench.wish(), python="/nowhere/python"))
    assert str(caught.value) == f"pytorch_model.bin of acme/old would run {SYSTEM} when it is loaded"
    assert "--exclude 'pytorch_model.bin'" in caught.value.hint()
    assert not payload.ran


def test_what_needs_more_than_weights_is_refused_and_leaves_nothing(bench: Bench) -> None:
    bench.hold({"a.bin": GOOD, "b.bin": pickled.torch_zip(pickled.harmless(5))})
    with pytest.raises(UnsafePickle, match=r"b\.bin of acme/old needs more than weights: it wants torch\.nn\.Linear"):
        bench.convert(bench.wish(**{"1": {"refused": "needs more than weights: it wants torch.nn.Linear"}}))
    assert bench.store.refs_of(REPO) == {"main": COMMIT}
    assert len(list(bench.store.pins())) == 1
    assert len(list(bench.store.objects())) == 2
    assert bench.left == []


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"missing": "torch"}, "converting needs torch, safetensors and numpy: torch is missing"),
        ({"old": "2.5.1"}, "torch 2.5.1 is too old"),
        ({}, "does not run"),
    ],
)
def test_what_is_missing_is_said_with_the_command_that_brings_it(
    bench: Bench, first: dict[str, str], said: str
) -> None:
    bench.hold({"pytorch_model.bin": GOOD})
    with pytest.raises(UsageError) as caught:
        bench.convert(bench.wish(first=first))
    assert said in str(caught.value)
    assert "pip install 'hfmirror-cli[convert]'" in caught.value.hint()


def test_a_python_that_is_none_is_said_to_be_so(bench: Bench) -> None:
    bench.hold({"pytorch_model.bin": GOOD})
    with pytest.raises(UsageError, match="cannot be started"):
        bench.convert(replace(bench.wish(), python="/nowhere/python"))


@pytest.mark.parametrize("script", ["exit 0", "echo y", "echo '[]'; cat", "echo '['"])
@pytest.mark.skipif(os.name == "nt", reason="a shell script is no program there")
def test_a_python_that_is_something_else_is_said_not_to_run(bench: Bench, tmp_path: Path, script: str) -> None:
    python = tmp_path / "another"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    bench.hold({f"{number}.bin": GOOD + bytes([number]) for number in range(200)})  # more than a pipe holds at once
    with pytest.raises(UsageError, match="does not run"):
        bench.convert(replace(bench.wish(), python=str(python)))
    assert bench.left == []


def test_a_process_that_dies_is_heard_of(bench: Bench) -> None:
    bench.hold({"a.bin": GOOD, "b.bin": GOOD + b"\0"})
    with pytest.raises(StoreError, match="died"):
        bench.convert(bench.wish(**{"1": "die"}))
    assert bench.left == []


def test_no_name_of_the_hubs_is_taken_over(bench: Bench) -> None:
    bench.hold({"pytorch_model.bin": GOOD})
    with pytest.raises(UsageError, match="main is a revision of the Hub's"):
        bench.convert(replace(bench.wish(), name="main"))


def test_nothing_to_convert_is_said(bench: Bench) -> None:
    bench.hold({"config.json": b"{}", "pytorch_model.bin": GOOD}, lacking=("pytorch_model.bin",))
    with pytest.raises(UsageError, match="has no checkpoint here to convert"):
        bench.convert(bench.wish())


@pytest.mark.parametrize(
    ("revision", "name", "new"),
    [("main", "", "main-safetensors"), (COMMIT, "", "abababababab-safetensors"), ("v1", "mine", "mine")],
)
def test_the_new_revision_is_named_after_the_old(revision: str, name: str, new: str) -> None:
    assert Wish(REPO, revision, name).new == new
