"""What another store has, in a file small enough to mail: so that a bundle carries only the rest.

A state holds no names and no whole digests: sixteen of a digest's hex digits tell one object from
any other that is likely to exist, and if they ever do not, the import says which object lacks.
"""

from __future__ import annotations

import gzip
import re
import zlib
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.bundle import layout
from hfmirror.bundle.inventory import objects_of
from hfmirror.errors import BadManifest, MirrorError, UsageError
from hfmirror.model import Algorithm
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hfmirror.model import Digest

DIGITS = 16  # hex digits; between two stores of a million objects they agree by chance once in 18 million times
MOST = 2**27  # bytes unpacked: seven million objects; more is no state
_PREFIX = re.compile(f"[0-9a-f]{{{DIGITS}}}")
_GZIP = b"\x1f\x8b"


def mark(digest: Digest) -> str:
    """What a state says of an object."""
    return f"{digest.algorithm.value}:{digest.hex[:DIGITS]}"


def state_bytes(digests: Iterable[Digest]) -> bytes:
    """The file that `hfmirror status --state` writes: the same bytes for the same objects."""
    found: dict[str, list[str]] = {algorithm.value: [] for algorithm in Algorithm}
    for digest in digests:
        found[digest.algorithm.value].append(digest.hex[:DIGITS])
    document: codec.Document = {"format": codec.FORMAT, "kind": "hfmirror state", "digits": DIGITS}
    text = codec.dump(document | {name: sorted(set(hexes)) for name, hexes in found.items()})
    return gzip.compress(text.encode(), mtime=0)


def known(path: Path) -> frozenset[str]:
    """The marks of what the other side has: by its state, by a bundle it got, or by that bundle's SHA256SUMS.

    Raises UsageError for anything else, StoreTooNew.
    """
    if path.is_dir():
        return frozenset(_in_folder(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", _ADVICE) from None
    if data.startswith(_GZIP):
        return frozenset(_in_state(data, str(path)))
    try:
        sums = layout.sums_of(data.decode("utf-8"))
    except (UnicodeDecodeError, MirrorError):
        raise UsageError(f"{path} is neither a state nor a bundle", _ADVICE) from None
    return frozenset(_in_sums(sums))


_ADVICE = "give the file that `hfmirror status --state FILE` made on the other side, or an earlier bundle"


def _in_folder(folder: Path) -> Iterator[str]:
    if files.read_text(folder / layout.FORMAT) is None:
        raise UsageError(f"{folder} is no bundle", _ADVICE)
    return map(mark, objects_of(folder))


def _in_sums(sums: Iterable[str]) -> Iterator[str]:
    for name in sums:
        found = layout.digest_of(name)
        if found is not None and found[1]:
            yield mark(found[0])


def _in_state(data: bytes, where: str) -> Iterator[str]:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        text = unpacking.decompress(data, MOST).decode("utf-8")
    except (zlib.error, UnicodeDecodeError):
        raise UsageError(f"{where} is damaged", _ADVICE) from None
    if not unpacking.eof:
        raise UsageError(f"{where} is cut short, or larger than any state", _ADVICE)
    try:
        document = codec.load(text, where)
    except BadManifest as error:
        raise UsageError(f"{where} is no state: {error.why}", _ADVICE) from None
    for algorithm in Algorithm:
        for prefix in document.get(algorithm.value, ()):
            if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
                raise UsageError(f"{where} is no state: {prefix!r} is no beginning of a digest", _ADVICE)
            yield f"{algorithm.value}:{prefix}"
