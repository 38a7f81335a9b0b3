"""Looking after a large store: what everyday commands cost in one of a million files, and how fast it is proven."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from hfmirror import codec
from hfmirror.mirror import Mirror
from hfmirror.model import PART, Algorithm, CommitId, Digest, Entry, Kind, Manifest, PartDigests, Pin, RepoId
from hfmirror.settings import Settings
from tests.bench.children import plain_environment
from tests.bench.compare import Subject
from tests.bench.report import Goal, say
from tests.bench.settings import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfmirror.store.disk import DiskStore
    from tests.bench.bench import Bench

REPOS = 1000
OWN = 50  # of a repo's files, those that no other repo has
USED = "2026-01-01T00:00:00Z"
WORDS = (("ls",), ("status",), ("gc", "--dry-run"), ("gc",))


def care_scale(bench: Bench) -> None:
    """`ls`, `status` and `gc` in a store of 1 000 repos and 1 000 000 files: seconds, and the most memory."""
    files = bench.settings.files_or(1000)
    with bench.workshop() as shop:
        root = shop.folder(needs=2048 * MIB)
        make_store(root, files)
        subjects = [_mine(bench, root, words) for words in WORDS]
        turns = bench.race(subjects, replace(bench.manner(lambda: None), warm_up=False))
    for name, runs in turns.runs.items():
        bench.figure(name, [made.wall_s for made in runs], "s", Goal(3, at_least=False))
        bench.figure(f"{name}, CPU", [made.cpu_s for made in runs], "s")
        bench.figure(f"{name}, peak", [max(made.peak_bytes for made in runs) / 1e6], "MB", Goal(300, at_least=False))


def _mine(bench: Bench, root: Path, words: Sequence[str]) -> Subject:
    name = f"hfmirror {' '.join(words)}"
    return Subject(name, (*bench.settings.hfmirror, *words), plain_environment(HFMIRROR_HOME=str(root)))


def make_store(root: Path, files: int) -> None:
    """A thousand repos of so many files each: most contents in all of them, every other one here as a tiny object."""
    store = Mirror(Settings(root)).store
    store.prepare()
    common = [_entry(f"common/{number // 50}/file-{number:05}.bin", number) for number in range(files - OWN)]
    held = {entry.digest for entry in common[::2]}
    for number in range(REPOS):
        repo = RepoId(Kind.MODEL, f"owner-{number // 10}/name-{number}")
        commit = CommitId(hashlib.sha1(repo.name.encode()).hexdigest())
        own = [_entry(f"own/{at}.bin", number * OWN + at + files) for at in range(OWN)]
        held |= {entry.digest for entry in own[::2]}
        pin = Pin(repo, commit, "main", demand=number % 3 == 0)
        about = {"id": repo.name, "cardData": {"license": "mit"}, "gated": False, "siblings": _siblings(common)}
        _write(store.layout.manifest(repo, commit), codec.manifest_text(Manifest.of(repo, commit, [*common, *own])))
        _write(store.layout.pin(repo, commit), codec.dump(codec.with_pin(None, pin, USED)))
        _write(store.layout.ref(repo, "main"), codec.ref_text(commit, USED, "a hub"))
        _write(store.layout.description(repo, commit), codec.dump(about))
    loose = {_entry("loose", -number - 1).digest for number in range(1000)}
    for digest in held | loose:
        path = Path(store.layout.object(digest))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(digest.hex[:8].encode())
    say(f"  made {REPOS} repos of {files} files, {len(held)} objects")


def _entry(path: str, number: int) -> Entry:
    algorithm = Algorithm.SHA256 if number % 2 else Algorithm.GIT_SHA1
    return Entry(path, 8, Digest.of(algorithm, b"%d" % number))


def _siblings(entries: Sequence[Entry]) -> list[dict[str, str]]:
    return [{"rfilename": entry.path} for entry in entries]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# -- verify -----------------------------------------------------------------------------------

SUMS = "sha256sum"
MINE = "hfmirror verify"


def verify(bench: Bench) -> None:
    """Rate of `hfmirror verify` against `sha256sum` of the same files: one large file, then several."""
    size = bench.settings.bytes_or(2048)
    sums = shutil.which(SUMS)
    if sums is None:
        bench.report.skip(bench.case, f"the command {SUMS} is not installed")
        return
    for count in (1, 8):
        tag = ", one file" if count == 1 else f", {count} files"
        with bench.workshop() as shop:
            root = shop.folder(needs=size + 64 * MIB)
            paths = _fill(Mirror(Settings(root)).store, size // count, count)
            theirs = Subject(SUMS, (sums, *map(str, paths)), plain_environment())
            subjects = [theirs, replace(_mine(bench, root, ("verify",)), name=MINE)]
            turns = bench.race(subjects, bench.manner(lambda: None), tag=tag)
        bench.rate_ratio(turns, MINE, SUMS, Goal(0.9), tag=tag)
        bench.absolutes(turns, size, tag=tag)


def _fill(store: DiskStore, size: int, count: int) -> list[Path]:
    """So many objects of a size, with the digests of their parts, all wanted."""
    store.prepare()
    entries, paths = [], []
    for number in range(count):
        part = hashlib.shake_256(b"%d" % number).digest(PART)
        hasher = hashlib.sha256()
        draft = store.root / "draft"
        with draft.open("wb") as out:
            for _ in range(size // PART):
                hasher.update(part)
                out.write(part)
        digest = Digest(Algorithm.SHA256, hasher.hexdigest())
        path = Path(store.layout.object(digest))
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.rename(path)
        sums = (xxhash.xxh3_64_hexdigest(part),) * (size // PART)
        store.parts.keep(digest, PartDigests(size // PART * PART, sums))
        entries.append(Entry(f"model-{number:02}.safetensors", size // PART * PART, digest))
        paths.append(path)
    listing = Manifest.of(RepoId(Kind.MODEL, "bench/large"), CommitId("c" * 40), entries)
    store.keep(Pin(listing.repo, listing.commit, "main"), listing)
    return paths
