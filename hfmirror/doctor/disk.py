"""What the disk under the store can do: tried, with files of our own that are gone afterwards.

What Windows, network disks and USB sticks differ in is what is tried: locks, links, renames, names.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from secrets import token_hex
from typing import TYPE_CHECKING

from hfmirror.doctor.findings import fail, failed, note, ok, tilde, warn
from hfmirror.errors import DiskFull, MirrorError, StoreError, human
from hfmirror.store import files, locks
from hfmirror.store.drafts import Drafts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hfmirror.doctor.findings import Finding

SCARCE = 10**8  # bytes free; less than this and no model worth the name fits
TIGHT = 10**10  # bytes free; one model of seven billion parameters has more
LONG_NAME = 200  # bytes of one file name; every usual disk takes 255
DEEP = 2  # folders of such names: longer than the 260 characters of old Windows
_GONE = "choose another folder on a local disk, with --root or HFMIRROR_HOME"
_PLAIN = "put the store on a local disk (HFMIRROR_HOME) if you can"


def check_disk(root: Path) -> Iterator[Finding]:
    """Everything about the disk that holds `root`, or will. Leaves nothing behind."""
    place = _nearest(root)
    yield space(files.free_space(place))
    try:
        with _workbench(place) as bench:
            yield ok("write", f"files can be written in {tilde(place)}")
            for name, check in CHECKS.items():
                yield _safely(name, check, bench)
    except StoreError as error:
        yield fail("write", f"nothing can be written in {tilde(place)}: {error.reason}", _GONE, StoreError)


def space(free: int) -> Finding:
    """Whether there is room. `free`: bytes."""
    said = f"{human(free)} free"
    advice = "make room: `hfmirror gc`, or point HFMIRROR_HOME at a larger disk"
    if free < SCARCE:
        return fail("space", f"only {said}", advice, DiskFull)
    return warn("space", f"only {said}: many models need more", advice) if free < TIGHT else ok("space", said)


def exclusion(bench: Path) -> Finding:
    """Whether locks keep a second holder out."""
    if locks.exclude_here(bench):
        return ok("locks", "locks keep a second process out")
    advice = f"{_PLAIN}; run one command at a time, and `hfmirror gc` on no machine"
    return warn("locks", "locks keep nobody out on this disk: two pulls fetch twice, and gc refuses to work", advice)


def sharing(bench: Path) -> Finding:
    """Whether two names, or two files, can share their bytes."""
    source, link, clone = bench / "source", bench / "link", bench / "clone"
    source.write_bytes(b"hfmirror")
    linked = files.hard_link(source, link)
    shared = files.clone(source, clone) == "reflink"
    if linked:
        return ok("links", "the disk makes hard links" + (", and files that share blocks" if shared else ""))
    if shared:
        return ok("links", "the disk makes no hard links, but files that share blocks")
    return warn("links", "the disk makes neither hard links nor files that share blocks: copies take room", _PLAIN)


def renaming(bench: Path) -> Finding:
    """Whether a rename takes the place of a file that is read-only, and of one that somebody reads."""
    for target, words in ((bench / "read-only", "read-only"), (bench / "read", "being read")):
        target.write_bytes(b"old")
        target.chmod(0o444 if words == "read-only" else 0o644)
        draft = bench / "draft"
        draft.write_bytes(b"new")
        try:
            with target.open("rb") if words == "being read" else _nothing():
                files.replace(draft, target)
        except StoreError as error:
            advice = f"{_PLAIN}; close programs that have loaded a model before you pull it again"
            return warn("rename", f"a file that is {words} cannot be replaced here: {error.reason}", advice)
    return ok("rename", "a rename takes the place of any file")


def spelling(bench: Path) -> Finding:
    """Whether names that differ in case only are one."""
    if not Drafts(bench).case_blind():
        return ok("case", "README and readme are two files")
    return note("case", "README and readme are one file here: a repo that holds both cannot be shown whole")


def length(bench: Path) -> Finding:
    """Whether long names in long paths are taken."""
    folder = bench.joinpath(*["d" * LONG_NAME] * DEEP)
    try:
        files.ensure_folder(folder)
        with files.translated(folder):
            (folder / ("f" * LONG_NAME)).write_bytes(b"")
    except StoreError:
        short = "choose a short HFMIRROR_HOME"
        advice = f"{short}, and switch on long paths (LongPathsEnabled) in Windows" if os.name == "nt" else short
        return warn("paths", f"paths of {(DEEP + 1) * LONG_NAME} characters are refused here", advice)
    return ok("paths", f"paths of {(DEEP + 1) * LONG_NAME} characters are taken")


CHECKS: dict[str, Callable[[Path], Finding]] = {
    "locks": exclusion,
    "links": sharing,
    "rename": renaming,
    "case": spelling,
    "paths": length,
}


def _safely(name: str, check: Callable[[Path], Finding], bench: Path) -> Finding:
    """What the check found; a disk that cannot even be tried is a finding too."""
    try:
        return check(bench)
    except MirrorError as error:
        return failed(name, error)
    except OSError as error:
        return fail(name, f"it could not be tried: {error.strerror or type(error).__name__}", _GONE, StoreError)


def _nearest(root: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next((folder for folder in (root, *root.parents) if folder.is_dir()), root)


@contextmanager
def _workbench(place: Path) -> Iterator[Path]:
    """A folder of our own, removed at the end. Raises StoreError."""
    bench = place / f".doctor-{token_hex(4)}"
    with files.translated(place):
        bench.mkdir()
    try:
        yield bench
    finally:
        for path in bench.rglob("read-only"):  # Windows removes no read-only files
            path.chmod(0o644)
        files.remove_folder(bench)


@contextmanager
def _nothing() -> Iterator[None]:
    yield
