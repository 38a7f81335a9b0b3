"""What revisions stand for and what commits hold: from memory, and from upstream within a time a client bears.

Late truth loses to a remembered answer: the official client gives a HEAD ten seconds, so upstream
gets half of that, and after it has failed, a few seconds in which nobody waits for it again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hfmirror.errors import AccessDenied, IntegrityError, MirrorError, NotFound, NotHere, ProtocolError, Unavailable
from hfmirror.model import CACHE, LOCAL, Pin, RepoId, Selection, is_commit
from hfmirror.ports import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from concurrent.futures import Executor

    from hfmirror.model import CommitId, Head, Manifest

RESOLVE_BUDGET_S = 5.0  # for what a revision stands for; half of what the client waits for a HEAD
LISTING_BUDGET_S = 60.0  # for a whole listing, for which clients set no limit
FRESH_S = 60.0  # a branch is asked about once in so long
TROUBLE_S = 5.0  # after upstream has failed, nobody waits for it
REFUSED_S = 10.0  # how long upstream's no is repeated without asking: what is missing may appear
USED_S = 3600.0  # how often the store is told that a commit is in use
MOST_HEADS = 20_000  # remembered revisions: some 10 MB
MOST_DOCUMENTS = 1000  # other answers of upstream in memory
MOST_ENTRIES = 500_000  # of listings in memory: some 200 MB

T = TypeVar("T")


class Memory(Protocol):
    """The part of a store that names need."""

    def commit(self, repo: RepoId, revision: str) -> CommitId: ...
    def about(self, repo: RepoId, commit: CommitId) -> dict[str, Any]: ...
    def asked(self, repo: RepoId, revision: str) -> tuple[float, str] | None: ...
    def repos(self) -> Iterable[RepoId]: ...
    def public(self, repo: RepoId) -> bool: ...
    def refs_of(self, repo: RepoId) -> dict[str, CommitId]: ...
    def manifest(self, repo: RepoId, commit: CommitId, selection: Selection | None = None) -> Manifest: ...
    def keep(self, pin: Pin, manifest: Manifest) -> None: ...
    def publish(self, pin: Pin, head: Head) -> None: ...


class Authority(Source, Protocol):
    """Upstream, as one caller sees it."""

    def admits(self, repo: RepoId) -> bool: ...
    def document(self, repo: RepoId, question: str) -> Any: ...
    def whoami(self) -> dict[str, Any]: ...


class Upstream(Protocol):
    """The Hub behind this mirror."""

    @property
    def takes_tokens(self) -> bool:
        """Whether a caller's token may be sent there: over TLS, or not beyond this machine."""
        ...

    def seen_by(self, token: str | None) -> Authority:
        """Upstream as the bearer of a token sees it, or as this mirror does."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What a revision stands for, as far as is known."""

    repo: RepoId  # as its owner spells it
    commit: CommitId
    about: dict[str, Any]
    public: bool
    checked: float  # seconds since 1970; infinity for what never moves
    stale: bool = False  # upstream should have been asked, and could not


