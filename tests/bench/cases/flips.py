"""Single bits that change on the way: none may ever be seen in a published file."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import Counter
from typing import TYPE_CHECKING

from tests.bench import peers
from tests.bench.children import run
from tests.bench.material import Repo, drawn, write_file
from tests.bench.metered import metered_hub
from tests.bench.report import Goal, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.bench import Bench
    from tests.bench.material import File

_FLIPS = 1_000
_SPOILT_FOR_EVER = 20  # files no attempt gets right
_SMALL, _LARGE = 16 * 2**10, 2**20  # bytes
_LARGE_EVERY = 50  # each 50th file is an LFS one
_SEED = 1_000
_PULLS = 20  # at most, until every flip was made: a pull may stop at the first bad file


class Flipper:
    """Flips one bit of each file, the first `lives` times its place is sent."""

    def __init__(self, files: tuple[File, ...], lives: int) -> None:
        self._place = {file.path: divmod(drawn(_SEED, number, file.size * 8), 8) for number, file in enumerate(files)}
        self._left = Counter({file.path: lives for file in files})
        self._lock = threading.Lock()
        self.made = 0

    def __call__(self, file: File, start: int, chunk: bytearray) -> None:
        """Spoil a chunk on its way, if its turn has come."""
        byte, bit = self._place[file.path]
        if not start <= byte < start + len(chunk):
            return
        with self._lock:
            if self._left[file.path] > 0:
                self._left[file.path] -= 1
                self.made += 1
                chunk[byte - start] ^= 1 << bit


def flips(bench: Bench) -> None:
    """1 000 files with one flip each on their first way here; then files that arrive wrong every time."""
    count = bench.settings.files_or(_FLIPS)
    with bench.workshop() as shop:
        repo = _material(shop.folder(), count)
        _pull(bench, repo, shop.folder(), Flipper(repo.files, lives=1), "each file once")
        few = Repo("few", repo.folder, repo.files[: min(_SPOILT_FOR_EVER, count)])
        _pull(bench, few, shop.folder(), Flipper(few.files, lives=10**9), "every time")


def _material(folder: Path, count: int) -> Repo:
    files = []
    for number in range(count):
        lfs = number % _LARGE_EVERY == 0
        content = os.urandom(_LARGE if lfs else _SMALL)
        files.append(write_file(folder, f"part-{number // 100}/file-{number}.bin", content, lfs=lfs))
    return Repo("flips", folder, tuple(files))


def _pull(bench: Bench, repo: Repo, root: Path, flipper: Flipper, tag: str) -> None:
    curable = "every" not in tag
    with metered_hub([repo], spoil=flipper) as hub:
        subject = peers.hfmirror_pull(bench.settings, peers.Target(hub.endpoint, repo), root, "requests")
        codes, said = Counter[int](), ""
        for _ in range(_PULLS if curable else 1):
            made = run(subject.argv, subject.env, bench.settings.timeout_s)
            codes[made.code] += 1
            said = made.failure
            if not said:
                break
        say(f"  {tag}: {flipper.made} flips, exit codes {dict(codes)}")
    if flipper.made == 0:
        return bench.report.skip(f"{bench.case}: {tag}", said or "no file was fetched")
    published = list(_published(root))
    wrong = sum(name != content for name, content in published) + sum(_wrong_in_view(root, repo))
    note = f"{flipper.made} flips, {len(published)} of {len(repo.files)} objects here, exit codes {dict(codes)}"
    return bench.figure(f"published wrong, flipped {tag}", [wrong], "", Goal(0, at_least=False), note)


def _published(root: Path) -> Iterator[tuple[str, str]]:
    """The digest each object is named by, and the digest its content has."""
    for path in (root / "objects").rglob("*"):
        if path.is_file():
            named = _digits(path)
            yield named, _digest(path.read_bytes(), large=len(named) == 64)


def _digits(path: Path) -> str:
    """The digest in an object's name, whether or not its first two digits stand only in the folder's."""
    if len(path.name) in {38, 62} and re.fullmatch("[0-9a-f]{2}", path.parent.name):
        return path.parent.name + path.name
    return path.name


def _wrong_in_view(root: Path, repo: Repo) -> Iterator[bool]:
    truth = {file.path: file for file in repo.files}
    for snapshot in (root / "hub").glob(f"*/snapshots/{repo.commit}"):
        for path in snapshot.rglob("*"):
            if path.is_file():
                file = truth[path.relative_to(snapshot).as_posix()]
                yield _digest(path.read_bytes(), large=file.lfs) != file.etag


def _digest(content: bytes, *, large: bool) -> str:
    if large:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()
