"""What the names and records of half-finished files say."""

from __future__ import annotations

import json
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfmirror.adopt.found import Half
from hfmirror.adopt.halves import aria2_pieces, controlled, half_of, owner, plain_name, safetensors_size, slice_of
from hfmirror.model import Algorithm, Digest, Entry, Span

OID, SHA1 = "ab" * 32, "cd" * 20
LARGE = Entry("sub/model.safetensors", 5000, Digest(Algorithm.SHA256, OID))
OTHER = Entry("other.bin", 5000, Digest(Algorithm.SHA256, "12" * 32))
SMALL = Entry("a/model.safetensors", 4000, Digest(Algorithm.GIT_SHA1, SHA1))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("model.safetensors", "model.safetensors"),
        ("model (1).safetensors", "model.safetensors"),
        ("model(2).safetensors.crdownload", "model.safetensors"),
        ("模型 (12).bin.part", "模型.bin"),
        ("LICENSE (3)", "LICENSE"),
        ("model (final).bin", "model (final).bin"),
        ("v(1)2.bin", "v(1)2.bin"),
    ],
)
def test_what_browsers_and_tools_add_to_a_name_is_taken_off(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        (f"{OID}.incomplete", OID),
        (f"{SHA1}.0123abcd.incomplete", SHA1),
        (f"Zm9v-_x=.{OID}.0123abcd.incomplete", OID),
        (f"{OID}.part", OID),
        (f"x{OID}.incomplete", ""),
        ("model.bin.incomplete", ""),
    ],
)
def test_a_digest_in_the_name_is_believed_to_be_one(name: str, digest: str) -> None:
    half = half_of(f"somewhere/{name}", 7)
    assert half is not None
    assert half.digest == digest


def test_a_name_without_a_tools_ending_is_no_half() -> None:
    assert half_of("x/model.safetensors", 7) is None
    assert half_of("x/partial", 7) is None


def test_modelscopes_slices_say_where_they_begin() -> None:
    assert slice_of("._____temp/m.bin_160_319", 100) == Half("._____temp/m.bin_160_319", 100, "m.bin", start=160)
    assert slice_of("._____temp/m_1_2", 100).start == 0, "three bytes cannot have become a hundred"
    assert slice_of("._____temp/m.bin", 100).name == "m.bin"


def control(pieces: list[bool], piece: int, whole: int, *, version: int = 1, hashed: bytes = b"") -> bytes:
    """A control file as aria2 writes one."""
    bits = bytearray(-(-len(pieces) // 8))
    for index, there in enumerate(pieces):
        bits[index // 8] |= 0x80 >> index % 8 if there else 0
    order = ">" if version else "="
    head = struct.pack(">H", version) + bytes(4) + struct.pack(f"{order}I", len(hashed)) + hashed
    return head + struct.pack(f"{order}IQQI", piece, whole, 0, len(bits)) + bits + struct.pack(f"{order}I", 0)


@given(
    st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 9), st.sampled_from([0, 1]), st.binary(max_size=20)
)
def test_a_control_file_gives_just_the_pieces_that_are_there(
    pieces: list[bool], piece: int, version: int, hashed: bytes
) -> None:
    whole = len(pieces) * piece - (piece - 1)
    told = aria2_pieces(control(pieces, piece, whole, version=version, hashed=hashed))
    assert told is not None
    size, spans = told
    there = {offset for span in spans for offset in range(span.start, span.stop)}
    assert size == whole
    assert there == {offset for offset in range(whole) if pieces[offset // piece]}
    assert all(first.stop < second.start for first, second in pairwise(spans))


@given(st.binary(max_size=80))
def test_a_garbled_control_file_is_none(data: bytes) -> None:
    told = aria2_pieces(data)
    assert told is None or all(0 <= span.start < span.stop <= told[0] for span in told[1])


def test_pieces_beyond_the_end_of_the_file_are_not_there() -> None:
    half = controlled("m.bin", 15, control([True, True, True], 10, 30))
    assert half is not None
    assert (half.whole, half.spans) == (30, (Span(0, 15),))
    assert controlled("m.bin", 15, b"") is None


def header(document: object) -> bytes:
    """The beginning of a safetensors file."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("<Q", len(text)) + text


def test_a_safetensors_header_says_how_large_the_file_is() -> None:
    tensors = {"__metadata__": {"a": "b"}, "x": {"data_offsets": [0, 50]}, "y": {"data_offsets": [50, 90]}}
    data = header(tensors)
    assert safetensors_size(data) == len(data) + 90
    assert safetensors_size(data + b"more") == len(data) + 90


@pytest.mark.parametrize("data", [b"", b"PK\3\4....", header(b"[]"), header(b"{{"), header({"x": 1}), header({})[:-1]])
def test_what_is_no_safetensors_header_says_nothing(data: bytes) -> None:
    assert safetensors_size(data) is None


@pytest.mark.parametrize(
    ("half", "whole", "found"),
    [
        (Half("p", 10, "", digest=OID), None, LARGE),
        (Half("p", 10, "", digest="99" * 32), None, None),
        (Half("p", 10, "model.safetensors", whole=4000), None, SMALL),
        (Half("p", 10, "renamed", whole=4000), None, SMALL),
        (Half("p", 10, "renamed", whole=5000), None, None),  # two are of that size
        (Half("p", 10, "other.bin", whole=5000), None, OTHER),
        (Half("p", 10, "model.safetensors"), 5000, LARGE),
        (Half("p", 10, "model.safetensors"), 7777, None),
        (Half("p", 10, "model.safetensors"), None, None),  # two are called so
        (Half("p", 4500, "model.safetensors"), None, LARGE),  # it is larger than the other
        (Half("p", 0, "other.bin"), None, None),
        (Half("p", 10, "nobody.bin"), None, None),
    ],
)
def test_a_half_belongs_to_what_it_says_plainly_or_to_nothing(
    half: Half, whole: int | None, found: Entry | None
) -> None:
    assert owner(half, whole, [LARGE, OTHER, SMALL]) == found
