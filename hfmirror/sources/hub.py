"""A Hub, or any mirror that speaks its protocol, as a source of names and bytes.

One request for a revision, one (or one per thousand files) for the listing, one per file: the
listing already says size and digest, so no file is asked about before it is fetched.
Facts: huggingface_hub 2.4.0 `hf_api.py` and `file_download.py`; recorded header sets of the Hub.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from hfmirror.errors import BadManifest, EntryNotFound, MirrorError, ProtocolError, Unavailable, UsageError
from hfmirror.model import (
    EVERYTHING,
    Algorithm,
    Digest,
    Entry,
    Head,
    Manifest,
    Reach,
    RepoId,
    byte_count,
    commit_id,
    entry_path,
    is_commit,
)
from hfmirror.sources import reply
from hfmirror.sources.addresses import Addresses
from hfmirror.sources.http import HOPS, Http, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hfmirror.model import CommitId, Selection, Span
    from hfmirror.ports import Chunk
    from hfmirror.sources.http import Answer

ERROR_TEXT = 64 * 2**10  # bytes of an error's body that are read
PAGES = 20_000  # of a listing: twenty million files
PATHS_PER_ASK = 500  # paths in one request for single files


class HubSource:
    """The repos of one endpoint, as one caller may see them."""

    def __init__(self, http: Http, endpoint: str, token: Callable[[], str | None]) -> None:
        """`token` is asked at most once per request and its answer sent to the endpoint's origin only."""
        self._http, self._endpoint, self._token = http, endpoint.rstrip("/"), token
        self._origin = origin(self._endpoint)
        self.addresses = Addresses(self._endpoint)
        self._pages_read: dict[str, tuple[list[Any], str | None]] = {}  # of a listing that broke off in between

    @property
    def name(self) -> str:
        """The endpoint, as a person knows it."""
        return self._origin

    # -- names --------------------------------------------------------------------------------

    def resolve(self, repo: RepoId, revision: str) -> Head:
        """The commit a revision stands for, and the Hub's description of it: one request."""
        url = f"{self._api(repo)}/revision/{quote(revision, safe='')}"
        about = self._object(url, self._asked(repo, revision))
        sha = about.get("sha")
        if not isinstance(sha, str):
            raise ProtocolError(self.name, "its description of a repo names no commit")
        if not is_commit(sha):
            raise ProtocolError(self.name, f"it names {sha[:60]!r} as a commit")
        if is_commit(revision) and sha != revision:
            raise ProtocolError(self.name, f"asked for the commit {revision}, it answers with {sha}")
        known_as = about.get("id")
        if isinstance(known_as, str) and "/" in known_as:
            with suppress(UsageError):
                self.addresses.rename(repo, RepoId.of(repo.kind, known_as).name)
        return Head(commit_id(sha), about, self.name, self._public(about))

    def _public(self, about: Mapping[str, Any]) -> bool:
        """Whether this shows that anybody may read the repo: it says so, or it answered one who is nobody."""
        if about.get("private") or about.get("gated"):
            return False
        return self._token() is None or (about.get("private") is False and about.get("gated") is False)

    def admits(self, repo: RepoId) -> bool:
        """Whether this caller may read the repo's files: one request. Raises Unavailable."""
        asked = self._asked(repo, "main")
        with self._follow(f"{self._api(repo)}/auth-check", {"Accept-Encoding": "identity"}, asked) as answer:
            answered = answer.text(ERROR_TEXT)
            if answer.status == 200:
                return True
            error = reply.failure(answer.status, answer.headers, answered, asked)
        if isinstance(error, Unavailable):
            raise error
        return False

    def document(self, repo: RepoId, question: str) -> Any:
        """What the Hub says about a repo at `/api/<kind>s/<repo>/<question>`, as JSON. Raises as a `Catalog`."""
        return self._json(f"{self._api(repo)}/{question}", self._asked(repo, "main"))[0]

    def whoami(self) -> dict[str, Any]:
        """What the Hub says of the bearer of this caller's token. Raises BadToken, Unavailable, ProtocolError."""
        said, _ = self._json(f"{self._endpoint}/api/whoami-v2", reply.Asked(self.name, self.name, ""))
        if not isinstance(said, dict):
            raise ProtocolError(self.name, "it says nothing of the bearer of a token")
        return said

    def manifest(self, repo: RepoId, commit: CommitId, selection: Selection) -> Manifest:
        """The whole listing; of a commit with more than a page of files only what the selection reaches.

        When it breaks off, asking again goes on at the page that failed.
        """
        manifest = self._listing(repo, commit, selection)
        self._pages_read.clear()
        return manifest

    def _listing(self, repo: RepoId, commit: CommitId, selection: Selection) -> Manifest:
        asked = self._asked(repo, commit)
        pages = self._pages(f"{self._api(repo)}/tree/{commit}?recursive=true", asked)
        rows, more = next(pages)
        reach = selection.reach()
        if more and not reach.everything:
            return Manifest.of(repo, commit, self._reached(repo, commit, reach), reach)
        entries = [*_entries(rows)]
        for rows, _ in pages:
            entries.extend(_entries(rows))
        return Manifest.of(repo, commit, entries, EVERYTHING)

    def _reached(self, repo: RepoId, commit: CommitId, reach: Reach) -> Iterator[Entry]:
        asked = self._asked(repo, commit)
        for folder in reach.folders:
            url = f"{self._api(repo)}/tree/{commit}/{quote(folder, safe='')}?recursive=true"
            try:
                for rows, _ in self._pages(url, asked):
                    yield from _entries(rows)
            except EntryNotFound:
                continue  # no such folder: nothing in it
        for first in range(0, len(reach.paths), PATHS_PER_ASK):
            form = urlencode([("paths", path) for path in reach.paths[first : first + PATHS_PER_ASK]])
            url = f"{self._api(repo)}/paths-info/{commit}"
            rows, _ = self._rows(url, asked, body=form.encode())
            yield from (entry for entry in _entries(rows) if not Reach(reach.folders).covers(entry.path))

    def _pages(self, url: str, asked: reply.Asked) -> Iterator[tuple[list[Any], bool]]:
        """A listing page by page: its rows, and whether more follow."""
        following: str | None = url
        seen: set[str] = set()
        while following is not None:
            if following in seen or len(seen) >= PAGES:
                raise ProtocolError(self.name, "its listing does not end")
            seen.add(following)
            page = self._pages_read.get(following) or self._rows(following, asked)
            self._pages_read[following] = page
            rows, following = page
            yield rows, following is not None

    def _rows(self, url: str, asked: reply.Asked, body: bytes | None = None) -> tuple[list[Any], str | None]:
        document, headers = self._json(url, asked, body)
        if not isinstance(document, list):
            raise Unavailable(self.name, "answered a listing with something else")
        following = next((target for relation, target in reply.links(headers.get("link")) if relation == "next"), None)
        return document, None if following is None else self._here(following)

    def _here(self, address: str) -> str:
        """The same page at this endpoint: mirrors are known to pass on the links of the Hub behind them."""
        parts = urlsplit(address)
        path = f"{parts.path}?{parts.query}"
        prefix = urlsplit(self._endpoint).path
        return self._origin + (path if path.startswith(prefix) else prefix + path)

    def _object(self, url: str, asked: reply.Asked) -> dict[str, Any]:
        document, _ = self._json(url, asked)
        if not isinstance(document, dict):
            raise ProtocolError(self.name, "it answers a question about a repo with something else")
        if "sha" not in document and isinstance(document.get("error"), str):
            raise Unavailable(self.name, f"answers: {document['error'][:200]}")
        return document

    def _json(self, url: str, asked: reply.Asked, body: bytes | None = None) -> tuple[Any, reply.Headers]:
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        with self._follow(url, headers, asked, body) as answer:
            if answer.status != 200:
                raise self._failure(answer, asked)
            data = answer.whole()
        try:
            return json.loads(data), answer.headers
        except (ValueError, RecursionError):
            kind = answer.headers.get("content-type").partition(";")[0] or "no type"
            raise reply.not_json(self.name, kind) from None

    # -- bytes --------------------------------------------------------------------------------

    @contextmanager
    def open(self, manifest: Manifest, entry: Entry, span: Span) -> Iterator[Iterable[Chunk]]:
        """The bytes of a file from `span.start` on, as the port says."""
        asked = self._asked(manifest.repo, manifest.commit, entry.path)
        url = self.addresses.of(manifest, entry)
        headers = {"Accept-Encoding": "identity"}
        if span.size < entry.size:  # the whole file is asked for plainly: some servers know no ranges
            headers["Range"] = f"bytes={span.start}-{span.stop - 1}"
        with ExitStack() as stack:
            try:
                answer = stack.enter_context(self._follow(url, headers, asked))
                if answer.status not in (200, 206):
                    raise self._failure(answer, asked)
                how = reply.reading(answer.status, answer.headers, entry, span, asked)
            except MirrorError:
                self.addresses.forget(manifest, entry)  # it may be no good any more: ask anew next time
                raise
            self.addresses.learn(manifest, entry, answer.url)  # not before it has proven to be the file's
            yield (piece for block in answer.blocks() for piece in how.plain(block))

    # -- requests -----------------------------------------------------------------------------

    @contextmanager
    def _follow(
        self, url: str, headers: Mapping[str, str], asked: reply.Asked, body: bytes | None = None
    ) -> Iterator[Answer]:
        """The answer after all redirects. The token goes to the endpoint's own origin, and nowhere else."""
        for _ in range(HOPS):
            with self._http.get(url, {**headers, **self._credentials(url)}, body) as answer:
                onward = answer.redirect
                if onward is None:
                    yield answer
                    return
                answer.text(ERROR_TEXT)  # a body read to its end leaves the connection open for the next request
            url = onward
        raise ProtocolError(self.name, f"more than {HOPS} redirects for {asked.repo}")

    def _credentials(self, url: str) -> dict[str, str]:
        token = self._token() if origin(url) == self._origin else None
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _failure(self, answer: Answer, asked: reply.Asked) -> MirrorError:
        foreign = origin(answer.url) != self._origin
        return reply.failure(answer.status, answer.headers, answer.text(ERROR_TEXT), asked.over(foreign=foreign))

    def _asked(self, repo: RepoId, revision: str, path: str = "") -> reply.Asked:
        return reply.Asked(
            self.name, repo, revision, path, page=f"{self._origin}{urlsplit(self._endpoint).path}/{repo}"
        )

    def _api(self, repo: RepoId) -> str:
        return f"{self._endpoint}/api/{repo.kind.value}s/{self.addresses.name(repo)}"


def _entries(rows: Iterable[Any]) -> Iterator[Entry]:
    """The files among the rows of a listing. Raises BadManifest, UnsafePath."""
    for row in rows:
        try:
            if row["type"] != "file":
                continue
            large = row.get("lfs")
            if large:
                digest, size = Digest.of_hex(Algorithm.SHA256, large["oid"]), large["size"]
            else:
                digest, size = Digest.of_hex(Algorithm.GIT_SHA1, row["oid"]), row["size"]
            yield Entry(entry_path(row["path"]), byte_count(size), digest)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadManifest("the Hub's listing", f"has a row that lacks or garbles {error}") from None
