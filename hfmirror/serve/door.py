"""From a repo, a revision and a caller to a commit that this caller may read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfmirror.errors import (
    AccessDenied,
    EntryNotFound,
    GatedRepo,
    MirrorError,
    NotFound,
    RepoNotFound,
    RevisionNotFound,
)
from hfmirror.model import is_commit

if TYPE_CHECKING:
    from hfmirror.model import CommitId, Manifest, RepoId
    from hfmirror.serve.access import Access
    from hfmirror.serve.answers import Headers
    from hfmirror.serve.grammar.questions import Place
    from hfmirror.serve.names import Known, Names


@dataclass(frozen=True, slots=True)
class Admitted:
    """A commit, and how the caller got to it."""

    repo: RepoId
    revision: str
    known: Known
    credential: str | None  # to be shown upstream for this caller; None: the mirror's own

    @property
    def commit(self) -> CommitId:
        """The commit the revision stands for."""
        return self.known.commit

    @property
    def headers(self) -> Headers:
        """Which commit it is, and how old that knowledge is when upstream could not be asked."""
        aged = (("X-Hfmirror-Age", f"{max(time.time() - self.known.checked, 0):.0f}"),) if self.known.stale else ()
        return (("X-Repo-Commit", self.commit), *aged)

    @property
    def note(self) -> str:
        """A word for the log."""
        return "stale" if self.known.stale else "known"


class Door:
    """Lets callers in, or tells them what the Hub would tell them."""

    def __init__(self, names: Names, access: Access) -> None:
        self._names, self._access = names, access

    async def admit(self, repo: RepoId, revision: str, token: str | None, *, listing_only: bool = False) -> Admitted:
        """The commit, for this caller. Raises what `Names.resolve` raises, and the same for what is hidden.

        With `listing_only`, the names in a gated repo are open to all, as they are on the Hub.
        """
        try:
            known = await self._names.resolve(repo, revision)
        except (RepoNotFound, AccessDenied):
            if not await self._access.opens(repo, token):
                raise
            return await self._by_own_right(repo, revision, token)
        except RevisionNotFound:
            if revision != "main":
                await self.admit(repo, "main", token, listing_only=listing_only)  # tell it to who may know the repo
            raise
        if known.public:
            return Admitted(known.repo, revision, known, None)
        if await self._access.opens(repo, token):
            return Admitted(known.repo, revision, known, self._access.credential(token))
        gated = bool(known.about.get("gated")) and not known.about.get("private")
        if gated and listing_only:
            return Admitted(known.repo, revision, known, None)
        raise self._hidden(repo, revision, gated=gated)

    async def _by_own_right(self, repo: RepoId, revision: str, token: str | None) -> Admitted:
        """Upstream shows the repo to this caller, though not to the mirror."""
        credential = self._access.credential(token)
        if credential is None:
            known = await self._names.remembered(repo, revision)
        else:
            known = await self._names.resolve(repo, revision, credential)
        return Admitted(known.repo, revision, known, credential)

    def _hidden(self, repo: RepoId, revision: str, *, gated: bool) -> MirrorError:
        """What the caller would be told if it were not here."""
        if not self._names.reachable:
            return self._names.silence(repo, revision)
        if gated:
            return GatedRepo(repo, f"{self._names.upstream_name}/{repo}")
        return RepoNotFound(repo, self._names.upstream_name)

    async def enter(self, place: Place, token: str | None, *, listing_only: bool = False) -> tuple[Admitted, str]:
        """The same for an address: which of its readings is meant, and the path in it."""
        revision, path = await self._reading(place)
        try:
            return await self.admit(place.repo, revision, token, listing_only=listing_only), path
        except RevisionNotFound:
            for other, rest in list(place.readings())[1:]:
                if other in await self._branches(place.repo):
                    return await self.admit(place.repo, other, token, listing_only=listing_only), rest
            raise

    async def _reading(self, place: Place) -> tuple[str, str]:
        first = (place.revision, place.path)
        if not place.steps or place.revision == "main" or is_commit(place.revision):
            return first
        if self._names.fresh(place.repo, place.revision) is not None:
            return first
        known = await self._names.revisions_known(place.repo)
        return next((reading for reading in place.readings() if reading[0] in known), first)

    async def _branches(self, repo: RepoId) -> set[str]:
        """The names upstream has for commits of a repo."""
        try:
            document: Any = await self._names.document(repo, "refs?include_prs=1", None)
        except MirrorError:
            return set()
        lists = document.values() if isinstance(document, dict) else ()
        return {
            str(row.get("name")) for rows in lists if isinstance(rows, list) for row in rows if isinstance(row, dict)
        }

    async def listing(self, admitted: Admitted, paths: tuple[str, ...] = ()) -> Manifest:
        """The files of the commit, or as much of them as tells about `paths`."""
        listed = self._names.listed(admitted.repo, admitted.commit)
        if listed is not None and (listed.reach.everything or (paths and all(map(listed.reach.covers, paths)))):
            return listed
        return await self._names.manifest(admitted.repo, admitted.revision, admitted.commit, paths, admitted.credential)


class Missing(NotFound):
    """The commit is known, and holds no such thing."""

    hub_code = "EntryNotFound"

    def __init__(self, repo: RepoId, path: str, admitted: Admitted) -> None:
        super().__init__(repo, path)
        self.admitted = admitted
        self._sentence = str(EntryNotFound(repo, path))

    def __str__(self) -> str:
        return self._sentence
