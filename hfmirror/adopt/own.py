"""A folder that no authority knows becomes a repo of the user's own.

Its files are named as the Hub would name them, so that bytes are shared with repos of the Hub. Its
commit is the SHA-1 of its listing: forty digits, as clients want them, and the same for the same files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.adopt.found import Trouble
from hfmirror.errors import StoreError, UnsafePath, UsageError
from hfmirror.model import LOCAL, Algorithm, Entry, Manifest, entry_path, unholdable
from hfmirror.store.adopting import Unfit, digests_of, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hfmirror.adopt.found import Told
    from hfmirror.model import Digest, RepoId
    from hfmirror.store.adopting import Offered

    Prove = Callable[[str, Offered, Algorithm], Digest]  # what the file at a place is; it is read

LARGE = 10 * 2**20  # bytes; the Hub takes no larger file into git itself
# What the Hub's own `.gitattributes` gives to LFS whatever its size is.
LARGE_NAMES = (
    *(".7z", ".arrow", ".bin", ".bz2", ".ckpt", ".ftz", ".gguf", ".gz", ".h5", ".joblib", ".mlmodel", ".model"),
    *(".msgpack", ".npy", ".npz", ".onnx", ".ot", ".parquet", ".pb", ".pickle", ".pkl", ".pt", ".pth", ".rar"),
    *(".safetensors", ".tar", ".tflite", ".tgz", ".wasm", ".xz", ".zip", ".zst"),
)
# What tools leave beside the files: no part of what the user made.
LEFT_OUT = {".git", ".cache", ".huggingface", ".locks", ".no_exist", "__pycache__", "._____temp"}
LEFT_OUT_FILES = {".DS_Store", "Thumbs.db", "desktop.ini", ".msc", ".mdl", ".mv"}


def algorithm_for(path: str, size: int) -> Algorithm:
    """How the Hub would name a file like this one."""
    large = size > LARGE or path.lower().endswith(LARGE_NAMES)
    return Algorithm.SHA256 if large else Algorithm.GIT_SHA1


def digest_of_file(file: Told) -> Digest | None:
    """What a file of a client's cache is, where nothing says what it should be; None when it cannot be read."""
    try:
        with opened(file.place, file.size) as offered:
            return digests_of(offered, (algorithm_for(file.path, file.size),))[0]
    except Unfit:
        return None


def files_of(paths: Iterable[str]) -> tuple[dict[str, str], list[Trouble]]:
    """The files of a repo made of these folders and files, by their path in it; and what is left out."""
    found: dict[str, str] = {}
    troubles: list[Trouble] = []
    for top in paths:
        if not os.path.exists(top):  # noqa: PTH110 - strings throughout
            raise UsageError(f"{top}: there is no such file or folder")
        for path, place in _walk(top, troubles) if os.path.isdir(top) else [(os.path.basename(top), top)]:  # noqa: PTH112, PTH119
            why = _unfit(path, place, top)
            if why:
                troubles.append(Trouble(place, why))
            elif path in found:
                raise UsageError(f"{found[path]} and {place} would be one file of the repo", "name one of the two")
            else:
                found[path] = place
    return found, troubles


def _walk(top: str, troubles: list[Trouble]) -> Iterator[tuple[str, str]]:
    def unreadable(error: OSError) -> None:
        troubles.append(Trouble(str(error.filename), error.strerror or str(error)))

    for folder, inner, names in os.walk(top, onerror=unreadable):
        linked = [f"{folder}/{name}" for name in inner if os.path.islink(f"{folder}/{name}")]  # noqa: PTH114 - as above
        troubles += [Trouble(place, "a link to a folder") for place in linked]
        inner[:] = sorted(set(inner) - LEFT_OUT)
        for name in sorted(set(names) - LEFT_OUT_FILES):
            place = f"{folder}/{name}"
            yield os.path.relpath(place, top).replace(os.sep, "/"), place


def _unfit(path: str, place: str, top: str) -> str:
    """Why a file cannot be a part of the repo; empty when it can."""
    if not os.path.isfile(place):  # noqa: PTH113 - as above
        return "a link that leads nowhere" if os.path.islink(place) else "it is no plain file"  # noqa: PTH114
    if os.path.islink(place) and not _is_inside(os.path.realpath(place), top):  # noqa: PTH114
        return "a link out of the folder"  # somebody else's folder must not make us take in, and serve, our own secrets
    try:
        return unholdable(entry_path(path))
    except UnsafePath as error:
        return error.why


def _is_inside(real: str, top: str) -> bool:
    """Whether a link's end lies in the folder, or, for a snapshot of a client's cache, in that cache."""
    home = os.path.realpath(top)
    steps = home.split(os.sep)  # noqa: PTH206 - a string
    if len(steps) > 3 and steps[-2] == "snapshots" and "--" in steps[-3]:
        home = os.sep.join(steps[:-3])
    return real.startswith(home + os.sep)


def manifest_of(repo: RepoId, files: dict[str, str], prove: Prove) -> Manifest:
    """The listing of a repo made of these files; `prove` reads them. Raises UsageError, StoreError."""
    entries = []
    for path, place in sorted(files.items()):
        try:
            with opened(place) as offered:
                digest = prove(place, offered, algorithm_for(path, offered.size))
                entries.append(Entry(path, offered.size, digest))
        except Unfit as error:
            raise StoreError(place, f"{error}; a repo that lacks a file would be of no use") from error
    if not entries:
        raise UsageError("there is no file to make a repo of")
    return Manifest.of(repo, codec.own_commit(repo, entries), entries, origin=LOCAL)
