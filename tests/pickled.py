"""Pickles for tests, good and evil: what they would run leaves a mark, so that a test sees if anybody ran it."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # torch/serialization.py
SYSTEM = f"{os.system.__module__}.system"  # posix.system, or nt.system


@dataclass(frozen=True)
class Payload:
    """An object whose unpickling runs a command that makes a file."""

    mark: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f'echo run > "{self.mark}"',)

    def pickled(self, protocol: int = 2) -> bytes:
        """A pickle of it among harmless things."""
        return pickle.dumps({"weights": [1, 2, 3], "name": self}, protocol)

    @property
    def ran(self) -> bool:
        """Whether anybody has loaded it."""
        return self.mark.exists()


def harmless(protocol: int = 2) -> bytes:
    """A pickle of plain values."""
    return pickle.dumps({"weights": [1, 2, 3], "name": "no more than that"}, protocol)


def torch_zip(data: bytes, *, compressed: bool = False, folder: str = "archive") -> bytes:
    """What `torch.save` writes, with `data` as its pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{folder}/data.pkl", data)
        archive.writestr(f"{folder}/byteorder", "little")
        archive.writestr(f"{folder}/data/0", b"\x00" * 4096)
        archive.writestr(f"{folder}/version", "3\n")
    return out.getvalue()


def torch_legacy(data: bytes) -> bytes:
    """What `torch.save` wrote before 1.6: pickles one after the other, and then raw bytes."""
    before = [pickle.dumps(value, 2) for value in (TORCH_MAGIC, 1001, {"little_endian": True})]
    return b"".join([*before, data, pickle.dumps([], 2), b"\x07raw numbers, no pickle" * 100])


def zipped(files: dict[str, bytes], *, compressed: bool = False) -> bytes:
    """A zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def array_of_objects(data: bytes) -> bytes:
    """What `numpy.save` writes for an array of objects, with `data` as its pickle (numpy/lib/format.py)."""
    return _array("|O", data)


def array_of_numbers() -> bytes:
    """What it writes for numbers."""
    return _array("<f4", bytes(4 * 1000))


def _array(kind: str, data: bytes) -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': (1,), }}".encode()
    padded = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + data
