"""The hub as a `Source`, without a socket: the same data, counts and faults."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hfmirror import errors
from hfmirror.model import EVERYTHING, Head, Manifest, Span
from tests.simulator import refusals
from tests.simulator.answers import Slice
from tests.simulator.faults import Occasion
from tests.simulator.flow import Mishap, flow
from tests.simulator.records import Record
from tests.simulator.rows import info_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hfmirror.model import CommitId, Entry, RepoId, Selection
    from tests.simulator.faults import Case
    from tests.simulator.hub import HubSimulator
    from tests.simulator.repos import Repo, Stored

_CHUNK = 2**16  # bytes; small enough that a test sees several
_GIANT = 10  # pages; of a commit with more only what was asked for is listed


class MemorySource:
    """A hub as somebody with a certain token, or without one, sees it."""

    def __init__(self, hub: HubSimulator, token: str | None = None) -> None:
        self._hub, self._token = hub, token

    @property
    def name(self) -> str:
        """How people may call it in a sentence."""
        return refusals.AUTHORITY

    def resolve(self, repo: RepoId, revision: str) -> Head:
        """The commit a revision stands for just now, and the Hub's description of the repo."""
        with self._asked("revision", f"/{repo}@{revision}", 200):
            known = self._find(repo)
            commit = known.commit(revision)
            return Head(commit.id, info_row(known, commit, blobs=False))

    def manifest(self, repo: RepoId, commit: CommitId, selection: Selection) -> Manifest:
        """The whole commit; of a giant one at least what `selection` reaches."""
        known = self._hub.repos.get(repo)
        giant = known is not None and known.size(commit) > _GIANT * self._hub.page_size
        reach = selection.reach() if giant else EVERYTHING
        found: list[Stored] = []
        for folder in reach.folders:
            found += self._listed(repo, commit, folder)
        if reach.paths:
            with self._asked("paths-info", f"/{repo}@{commit}", 200):
                files = self._find(repo).commit(commit).files
                found += [files[path] for path in reach.paths if path in files]
        return Manifest.of(repo, commit, {stored.path: stored.entry for stored in found}.values(), reach)

    def _listed(self, repo: RepoId, commit: CommitId, folder: str) -> list[Stored]:
        found: list[Stored] = []
        more, page = True, 0
        while more:
            with self._asked("tree", f"/{repo}@{commit}/{folder}", 200):
                held = self._find(repo).commit(commit)
                paths = held.listing(folder, recursive=True)[page * self._hub.page_size :]
                found += [held.files[path] for path in paths[: self._hub.page_size] if path in held.files]
                more, page = len(paths) > self._hub.page_size, page + 1
        return found

    @contextmanager
    def open(self, manifest: Manifest, entry: Entry, span: Span) -> Iterator[Iterable[bytes]]:
        """The bytes from `span.start` on. Two requests, as over a socket: where, and what."""
        target = f"/{manifest.repo}@{manifest.commit}/{entry.path}"
        with self._asked("resolve", target, 307, entry.path, span) as (first, _):
            known = self._find(manifest.repo)
            self._hub.admit(known, self._token)
            stored = known.commit(manifest.commit).files.get(entry.path)
            if stored is None:
                raise refusals.no_entry(manifest.repo, entry.path, manifest.commit)
            first.status = 302 if stored.large else 307
        hop = "cdn" if stored.large else "resolve-cache"
        with self._asked(hop, target, 206 if span.start else 200, entry.path, span) as (record, cases):
            yield self._chunks(stored, span, record, cases)

    def _find(self, repo: RepoId) -> Repo:
        try:
            return self._hub.find(repo, self._token)
        except refusals.Moved as moved:
            return self._find(moved.repo)

    @contextmanager
    def _asked(
        self, kind: str, target: str, status: int, file: str = "", span: Span | None = None
    ) -> Iterator[tuple[Record, list[Case]]]:
        hub = self._hub
        origin = "cdn" if kind == "cdn" else "hub"
        headers = {"authorization": f"Bearer {self._token}"} if self._token and origin == "hub" else {}
        name = target[1:].partition("@")[0]
        record = Record(origin, kind, "GET", target, file, headers, repo=name)
        hub.ledger.begin(record)
        try:
            wanted = (span.start, span.stop) if span else (0, None)
            cases = hub.weather.cases(Occasion(origin, kind, "GET", file, name, wanted))
            for case in cases:
                raise_for(case, target, record)
            record.status = status
            yield record, cases
        except refusals.Refusal as refusal:
            record.status = refusal.status
            raise refusal.error from None
        finally:
            hub.ledger.end()

    def _chunks(self, stored: Stored, span: Span, record: Record, cases: list[Case]) -> Iterator[bytes]:
        for case in cases:
            span = self._bent(case, span, stored.content.size, record)
        rate = min((c.faults.slow_rate for c in cases if c.faults.slow_rate), default=None)
        for piece in flow([Slice(stored.content, span.start, span.stop)], cases, _CHUNK):
            if isinstance(piece, Mishap) and piece.what == "hold":
                piece.over.wait()
                continue
            if isinstance(piece, Mishap):
                raise self._mishap(piece)
            data = piece if isinstance(piece, bytes) else b"".join(piece.content.read(piece.start, piece.stop))
            record.sent += len(data)
            if rate:
                time.sleep(len(data) / rate)
            yield data

    def _bent(self, case: Case, span: Span, size: int, record: Record) -> Span:
        """The span that is really sent, after faults that change it."""
        faults = case.faults
        if (faults.ignore_range or faults.unranged_hub) and case.bites():
            record.status = 200
            if span.start:
                raise errors.RangesIgnored(self.name)
            span = Span(0, size)
        if faults.short_length and case.bites():
            span = Span(span.start, max(span.start, span.stop - faults.short_length))
        if faults.wrong_range and span.start and case.bites():
            if faults.wrong_range != "bytes":  # a client sees it in the header
                raise errors.ProtocolError(self.name, "sends another range than asked for")
            span = Span(span.start - 1, span.stop - 1)
        return span

    def _mishap(self, mishap: Mishap) -> errors.Unavailable:
        if mishap.what == "stall":
            return errors.TimedOut(self.name, "no byte came for a while")
        return errors.Unreachable(self.name, "the connection broke off in the middle of an answer")


