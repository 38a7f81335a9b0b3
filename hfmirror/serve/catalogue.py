"""Answers in JSON about repos: descriptions, listings, refs, history (protocol section 4)."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, quote, urlencode

from hfmirror.errors import MirrorError, NotFound
from hfmirror.model import is_commit
from hfmirror.serve import forms, pages
from hfmirror.serve.answers import json_reply, page_reply, refusal
from hfmirror.serve.door import Missing
from hfmirror.serve.grammar.fields import asked_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from hfmirror.model import CommitId, Entry, Manifest, RepoId
    from hfmirror.serve.access import Access
    from hfmirror.serve.door import Admitted, Door
    from hfmirror.serve.grammar.questions import Commits, Home, Listing, Page, PathsInfo, Refs, RepoInfo, Tree, TreeSize
    from hfmirror.serve.names import Names
    from hfmirror.serve.prefetch import Prefetch
    from hfmirror.serve.replies import Reply, Request
    from hfmirror.serve.wary import Wary

PAGE = 10_000  # rows of a listing sent at once; the clients that know no second page have no larger repos
QUICK = 2000  # rows made in passing; more are made in a thread, so that others are served meanwhile
SHELF_S = 5.0  # how long a list of what is here is good


class Shelf(Protocol):
    """What a store can say about all its repos."""

    def repos(self) -> Iterator[RepoId]: ...
    def refs_of(self, repo: RepoId) -> dict[str, CommitId]: ...
    def latest(self, repo: RepoId) -> CommitId | None: ...
    def about(self, repo: RepoId, commit: CommitId) -> dict[str, Any]: ...
    def public(self, repo: RepoId) -> bool: ...


class Catalogue:
    """What is known of repos, as the Hub would tell it."""

    def __init__(
        self, door: Door, names: Names, access: Access, shelf: Shelf, work: Executor, prefetch: Prefetch, wary: Wary
    ) -> None:  # fmt: skip
        self._prefetch, self._wary = prefetch, wary
        self._door, self._names, self._access, self._shelf, self._work = door, names, access, shelf, work
        self._rows: tuple[float, list[tuple[RepoId, bool, forms.Row]]] = (0.0, [])

    # -- one repo -----------------------------------------------------------------------------

    async def info(self, route: RepoInfo, token: str | None) -> Reply:
        """A repo's description, with the list of its files."""
        admitted = await self._door.admit(route.repo, route.revision or "main", token, listing_only=True)
        about = admitted.known.about
        manifest = self._names.listed(admitted.repo, admitted.commit)
        if manifest is None or not manifest.reach.everything:
            told = isinstance(about.get("siblings"), list) and not (route.blobs or route.security)
            manifest = await self._whole(admitted, insist=not told)
        entries = None if manifest is None else manifest.entries
        document = await self._made(
            0 if entries is None else len(entries),
            lambda: forms.repo_info(route.repo, admitted.commit, about, entries, blobs=route.blobs),
        )
        if route.security and entries is not None:
            looked_at = entries
            status = await self._made(len(looked_at), lambda: self._wary.repo_status(looked_at))
            document["securityRepoStatus"] = status
        return json_reply(document, admitted.headers, admitted.note)

    async def _whole(self, admitted: Admitted, *, insist: bool) -> Manifest | None:
        """The whole listing, if it is needed or costs nothing."""
        try:
            return await self._door.listing(admitted) if insist else None
        except NotFound:
            raise
        except MirrorError:
            return None  # what is known of the repo is told without it

    async def tree(self, route: Tree, request: Request, token: str | None, address: str) -> Reply:
        """A folder's rows, a page at a time."""
        admitted, path = await self._door.enter(route, token, listing_only=True)
        manifest = await self._door.listing(admitted)
        found = await self._made(len(manifest.entries), lambda: forms.within(manifest, path, recursive=route.recursive))
        if found is None:
            raise Missing(route.repo, path, admitted)
        if route.recursive and not path:
            self._prefetch.listed(request.client, manifest)
        try:
            part, following = forms.page(found, route.limit or PAGE, route.cursor)
        except ValueError:
            return refusal(400, "this cursor is not one of this mirror's")
        date = forms.last_modified(admitted.known.about)
        rows = await self._made(len(part), lambda: self._rows_of(manifest, part, date, expand=route.expand))
        link = () if following is None else (_next(address, request.target, following),)
        return json_reply(rows, (*admitted.headers, *link), admitted.note)

    def _rows_of(self, manifest: Manifest, part: Sequence[Entry | str], date: str, *, expand: bool) -> list[forms.Row]:
        return forms.rows(manifest, part, expand=expand, date=date, security=self._wary.file_status)

    async def paths_info(self, route: PathsInfo, request: Request, token: str | None) -> Reply:
        """The rows of some paths."""
        try:
            paths, expand = asked_paths(request.headers.get("content-type", ""), request.body)
        except ValueError as error:
            return refusal(400, f"the body is not understood: {error}")
        admitted = await self._door.admit(route.repo, route.revision, token, listing_only=True)
        manifest = await self._door.listing(admitted, paths)
        date = forms.last_modified(admitted.known.about)
        rows = forms.paths_info(manifest, paths, expand=expand, date=date, security=self._wary.file_status)
        return json_reply(rows, admitted.headers, admitted.note)

    async def tree_size(self, route: TreeSize, token: str | None) -> Reply:
        """How much a folder holds."""
        admitted, path = await self._door.enter(route, token, listing_only=True)
        document = forms.tree_size(await self._door.listing(admitted), path)
        if document is None:
            raise Missing(route.repo, path, admitted)
        return json_reply(document, admitted.headers, admitted.note)

    async def refs(self, route: Refs, token: str | None) -> Reply:
        """Branches and tags: upstream's word, or those that are known here."""
        admitted = await self._door.admit(route.repo, "main", token, listing_only=True)
        question = "refs?include_prs=1" if route.include_prs else "refs"
        told = await self._told(admitted, question)
        if not isinstance(told, dict):
            known = await self._made(QUICK + 1, lambda: self._shelf.refs_of(admitted.repo))
            told = forms.refs({"main": admitted.commit} | known, include_prs=route.include_prs)
        return json_reply(told, note=admitted.note)

    async def commits(self, route: Commits, token: str | None) -> Reply:
        """The history: upstream's word, or the one commit that is known here."""
        admitted = await self._door.admit(route.repo, route.revision, token, listing_only=True)
        query = urlencode({"p": route.page, **({"limit": route.limit} if route.limit else {})})
        pinned = is_commit(route.revision)
        question = f"commits/{quote(route.revision, safe='')}?{query}"
        told = None if pinned else await self._told(admitted, question)
        rows = told if isinstance(told, list) else forms.commits(admitted.commit, admitted.known.about)
        return json_reply(rows, (("X-Total-Count", str(len(rows))),), admitted.note)

    async def _told(self, admitted: Admitted, question: str) -> Any:
        """What upstream says, without any sign of Xet; None when it cannot be asked, or does not know."""
        try:
            return forms.plain(await self._names.document(admitted.repo, question, admitted.credential))
        except MirrorError:
            return None

    # -- many repos ---------------------------------------------------------------------------

    async def listing(self, route: Listing, request: Request, token: str | None, address: str) -> Reply:
        """The repos that are here, as far as the caller may know of them."""
        rows = [row for repo, row in await self._visible(token) if repo.kind is route.kind]
        try:
            part, following = forms.listing(rows, route)
        except ValueError:
            return refusal(400, "this cursor is not one of this mirror's")
        link = () if following is None else (_next(address, request.target, following),)
        return json_reply(part, link, "held")

    async def _visible(self, token: str | None) -> list[tuple[RepoId, forms.Row]]:
        made, rows = self._rows
        if time.monotonic() - made > SHELF_S:
            rows = await self._made(QUICK + 1, self._look_along)
            self._rows = (time.monotonic(), rows)
        visible = {
            (repo.kind, row["id"]): (repo, row)
            for repo, public, row in rows
            if public or self._access.remembers(repo, token)
        }  # a repo that was renamed is here by both names, and is one
        return list(visible.values())

    def _look_along(self) -> list[tuple[RepoId, bool, forms.Row]]:
        rows = []
        for repo in self._shelf.repos():
            commit = self._shelf.latest(repo)
            if commit is not None:
                about = self._shelf.about(repo, commit)
                rows.append((repo, self._shelf.public(repo), forms.listed(repo, commit, about)))
        return rows

    # -- pages for people ---------------------------------------------------------------------

    async def home(self, route: Home, token: str | None, address: str, prefix: str) -> Reply:
        """The list of what is here."""
        repos = [repo for repo, _ in await self._visible(token) if route.kind in (None, repo.kind)]
        return page_reply(pages.home(repos, address, prefix))

    async def page(self, route: Page, token: str | None, prefix: str) -> Reply:
        """A repo's files."""
        admitted, _ = await self._door.enter(route, token, listing_only=True)
        manifest = await self._door.listing(admitted)
        return page_reply(pages.repo(manifest, route.repo, admitted.revision, admitted.commit, prefix))

    async def _made(self, rows: int, make: Callable[[], Any]) -> Any:
        """The result of something that takes time with the number of rows."""
        if rows <= QUICK:
            return make()
        return await asyncio.get_running_loop().run_in_executor(self._work, make)


_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")


def address_of(request: Request, prefix: str, origin: str = "") -> str:
    """The mirror's address as this client wrote it, or at the `origin` that is said; with the prefix if it used one."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        host = "localhost"
    used = prefix if prefix and f"{request.target}/".startswith(f"{prefix}/") else ""
    return f"{origin or f'{request.scheme}://{host}'}{used}"


def _next(address: str, target: str, cursor: str) -> tuple[str, str]:
    """The header that leads to the next page: absolute, for clients refuse all else (protocol section 2.9)."""
    path, _, query = target.partition("?")
    asked = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "cursor"]
    origin = "/".join(address.split("/", 3)[:3])
    return ("Link", f'<{origin}{path}?{urlencode([*asked, ("cursor", cursor)])}>; rel="next"')
