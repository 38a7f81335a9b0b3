"""Evil is found wherever it hides, and never run; what is harmless is called so."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import pickletools
import zlib
from typing import IO, TYPE_CHECKING, cast

import pytest

from hfmirror.safety import bounded
from hfmirror.safety.guard import look_at
from hfmirror.safety.looking import scanner
from hfmirror.store.scans import DANGEROUS, SAFE, SUSPICIOUS, UNREADABLE, Import
from tests import pickled
from tests.pickled import SYSTEM, Payload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hfmirror.store.scans import Scan

Build = "Callable[[Payload], bytes]"


@pytest.fixture
def payload(tmp_path: Path) -> Payload:
    """Something evil."""
    return Payload(tmp_path / "ran")


def look(folder: Path, name: str, data: bytes) -> Scan | None:
    """Look at a file of this name with this content."""
    path = folder / "content"
    path.write_bytes(data)
    return look_at(path, name)


HIDDEN: dict[str, tuple[str, Callable[[Payload], bytes]]] = {
    **{f"plain {n}": ("model.pkl", lambda p, n=n: p.pickled(n)) for n in range(6)},  # type: ignore[misc]
    "torch zip": ("pytorch_model.bin", lambda p: pickled.torch_zip(p.pickled())),
    "torch zip, protocol 0": ("model.pt", lambda p: pickled.torch_zip(p.pickled(0))),
    "torch zip, protocol 5": ("model.pth", lambda p: pickled.torch_zip(p.pickled(5))),
    "torch zip, compressed": ("model.ckpt", lambda p: pickled.torch_zip(p.pickled(4), compressed=True)),
    "torch zip, odd folder": ("model.pt", lambda p: pickled.torch_zip(p.pickled(), folder="a/b/../c")),
    "torch before 1.6": ("pytorch_model.bin", lambda p: pickled.torch_legacy(p.pickled())),
    "member of another name": ("model.bin", lambda p: pickled.zipped({"config.json": b"{}", "extra": p.pickled(4)})),
    "archive in an archive": ("m.bin", lambda p: pickled.zipped({"in/deep.pt": pickled.torch_zip(p.pickled())})),
    "behind something else": ("m.bin", lambda p: b"some text first" + pickled.torch_zip(p.pickled())),
    "broken after the payload": ("model.pkl", lambda p: p.pickled(4)[:-3] + b"\xff\xff\xff\xff"),
    "packed twice": ("model.pkl.gz", lambda p: gzip.compress(gzip.compress(p.pickled()))),
    "archive that is packed": ("model.bin", lambda p: gzip.compress(pickled.torch_zip(p.pickled()))),
    "second of two": ("model.pkl", lambda p: pickled.harmless(4) + p.pickled(4)),
    "named like safetensors": ("model.safetensors", lambda p: p.pickled(4)),
    "named like text": ("notes.txt", lambda p: p.pickled(5)),
    "named like text, zip": ("notes.txt", lambda p: pickled.torch_zip(p.pickled())),
    "named like text, protocol 0": ("notes.txt", lambda p: pickle.dumps(p, 0)),
    "array of objects": ("data.npy", lambda p: pickled.array_of_objects(p.pickled(3))),
    "arrays of objects": ("data.npz", lambda p: pickled.zipped({"a.npy": pickled.array_of_objects(p.pickled(3))})),
    "gzip": ("model.pkl.gz", lambda p: gzip.compress(p.pickled(4))),
    "gzip, not named so": ("model.joblib", lambda p: gzip.compress(p.pickled(4))),
    "bzip2": ("model.pkl.bz2", lambda p: bz2.compress(p.pickled(4))),
    "xz": ("model.joblib", lambda p: lzma.compress(p.pickled(4))),
}


@pytest.mark.parametrize("how", HIDDEN)
def test_evil_is_found_and_not_run(tmp_path: Path, payload: Payload, how: str) -> None:
    name, build = HIDDEN[how]
    scan = look(tmp_path, name, build(payload))
    assert scan is not None
    assert (scan.verdict, [str(each) for each in scan.dangerous]) == (DANGEROUS, [SYSTEM])
    assert scan.scanner == scanner()
    assert scan.when
    assert not payload.ran


def test_the_payload_of_these_tests_is_no_dud(payload: Payload) -> None:
    pickle.loads(payload.pickled())  # noqa: S301 - our own, to see that the mark is one
    assert payload.ran


HARMLESS = {
    "plain values": ("model.pkl", pickled.harmless()),
    "torch zip": ("pytorch_model.bin", pickled.torch_zip(pickled.harmless())),
    "torch before 1.6": ("pytorch_model.bin", pickled.torch_legacy(pickled.harmless())),
    "numbers of some other program": ("weights.bin", bytes(range(256)) * 400),
}


@pytest.mark.parametrize("how", HARMLESS)
def test_what_is_harmless_is_safe(tmp_path: Path, how: str) -> None:
    scan = look(tmp_path, *HARMLESS[how])
    assert scan is not None
    assert (scan.verdict, scan.imports) == (SAFE, ())


NO_PICKLES = {
    "text": ("config.json", b'{"model_type": "bert"}'),
    "words that begin like the oldest protocol": ("vocab.txt", b"cache\nbuild\nfoo\n" * 500),
    "safetensors": ("model.safetensors", b"\x40\0\0\0\0\0\0\0" + b'{"__metadata__":{}}'.ljust(64) + bytes(100)),
    "an array": ("data.npy", pickled.array_of_numbers()),
    "arrays": ("data.npz", pickled.zipped({"a.npy": pickled.array_of_numbers()})),
    "an archive of texts": ("pages.zip", pickled.zipped({"a.txt": b"a", "b/c.json": b"{}"})),
    "text that is packed": ("pages.json.gz", gzip.compress(b"{}")),
}


@pytest.mark.parametrize("how", NO_PICKLES)
def test_what_holds_no_pickle_is_not_spoken_of(tmp_path: Path, how: str) -> None:
    assert look(tmp_path, *NO_PICKLES[how]) is None


def test_a_name_that_is_not_known_is_suspicious(tmp_path: Path) -> None:
    scan = look(tmp_path, "training_args.bin", b"\x80\x02ctransformers.training_args\nTrainingArguments\n.")
    assert scan is not None
    assert scan.verdict == SUSPICIOUS
    assert scan.imports == (Import("transformers.training_args", "TrainingArguments", SUSPICIOUS),)


def test_names_are_fit_for_a_terminal(tmp_path: Path) -> None:
    scan = look(tmp_path, "a.pkl", b"\x80\x02cevil\x1b[2J\n" + b"x" * 900 + b"\n.")
    assert scan is not None
    assert scan.imports[0].module == "evil?[2J"
    assert len(scan.imports[0].name) == 200


UNREADABLE_ONES = {
    "numbers after the pickle": ("m.joblib", b"\x80\x02csomebody.of\nours\n." + b"\x00\x01raw" * 99, "no pickle"),
    "malformed": ("m.pkl", b"\x80\x04\x93.", "malformed"),
    "packed in an unknown way": ("m.joblib", zlib.compress(pickled.harmless()), "packed"),
    "packed, and broken": ("m.bin", gzip.compress(pickled.harmless())[:10] + b"\xff" * 40, "cannot be unpacked"),
    "packed again and again": ("m.p.gz", gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"")))), "packed 3"),
    "a broken archive": ("m.bin", pickled.torch_zip(pickled.harmless())[:-30], "broken archive"),
    "archives in archives": ("m.bin", pickled.zipped({"a.bin": pickled.zipped({"b.bin": pickled.zipped(
        {"c.bin": pickled.zipped({"d.bin": b""})})})}), "deep"),
}  # fmt: skip


@pytest.mark.parametrize("how", UNREADABLE_ONES)
def test_what_cannot_be_looked_through_is_said_to_be_so(tmp_path: Path, how: str) -> None:
    name, data, why = UNREADABLE_ONES[how]
    scan = look(tmp_path, name, data)
    assert scan is not None
    assert scan.verdict == UNREADABLE
    assert why in scan.why


def test_a_bomb_of_steps_costs_a_bounded_number_of_them(
    tmp_path: Path, payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MOST_STEPS", 10_000)
    bomb = b"\x80\x04" + b"N0" * 100_000 + payload.pickled(4)
    for name, data in (("a.pkl", bomb), ("a.npz", pickled.zipped({"x.pkl": bomb})), ("a.pkl.gz", gzip.compress(bomb))):
        scan = look(tmp_path, name, data)
        assert scan is not None
        assert (scan.verdict, "10000 steps" in scan.why) == (UNREADABLE, True)


@pytest.mark.parametrize("name", ["a.pkl", "a"])
def test_many_bombs_cost_no_more_than_one(
    tmp_path: Path, payload: Payload, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(bounded, "MOST_STEPS", 10_000)
    bombs = {f"{number}/{name}": b"\x80\x04" + b"N0" * 4_000 + b"." for number in range(9)}
    scan = look(tmp_path, "m.bin", pickled.zipped({**bombs, "z": payload.pickled(4)}))
    assert scan is not None
    assert (scan.verdict, "10000 steps" in scan.why) == (UNREADABLE, True)


def test_many_members_that_unpack_to_much_cost_no_more_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MOST_UNPACKED", 2**20)
    large = pickle.dumps(bytes(600_000), 4)
    for count, verdict in ((1, SAFE), (2, UNREADABLE)):
        data = pickled.zipped({f"{number}.pkl": large for number in range(count)}, compressed=True)
        scan = look(tmp_path, "m.bin", data)
        assert scan is not None
        assert (count, scan.verdict) == (count, verdict)


def test_a_long_line_that_is_packed_costs_no_more_than_other_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MOST_UNPACKED", 2**20)
    scan = look(tmp_path, "m.pkl.gz", gzip.compress(b"S'" + b"x" * 2**22 + b"'\n."))
    assert scan is not None
    assert (scan.verdict, "in a compressed file" in scan.why) == (UNREADABLE, True)


def test_a_large_archive_that_is_packed_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfmirror.safety.looking.MOST_INNER", 2**20)
    scan = look(tmp_path, "m.bin", gzip.compress(pickled.zipped({"a": bytes(2**21)})))
    assert scan is not None
    assert (scan.verdict, "too large" in scan.why) == (UNREADABLE, True)


def test_a_list_of_members_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfmirror.safety.looking.MOST_LISTED", 2**10)
    scan = look(tmp_path, "m.bin", pickled.zipped({f"{number}.json": b"" for number in range(99)}))
    assert scan is not None
    assert (scan.verdict, "list of members" in scan.why) == (UNREADABLE, True)


def test_what_was_found_before_the_bomb_counts(
    tmp_path: Path, payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MOST_STEPS", 10_000)
    scan = look(tmp_path, "a.pkl", payload.pickled(4)[:-1] + b"N0" * 100_000)
    assert scan is not None
    assert scan.verdict == DANGEROUS


class Counting(io.BytesIO):
    """A stream that counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