class Names:
    """Revisions and listings, of everything upstream has. All methods are called in the loop's thread."""

    def __init__(self, store: Memory, upstream: Upstream | None, work: Executor) -> None:
        """Without an upstream only what is held is known. Slow things are done by `work`."""
        self._store, self._upstream, self._work = store, upstream, work
        self._heads: OrderedDict[tuple[RepoId, str], Known] = OrderedDict()
        self._manifests: OrderedDict[tuple[RepoId, CommitId], Manifest] = OrderedDict()
        self._entries = 0
        self._asking: dict[tuple[Any, ...], asyncio.Task[Any]] = {}
        self._refused: dict[tuple[Any, ...], tuple[float, MirrorError]] = {}
        self._documents: dict[tuple[Any, ...], tuple[float, Any]] = {}
        self._trouble: tuple[float, MirrorError] | None = None
        self._late = False
        self._used: dict[tuple[RepoId, CommitId], float] = {}
        self.asked = 0  # questions put to upstream

    # -- revisions ----------------------------------------------------------------------------

    def fresh(self, repo: RepoId, revision: str) -> Known | None:
        """What a revision stands for, if that needs neither disk nor upstream."""
        known = self._heads.get((repo, revision))
        return known if known is not None and time.time() - known.checked < FRESH_S else None

    async def resolve(self, repo: RepoId, revision: str, token: str | None = None) -> Known:
        """What a revision stands for. Raises NotFound, AccessDenied, NotHere, Unavailable."""
        known = self.fresh(repo, revision)
        if known is not None:
            return known
        remembered = await self._remembered(repo, revision)
        known = self.fresh(repo, revision)
        if known is not None:
            return known
        if self._upstream is None or (remembered is not None and self._in_trouble() is not None):
            return self._stale(repo, revision, remembered)
        try:
            return await self._ask(
                ("resolve", repo, revision, token),
                RESOLVE_BUDGET_S,
                lambda authority: self._learn(authority.resolve(repo, revision), repo, revision),
                token,
            )
        except (Unavailable, ProtocolError, IntegrityError):
            if remembered is None:
                raise
            return self._stale(repo, revision, remembered)

    async def remembered(self, repo: RepoId, revision: str) -> Known:
        """What was known when upstream was asked last. Raises NotHere."""
        return self._stale(repo, revision, await self._remembered(repo, revision))

    def _stale(self, repo: RepoId, revision: str, remembered: Known | None) -> Known:
        if remembered is None:
            raise NotHere(f"{repo}@{revision}")
        return replace(remembered, stale=True)

    async def _remembered(self, repo: RepoId, revision: str) -> Known | None:
        known = self._heads.get((repo, revision))
        if known is None:
            known = await self._in_thread(lambda: self._recall(repo, revision))
            if known is not None:
                self._remember(repo, revision, known)
        return known

    def _recall(self, repo: RepoId, revision: str) -> Known | None:
        """From the store."""
        repo = self._spelled(repo)
        try:
            commit = self._store.commit(repo, revision)
        except NotHere:
            return None
        asked, authority = self._store.asked(repo, revision) or (0.0, "")
        settled = is_commit(revision) or authority == LOCAL  # what was made here nobody else knows
        about, public = self._store.about(repo, commit), self._store.public(repo)
        return Known(repo, commit, about, public, float("inf") if settled else asked)

    def _spelled(self, repo: RepoId) -> RepoId:
        """The repo that is here under this name, whatever its case: the Hub knows no other."""
        wanted = repo.name.casefold()
        alike = [other for other in self._store.repos() if (other.kind, other.name.casefold()) == (repo.kind, wanted)]
        return alike[0] if alike and repo not in alike else repo

    def _learn(self, head: Head, repo: RepoId, revision: str) -> Known:
        """From upstream; the store remembers it for the time when upstream cannot be asked."""
        spelled = head.about.get("id")
        if isinstance(spelled, str) and spelled.casefold() == repo.name.casefold():
            repo = RepoId.of(repo.kind, spelled)
        self._store.publish(Pin(repo, head.commit, revision, demand=True), head)
        checked = float("inf") if is_commit(revision) else time.time()
        return Known(repo, head.commit, head.about, head.public, checked)

    def _remember(self, repo: RepoId, revision: str, known: Known) -> None:
        self._heads[repo, revision] = known
        while len(self._heads) > MOST_HEADS:
            self._heads.popitem(last=False)

    async def revisions_known(self, repo: RepoId) -> set[str]:
        """Revisions that were asked for before, to tell one with slashes in it from a path."""
        return set(await self._in_thread(lambda: self._store.refs_of(repo)))

    # -- listings -----------------------------------------------------------------------------

    def listed(self, repo: RepoId, commit: CommitId) -> Manifest | None:
        """What is known of a commit's files without touching the disk."""
        return self._manifests.get((repo, commit))

    async def manifest(
        self, repo: RepoId, revision: str, commit: CommitId, paths: tuple[str, ...] = (), token: str | None = None
    ) -> Manifest:
        """The listing of a commit, or as much of it as tells about `paths`. Raises as `resolve`."""
        selection = Selection(paths)
        listed = self._manifests.get((repo, commit))
        if listed is None or not listed.reach.includes(selection.reach()):
            listed = await self._in_thread(lambda: self._kept(repo, commit, selection))
        if listed is None:
            if self._upstream is None:
                raise NotHere(f"the listing of {repo}@{commit[:12]}")
            listed = await self._ask(
                ("manifest", repo, commit, paths, token),
                RESOLVE_BUDGET_S * 1.5 if paths else LISTING_BUDGET_S,
                lambda authority: self._list(authority, Pin(repo, commit, revision, selection)),
                token,
            )
        self._hold(listed)
        if not listed.reach.everything:
            self._list_behind(repo, revision, commit, token)
        return listed

    def _kept(self, repo: RepoId, commit: CommitId, selection: Selection) -> Manifest | None:
        try:
            manifest = self._store.manifest(repo, commit, selection)
        except MirrorError:  # not here, or not to be read: then upstream tells
            return None
        return None if manifest.origin == CACHE and self.reachable else manifest  # hearsay is for want of better

    def _list(self, authority: Authority, pin: Pin) -> Manifest:
        manifest = authority.manifest(pin.repo, pin.commit, pin.selection)
        self._store.keep(Pin(pin.repo, pin.commit, pin.revision, demand=True), manifest)
        return manifest

    def _list_behind(self, repo: RepoId, revision: str, commit: CommitId, token: str | None) -> None:
        """Fetch the rest of a giant listing while single files of it are already answered."""
        key = ("manifest", repo, commit, (), token)
        if self._upstream is None or key in self._asking or self._refusal(key) is not None:
            return

        def listed(authority: Authority) -> Manifest:
            return self._list(authority, Pin(repo, commit, revision))

        task = self._begin(key, listed, token)
        task.add_done_callback(lambda done: None if done.cancelled() or done.exception() else self._hold(done.result()))

    def _hold(self, manifest: Manifest) -> None:
        key = (manifest.repo, manifest.commit)
        old = self._manifests.pop(key, None)
        if old is not None and old.reach.everything:
            manifest = old
        elif old is not None and not manifest.reach.everything:
            manifest = old.joined(manifest)
        self._manifests[key] = manifest
        self._entries += len(manifest.entries) - (len(old.entries) if old is not None else 0)
        while self._entries > MOST_ENTRIES and len(self._manifests) > 1:
            self._entries -= len(self._manifests.popitem(last=False)[1].entries)

    def touch(self, repo: RepoId, revision: str, manifest: Manifest) -> None:
        """A client uses files of this commit: gc shall spare it."""
        key = (repo, manifest.commit)
        if time.time() - self._used.get(key, 0.0) > USED_S:
            self._used[key] = time.time()
            pin = Pin(repo, manifest.commit, revision, demand=True)
            self._work.submit(lambda: self._store.keep(pin, manifest))

    # -- asking -------------------------------------------------------------------------------

    async def document(self, repo: RepoId, question: str, token: str | None) -> Any:
        """Upstream's own answer to a question about a repo. Raises as `resolve`."""
        if self._upstream is None:
            raise NotHere(f"the {question} of {repo}")
        key = ("document", repo, question, token)
        asked, document = self._documents.get(key, (0.0, None))
        if time.monotonic() - asked > FRESH_S:
            document = await self._ask(
                key, RESOLVE_BUDGET_S, lambda authority: authority.document(repo, question), token
            )
            if len(self._documents) >= MOST_DOCUMENTS:
                self._documents.clear()
            self._documents[key] = (time.monotonic(), document)
        return document

    async def admits(self, repo: RepoId, token: str) -> bool:
        """Whether upstream lets the bearer of a token read a repo. Raises Unavailable, NotHere."""
        if not self.takes_tokens:
            raise NotHere(repo)
        return await self._ask(
            ("admits", repo, token), RESOLVE_BUDGET_S, lambda authority: authority.admits(repo), token
        )

    async def whoami(self, token: str) -> dict[str, Any]:
        """What upstream says of the bearer of a token. Raises AccessDenied, Unavailable."""
        return await self._ask(("whoami", token), RESOLVE_BUDGET_S, lambda authority: authority.whoami(), token)

    @property
    def upstream_name(self) -> str:
        """How people call upstream."""
        return "upstream" if self._upstream is None else self._upstream.seen_by(None).name

    @property
    def reachable(self) -> bool:
        """Whether there is an upstream, and nothing speaks against asking it just now."""
        return self._upstream is not None and self._in_trouble() is None

    @property
    def takes_tokens(self) -> bool:
        """Whether callers' tokens may be shown upstream."""
        return self._upstream is not None and self._upstream.takes_tokens

    def silence(self, repo: RepoId, revision: str) -> MirrorError:
        """What is said of a repo that is not here while upstream cannot be asked."""
        return self._in_trouble() or NotHere(f"{repo}@{revision}")

    def seen_by(self, token: str | None) -> Authority:
        """Upstream, as the bearer of a token sees it, or as this mirror does. Raises NotHere."""
        if self._upstream is None:
            raise NotHere("upstream")
        return self._upstream.seen_by(token)

    async def _ask(
        self, key: tuple[Any, ...], budget_s: float, question: Callable[[Authority], T], token: str | None
    ) -> T:
        """Upstream's answer; the same question is asked once at a time. Raises Unavailable when it is late."""
        refusal = self._refusal(key) or (self._in_trouble() if self._late else None)
        if refusal is not None:
            raise refusal
        task = self._asking.get(key) or self._begin(key, question, token)
        try:
            answer: T = await asyncio.wait_for(asyncio.shield(task), budget_s)
        except asyncio.TimeoutError:
            late = Unavailable("upstream", f"no answer within {budget_s:g} s")
            self.doubt(late, late=True)
            raise late from None
        return answer

    def _begin(self, key: tuple[Any, ...], question: Callable[[Authority], T], token: str | None) -> asyncio.Task[T]:
        task = asyncio.ensure_future(self._asked(key, question, token))
        self._asking[key] = task
        task.add_done_callback(lambda done: self._answered(key, done))
        return task

    def _asked(
        self, key: tuple[Any, ...], question: Callable[[Authority], T], token: str | None
    ) -> Coroutine[Any, Any, T]:
        assert self._upstream is not None, key  # noqa: S101 - every caller has looked
        authority = self._upstream.seen_by(token)
        self.asked += 1
        return self._in_thread(lambda: question(authority))

    def _answered(self, key: tuple[Any, ...], done: asyncio.Task[Any]) -> None:
        self._asking.pop(key, None)
        error = None if done.cancelled() else done.exception()
        if isinstance(error, NotFound | AccessDenied):
            self._refused[key] = (time.monotonic() + REFUSED_S, error)
            if len(self._refused) > MOST_HEADS:
                self._refused.clear()
        elif isinstance(error, Unavailable | ProtocolError):
            self.doubt(error)
        elif error is None and not done.cancelled():
            self._trouble = None
            if isinstance(done.result(), Known):  # however late it comes
                self._remember(key[1], key[2], done.result())

    def _refusal(self, key: tuple[Any, ...]) -> MirrorError | None:
        until, error = self._refused.get(key, (0.0, None))
        return error if time.monotonic() < until else None

    def doubt(self, error: MirrorError, *, late: bool = False) -> None:
        """Upstream has failed. While it does so at once, new things are still asked; while it is late, nothing is."""
        self._trouble, self._late = (time.monotonic() + TROUBLE_S, error), late

    def _in_trouble(self) -> MirrorError | None:
        """Why upstream is not worth asking just now."""
        if self._trouble is None or time.monotonic() >= self._trouble[0]:
            return None
        return self._trouble[1]

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._work, work)
