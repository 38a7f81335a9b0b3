"""Bytes that are here already: an import beside plain hashing, an export beside plain copying, and what is shared."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.bench import wall
from tests.bench.children import plain_environment, run
from tests.bench.compare import Subject
from tests.bench.material import large_repo
from tests.bench.report import Goal
from tests.bench.settings import MIB
from tests.simulator import HubSimulator, Made, served

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.bench.bench import Bench

_SLACK = 64 * MIB  # beside the files: listings, views
_SHARDS = 4
_COMMIT = "c" * 40
IMPORT, HASH, EXPORT, COPY = "hfmirror import", "sha256sum", "hfmirror export", "cp"


def import_cache(bench: Bench) -> None:
    """A Hub cache on the same disk, taken in with --link, beside sha256sum of its blobs; both read from memory."""
    size = bench.settings.bytes_or(2048)
    with bench.workshop() as shop:
        cache = shop.folder(needs=size + _SLACK, on_disk=True)
        blobs = _cache(cache, size)
        size = sum(blob.stat().st_size for blob in blobs)
        root = shop.folder(on_disk=True)
        words = ("import", str(cache), "--offline", "--quiet", "--root", str(root))
        subjects = [
            Subject(IMPORT, (*bench.settings.hfmirror, *words, "--link"), plain_environment(), root, size),
            Subject(HASH, ("sha256sum", *map(str, blobs)), plain_environment()),
        ]
        turns = bench.race(subjects, bench.manner(lambda: _touch(blobs), settle=True))
        bench.rate_ratio(turns, IMPORT, HASH, Goal(0.9))
        bench.cpu_ratio(turns, IMPORT, HASH, None)
        bench.absolutes(turns, size)
        _more_disk(bench, (*bench.settings.hfmirror, *words, "--link"), cache, root)


def _cache(cache: Path, size: int) -> list[Path]:
    """A cache as clients lay it out, with shards of `size` bytes together; its blobs."""
    home = cache / "models--bench--carried"
    snapshot = home / "snapshots" / _COMMIT
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(_COMMIT, encoding="ascii")
    blobs = []
    for number in range(_SHARDS):
        repo = large_repo(
            cache, f"shard-{number}", size // _SHARDS - number
        )  # no two of one size: none is read in vain
        blob = home / "blobs" / repo.files[0].sha256
        (repo.folder / "model.safetensors").rename(blob)
        repo.folder.rmdir()
        (snapshot / f"model-{number}.safetensors").symlink_to(os.path.relpath(blob, snapshot))
        blobs.append(blob)
    return blobs


def _touch(files: Iterable[Path]) -> None:
    """Read them once, so that nobody waits for the disk; and nobody may write to them for us."""
    for file in files:
        file.chmod(0o644)
        with file.open("rb") as stream:
            while stream.read(MIB):
                pass


def _more_disk(bench: Bench, words: tuple[str, ...], cache: Path, root: Path) -> None:
    """Bytes of files that an import adds to what the cache takes."""
    made = run(words, plain_environment(), bench.settings.timeout_s)
    if made.failure:
        return bench.report.skip(f"{bench.case}: room", made.failure)
    known = {(facts.st_dev, facts.st_ino) for facts in map(Path.stat, cache.glob("*/blobs/*"))}
    objects = [path.stat() for path in root.glob("objects/*/*/*")]
    more = sum(facts.st_size for facts in objects if (facts.st_dev, facts.st_ino) not in known)
    return bench.figure("more bytes of objects on the disk", [more], "B", Goal(0, at_least=False))


def five_revisions(bench: Bench) -> None:
    """Five commits of a repo, of which four shards stay and one changes each time: disk beside unique bytes."""
    shard = bench.settings.bytes_or(200) // 10
    with bench.workshop() as shop:
        root = shop.folder(needs=10 * shard + _SLACK, on_disk=True)
        hub = HubSimulator()
        kept = {f"model-{number}.safetensors": Made(shard, seed=number) for number in range(_SHARDS)}
        for number in range(5):
            changing = {**kept, "adapter.safetensors": Made(shard, seed=100 + number)}
            hub.add("bench/revisions", changing, tags=(f"v{number}",))
        unique = (_SHARDS + 5) * shard
        with served(hub) as site:
            repos = [f"bench/revisions@v{number}" for number in range(5)]
            words = (*bench.settings.hfmirror, "pull", "--quiet", *repos, "--root", str(root))
            made = run(words, plain_environment(HF_ENDPOINT=site.endpoint), bench.settings.timeout_s)
        if made.failure:
            return bench.report.skip(bench.case, made.failure)
        taken = _blocks(root)
        note = f"{taken} bytes of blocks for {unique} unique bytes in 5 commits of {(_SHARDS + 1) * shard} each"
        bench.figure("disk : unique bytes", [taken / unique], goal=Goal(1.01, at_least=False), note=note)
        whole = 5 * (_SHARDS + 1) * shard
        return bench.figure("disk : bytes of all five", [taken / whole])


def _blocks(top: Path) -> int:
    """Bytes of the disk that files and folders take, each once."""
    seen = {}
    for folder, inner, names in os.walk(top):
        for name in (*inner, *names):
            facts = os.lstat(os.path.join(folder, name))
            seen[facts.st_ino] = facts.st_blocks * 512
    return sum(seen.values())


def export_memory(bench: Bench) -> None:
    """A repo to a folder with the sums written on the way, beside cp -rL of its snapshot; both in memory."""
    _export(bench, on_disk=False)


def export_disk(bench: Bench) -> None:
    """The same on a disk. `and synced`: until the disk really has it, which only hfmirror waits for by itself."""
    _export(bench, on_disk=True)


def _export(bench: Bench, *, on_disk: bool) -> None:
    size = bench.settings.bytes_or(2048)
    with bench.workshop() as shop:
        root = shop.folder(needs=size + _SLACK, on_disk=on_disk)
        cache = shop.folder(needs=size + _SLACK, on_disk=on_disk)
        blobs = _cache(cache, size)
        size = sum(blob.stat().st_size for blob in blobs)
        hfmirror, here = bench.settings.hfmirror, ("--root", str(root), "--quiet")
        filled = run(
            (*hfmirror, "import", str(cache), "--offline", "--move", *here),
            plain_environment(),
            bench.settings.timeout_s,
        )
        if filled.failure:
            return bench.report.skip(bench.case, filled.failure)
        objects = [root / "objects" / "sha256" / blob.name[:2] / blob.name for blob in blobs]
        stick = shop.folder(needs=size + _SLACK, on_disk=on_disk)
        snapshot = root / "hub" / "models--bench--carried" / "snapshots" / _COMMIT
        export = (*hfmirror, "export", "bench/carried", str(stick / "bundle"), *here)
        copy = ("cp", "-rL", str(snapshot), str(stick / "copy"))
        subjects = [
            Subject(EXPORT, export, plain_environment(), stick, size),
            Subject(COPY, copy, plain_environment(), stick, size),
        ]
        turns = bench.race(subjects, bench.manner(lambda: _read(objects), settle=on_disk))
    bench.rate_ratio(turns, EXPORT, COPY, None if on_disk else Goal(0.8))
    if on_disk and (synced := turns.ratio(COPY, EXPORT, lambda made: made.wall_s + made.settle_s)):
        bench.figure(f"rate, {EXPORT} : {COPY}, and synced", synced, goal=Goal(0.8))
    bench.cpu_ratio(turns, EXPORT, COPY, None)
    if rates := [size / MIB / wall(made) for made in turns.runs.get(EXPORT, [])]:
        bench.figure(f"{EXPORT} : hashing alone", [rate / _hashing_rate() for rate in rates])
    return bench.absolutes(turns, size)


def _read(files: Iterable[Path]) -> None:
    for file in files:
        with file.open("rb") as stream:
            while stream.read(MIB):
                pass


def _hashing_rate() -> float:
    """MiB of SHA-256 a second, by one core of this machine just now: no sums are written faster."""
    from time import perf_counter

    block, hasher = os.urandom(MIB), hashlib.sha256()
    start = perf_counter()
    for _ in range(256):
        hasher.update(block)
    return 256 / (perf_counter() - start)
