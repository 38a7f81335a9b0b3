"""Which files may hold a pickle: by what they are called, and by how they begin."""

from __future__ import annotations

import re

# What loaders unpickle when a file is called so.
PICKLES = (".bin", ".ckpt", ".dat", ".dill", ".joblib", ".p", ".pickle", ".pk", ".pkl", ".pt", ".pth")
ARRAYS = (".npy", ".npz")
PACKED = (".gz", ".bz2", ".xz", ".lzma")  # joblib and pandas unpack these by themselves

HEAD = 512  # bytes that tell

ZIP = b"PK\x03\x04"
NUMPY = b"\x93NUMPY"
# `torch.save` before 1.6: a pickle that is only this number, then others (torch/serialization.py, MAGIC_NUMBER).
TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
GZIP, BZIP2, XZ, LZMA, ZLIB = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"]\x00\x00", (b"x\x01", b"x\x9c", b"x\xda")

# Protocols 0 and 1 have no magic number: marks, and then the name of something to call.
_OLD = re.compile(rb"[\(\]\}\)lt0-9.]{0,8}[ci][A-Za-z_][\w.]{0,99}\n[A-Za-z_][\w.]{0,99}\n")


def named(path: str) -> bool:
    """Whether loaders take a file of this name for a pickle, or for something that may hold one."""
    name = path.lower()
    packed = next((end for end in PACKED if name.endswith(end)), "")
    return name.removesuffix(packed).endswith(PICKLES) or name.endswith(ARRAYS)


def begun(head: bytes) -> bool:
    """Whether a file that begins so holds a pickle, or may hold one, whatever it is called."""
    return is_pickle(head) or head.startswith((ZIP, NUMPY))


def is_pickle(head: bytes) -> bool:
    """Whether this is the beginning of a pickle."""
    return (head[:1] == b"\x80" and head[1:2] <= b"\x05" and len(head) > 2) or _OLD.match(head) is not None