def test_weights_are_stepped_over_and_not_read() -> None:
    data = pickle.dumps({"a": bytes(50_000_000), "b": "x" * 1_000_000}, 4)
    stream = Counting(data)
    read = bounded.Bounded(stream, len(data))

    values = [value for _, value, _ in pickletools.genops(cast("IO[bytes]", read))]
    assert [len(value) for value in values if isinstance(value, bytes)] == [50_000_000]
    assert stream.taken < 10_000


def test_a_name_that_is_too_long_to_be_read_is_taken_for_the_worst(tmp_path: Path) -> None:
    long = b"X" + (5000).to_bytes(4, "little") + b"os." * 1666 + b"os"
    scan = look(tmp_path, "a.pkl", b"\x80\x04" + long + b"\x8c\x06system" + b"\x93.")
    assert scan is not None
    assert scan.verdict == DANGEROUS


def test_a_value_longer_than_the_file_ends_it(tmp_path: Path) -> None:
    scan = look(tmp_path, "a.bin", b"\x80\x04B\xff\xff\xff\x7fshort")
    assert scan is not None
    assert scan.verdict == SAFE  # nothing can be loaded from it


def test_only_so_many_members_of_an_archive_are_begun(
    tmp_path: Path, payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfmirror.safety.looking.MOST_PEEKED", 10)
    many = {f"{number}.jpg": os.urandom(8) for number in range(20)}
    scan = look(tmp_path, "images.zip", pickled.zipped({**many, "model.pkl": payload.pickled()}))
    assert scan is not None
    assert scan.verdict == DANGEROUS  # by its name