def raise_for(case: Case, target: str, record: Record) -> None:
    """What a client would make of a fault that comes before the answer."""
    faults, who = case.faults, refusals.AUTHORITY
    if faults.refuse:
        raise errors.Unreachable(who, "connection refused")
    if faults.latency_s and case.bites():
        time.sleep(faults.latency_s)
    if faults.close_without_answer and case.bites():
        raise errors.Unreachable(who, "closed without an answer")
    if faults.html_200 and case.bites():
        record.status = 200
        raise errors.Intercepted(who, "an HTML page came instead of an answer")
    if faults.json_error_200 and record.kind in {"revision", "tree"} and case.bites():
        record.status = 200
        raise errors.ProtocolError(who, "an error came with status 200")
    expired = (faults.expire_s is not None and faults.expire_s <= 0) or faults.expire_after_uses == 0
    if expired and record.kind == "cdn" and case.bites():
        record.status = 403
        raise errors.LinkExpired(who, "the signed address has expired")
    if faults.status is not None and case.bites():
        record.status = faults.status
        raise _error_of(faults.status, case, target, record)


def _error_of(status: int, case: Case, target: str, record: Record) -> errors.MirrorError:
    faults, who = case.faults, refusals.AUTHORITY
    repo, _, _ = target[1:].partition("@")
    if status == 429:
        waits = [s for s in (faults.retry_after_s, faults.rate_limit_s) if s is not None]
        return errors.RateLimited(who, waits[0] if waits else None)
    if record.origin == "cdn" and status in {403, 404, 410}:
        return errors.LinkExpired(who, f"answers {status}")
    by_code: dict[str | None, errors.MirrorError] = {
        "RepoNotFound": errors.RepoNotFound(repo, who),
        "RevisionNotFound": errors.RevisionNotFound(repo, target.partition("@")[2].partition("/")[0]),
        "EntryNotFound": errors.EntryNotFound(repo, record.file),
        "GatedRepo": errors.GatedRepo(repo, f"https://huggingface.co/{repo}"),
    }
    if faults.error_code in by_code:
        return by_code[faults.error_code]
    if status in {401, 403}:
        return errors.AccessDenied(repo, f"status {status}")
    if status >= 500 or status == 408:
        return errors.Unavailable(who, f"answers {status}")
    return errors.ProtocolError(who, f"answers {status}")
