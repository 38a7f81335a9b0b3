"""Which commits are meant: what each holds, by whose word, and under which names it is asked for."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from hfmirror.adopt.found import Trouble
from hfmirror.adopt.own import digest_of_file
from hfmirror.errors import AccessDenied, BadManifest, MirrorError, NotFound, NotHere, Unavailable, UsageError
from hfmirror.model import (
    CACHE,
    HUB,
    LOCAL,
    Entry,
    Head,
    Manifest,
    Pin,
    Reach,
    Selection,
    is_commit,
    pattern_of,
    unholdable,
)
from hfmirror.transfer.patience import Patience, patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from hfmirror.adopt.found import Claim, Told
    from hfmirror.model import CommitId, RepoId
    from hfmirror.ports import Catalog
    from hfmirror.store.disk import DiskStore
    from hfmirror.transfer.events import Watcher

PATIENCE_S = 2.0  # what is here can be taken in without the authority: a short hiccup is waited for, no more
MANY = 500  # files of a giant commit that are asked about one by one; of more the whole listing is fetched
LONG_AGO = 0.0  # seconds since 1970; anybody who says more of a name is right
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """One commit that files are looked for."""

    manifest: Manifest
    selection: Selection
    revisions: tuple[str, ...] = ()  # names the authority vouches for, by `head`
    head: Head | None = None  # None: the authority has said nothing just now
    heard: Mapping[str, float] = field(default_factory=dict)  # names by hearsay, and when, in seconds since 1970

    def __str__(self) -> str:
        return f"{self.manifest.repo}@{self.manifest.commit[:12]}"

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is wanted of the commit, as far as any system can hold it."""
        return tuple(entry for entry in self.selection.of(self.manifest) if not unholdable(entry.path))

    @property
    def pins(self) -> tuple[Pin, ...]:
        """What ought to be here, under each name; the names by hearsay come last."""
        repo, commit = self.manifest.repo, self.manifest.commit
        names = (*self.revisions, *self.heard) or (commit,)
        return tuple(Pin(repo, commit, name, self.selection) for name in names)


class Names:
    """The authority for as long as it answers, and after that what is known here."""

    def __init__(self, source: Catalog | None, store: DiskStore, watch: Watcher) -> None:
        self._source, self._store, self._watch = source, store, watch
        self._why = Unavailable("the Hub", "was not asked: --offline")

    def head(self, repo: RepoId, revision: str) -> Head:
        """What a revision stands for. Raises what a `Catalog` raises; Unavailable when nobody knows."""
        try:
            return self._ask(lambda source: source.resolve(repo, revision))
        except Unavailable as error:
            try:
                return self._store.resolve(repo, revision)
            except NotHere:
                raise error from None

    def listing(self, repo: RepoId, commit: CommitId, selection: Selection) -> Manifest:
        """What a commit holds, by the authority's word, given now or before. Raises as `head`."""
        try:
            known = self._store.manifest(repo, commit, selection)
            if known.origin != CACHE:
                return known
        except (NotHere, BadManifest):
            pass
        return self._ask(lambda source: source.manifest(repo, commit, selection))

    def known(self, repo: RepoId) -> bool | None:
        """Whether the authority has a repo of this name; None when it cannot be asked."""
        try:
            self._ask(lambda source: source.resolve(repo, "main"))
        except NotFound as error:
            return type(error).hub_code != "RepoNotFound"
        except AccessDenied:
            return True
        except Unavailable:
            return None
        return True

    def _ask(self, question: Callable[[Catalog], T]) -> T:
        source = self._source
        if source is None:
            raise self._why
        try:
            return patiently(lambda: question(source), Patience(PATIENCE_S), self._watch)
        except Unavailable as error:
            self._source, self._why = None, error  # not asked again for each of a hundred repos
            raise


# -- a repo that was named ------------------------------------------------------------------------


def named(repo: RepoId, revision: str | None, selection: Selection, names: Names, claims: Iterable[Claim]) -> Target:
    """The target for `--repo`. Raises what a `Catalog` raises, and Unavailable when nobody knows.

    Without a revision the folder's own records may say which commit its files are of. If that is not
    what `main` stands for now, the folder's commit is meant.
    """
    told = {claim.commit: claim for claim in claims if claim.repo in (None, repo)}
    claim = next(iter(told.values())) if len(told) == 1 else None
    try:
        head = names.head(repo, revision or "main")
        if claim is not None and revision is None and claim.commit != head.commit:
            with suppress(NotFound):  # it may be another repo's folder
                return Target(
                    names.listing(repo, claim.commit, selection), selection, (), names.head(repo, claim.commit)
                )
        return Target(names.listing(repo, head.commit, selection), selection, (revision or "main",), head)
    except Unavailable:
        if claim is None or revision not in (None, claim.commit):
            raise
        target = hearsay(claim, repo, {revision or "main": LONG_AGO})
        if target is None:
            raise
        return target


# -- commits that folders say they hold -----------------------------------------------------------


def claimed(
    claim: Claim, unfinished: Collection[str], names: Names, store: DiskStore
) -> tuple[Target | None, Trouble | None]:
    """The target a folder's claim leads to, or what is in the way of it.

    Meant is what lies there, and what a client was about to fetch: `unfinished`, by its digest in hex.
    """
    repo = claim.repo or _whose(claim, store)
    if repo is None:
        return None, Trouble(claim.place, f"holds files of the commit {claim.commit}: name the repo, --repo owner/name")
    there = {told.path for told in claim.files}
    meant = Selection() if claim.whole or len(there) > MANY else literal(there)
    try:
        manifest = names.listing(repo, claim.commit, meant)
    except (Unavailable, NotFound, AccessDenied) as error:
        return _unconfirmed(claim, repo, error)
    head: Head | None = None
    with suppress(Unavailable, NotFound, AccessDenied):  # its listing was known here already
        head = names.head(repo, claim.commit)
    there |= {entry.path for entry in manifest.entries if entry.digest.hex in unfinished}
    selection = Selection() if claim.whole else selecting(there, manifest)
    if selection is None:
        return None, None if claim.files == () else Trouble(claim.place, f"holds no file that {claim} has")
    return Target(manifest, selection, head=head, heard=claim.names), None


def _whose(claim: Claim, store: DiskStore) -> RepoId | None:
    """The repo that is known here to have the commit, if it is just one."""
    repos = {pin.repo for pin in store.pins() if pin.commit == claim.commit}
    return repos.pop() if len(repos) == 1 else None


def _unconfirmed(claim: Claim, repo: RepoId, error: MirrorError) -> tuple[Target | None, Trouble | None]:
    target = hearsay(claim, repo, claim.names)
    if target is None:
        return None, Trouble(claim.place, f"nobody could say what {repo}@{claim.commit[:12]} holds: {error}")
    return target, None


def hearsay(claim: Claim, repo: RepoId, heard: Mapping[str, float]) -> Target | None:
    """What a client's cache tells of a commit, when the authority cannot confirm it.

    It covers the files that lie there and nothing else, so it never answers that the commit lacks
    something; and as soon as the authority can be asked, its word takes this one's place.
    """
    told = [_entry_told(file, claim) for file in claim.files]
    entries = [entry for entry in told if entry is not None]
    if not entries:
        return None
    paths = tuple(sorted(entry.path for entry in entries))
    manifest = Manifest.of(repo, claim.commit, entries, Reach((), paths), CACHE)
    return Target(manifest, literal(paths), heard={name: when for name, when in heard.items() if not is_commit(name)})


def _entry_told(file: Told, claim: Claim) -> Entry | None:
    listed = claim.listing.get(file.path)
    digest = file.digest or digest_of_file(file)
    if digest is None:
        return None
    size = listed[0] if listed is not None and listed[1] == digest else file.size
    return Entry(file.path, size, digest)


# -- what the store waits for ---------------------------------------------------------------------


def pinned(store: DiskStore) -> Iterator[Target]:
    """What ought to be here by the pins of the store."""
    for pin in store.pins():
        if pin.demand:
            continue
        try:
            manifest = store.manifest(pin.repo, pin.commit, pin.selection)
        except (NotHere, BadManifest):
            continue
        heard = {} if is_commit(pin.revision) else {pin.revision: LONG_AGO}
        yield Target(manifest, pin.selection, heard=heard)


# -- small decisions ------------------------------------------------------------------------------


def refuse_local(repo: RepoId, store: DiskStore) -> None:
    """Refuse to take bytes for a name that is a repo of the user's own here. Raises UsageError."""
    if _origins(repo, store) == {LOCAL}:  # a repo of the Hub's may have commits made here beside its own
        raise UsageError(
            f"{repo} is a repo of your own here, not the Hub's",
            f"give --local to add to it, or forget it first: hfmirror rm {repo}",
        )


def refuse_foreign(repo: RepoId, store: DiskStore, names: Names) -> None:
    """Refuse to make a repo of the user's own under a name that is the Hub's. Raises UsageError."""
    if _origins(repo, store) & {HUB, CACHE} or names.known(repo):
        raise UsageError(
            f"{repo} is a repo of the Hub's", "leave --local out to take files in for it, or choose another name"
        )


def _origins(repo: RepoId, store: DiskStore) -> set[str]:
    found: set[str] = set()
    for pin in store.pins_of(repo):
        try:
            found.add(store.manifest(repo, pin.commit).origin)
        except (NotHere, BadManifest):
            continue
    return found


def selecting(paths: set[str], manifest: Manifest) -> Selection | None:
    """A selection that takes just these paths of a listing, a whole folder by its name; None: it has none of them."""
    if not manifest.reach.everything:
        known = {entry.path for entry in manifest.entries} & paths
        return literal(known) if known else None
    if all(entry.path in paths for entry in manifest.entries):
        return Selection()
    patterns = tuple(_patterns(paths, [entry.path for entry in manifest.entries], ""))
    return Selection(patterns) if patterns else None


def literal(paths: Iterable[str]) -> Selection:
    """A selection of just these paths."""
    return Selection(tuple(map(pattern_of, sorted(paths))))


def _patterns(paths: set[str], listed: list[str], folder: str) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for path in listed:
        step, slash, _ = path[len(folder) :].partition("/")
        groups.setdefault(f"{folder}{step}{slash}", []).append(path)
    for name, inner in groups.items():
        if all(path in paths for path in inner):
            yield pattern_of(name)
        elif name.endswith("/"):
            yield from _patterns(paths, inner, name)
