"""Which commits a list lets go. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hfmirror.syncing.lock import Made

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hfmirror.model import CommitId, Pin, RepoId
    from hfmirror.syncing.lock import Lock
    from hfmirror.syncing.parse import Wish


@dataclass(frozen=True, slots=True)
class Track:
    """A wish, the commits that its revision has stood for, and the one it stands for just now."""

    wish: Wish
    commits: tuple[CommitId, ...]  # that came whole, newest first
    target: CommitId | None = None  # on its way, or here; None: nobody could say

    def wants(self, commit: CommitId) -> bool:
        """Whether this is one of the commits that the wish keeps."""
        return commit == self.target or commit in self.commits[: self.wish.keep]

    def keeps(self, commit: CommitId) -> bool:
        """Whether a commit that the wish brought has to stay; without `keep`, each has to."""
        return self.wish.keep is None or self.wants(commit)


@dataclass(frozen=True, slots=True)
class Standing:
    """Who wants a commit, as the store notes it."""

    pins: frozenset[Pin]
    asked: str  # when one of them was last asked for


Commit = tuple["RepoId", "CommitId"]


def followed(commits: Iterable[CommitId], newest: CommitId) -> tuple[CommitId, ...]:
    """The commits of a revision after it has moved, newest first; it may have moved back."""
    return (newest, *(commit for commit in commits if commit != newest))


def let_go(tracks: Iterable[Track], made: Iterable[Made], standings: Mapping[Commit, Standing]) -> tuple[Commit, ...]:
    """The commits to forget: beyond `keep`, wanted by nothing but pins that this list made.

    A commit stays when another wish pins it, when somebody else has asked for it since, when any wish of
    the list keeps it, and when the wish that brought it is on the list no more.
    """
    by_name = {(track.wish.repo, track.wish.revision): track for track in tracks}
    ours: dict[Commit, list[Made]] = {}
    for one in made:
        ours.setdefault((one.pin.repo, one.pin.commit), []).append(one)
    doomed = []
    for (repo, commit), brought in ours.items():
        own = [by_name.get((repo, one.pin.revision)) for one in brought]
        free = all(track is not None and not track.keeps(commit) for track in own)
        wanted = any(track.wish.repo == repo and track.wants(commit) for track in by_name.values())
        if free and not wanted and is_ours(brought, standings.get((repo, commit))):
            doomed.append((repo, commit))
    return tuple(sorted(doomed))


def is_ours(made: Iterable[Made], standing: Standing | None) -> bool:
    """Whether nothing but these pins wants a commit, and nobody has asked for it since they were made."""
    asked = {one.asked for one in made}
    if standing is None or not asked:
        return False
    untouched = "" in asked or standing.asked == max(asked)
    return untouched and standing.pins <= {one.pin for one in made}


def claimed(made: frozenset[Made], pin: Pin, standing: Standing | None) -> frozenset[Made]:
    """The record before a pin is made, or made again: it is ours if it was before, or if nobody else has made it.

    What others have asked for since is ours no more: the new pin would hide that they did.
    """
    same = frozenset(one for one in made if (one.pin.repo, one.pin.commit) == (pin.repo, pin.commit))
    still = same if is_ours(same, standing) else frozenset()
    fresh = standing is None or pin not in standing.pins
    own = {Made(pin)} if fresh or any(one.pin == pin for one in still) else set()
    return (made - same) | {one for one in still if one.pin != pin} | own


def settled(made: frozenset[Made], pin: Pin, standing: Standing | None) -> frozenset[Made]:
    """The record after the pull of a pin, however it ended: with the time that the store noted."""
    if Made(pin) not in made:
        return made
    stands = standing is not None and pin in standing.pins
    return (made - {Made(pin)}) | ({Made(pin, standing.asked)} if standing is not None and stands else set())


def current(lock: Lock, wishes: Iterable[Wish], standings: Mapping[Commit, Standing]) -> Lock:
    """The record without what is on the list no more, and without what the store no longer keeps."""
    listed = {(wish.repo, wish.revision) for wish in wishes}
    commits = {
        name: tuple(commit for commit in lock.commits.get(name, ()) if (name[0], commit) in standings)
        for name in listed
    }
    made = frozenset(
        one
        for one in lock.made
        if (one.pin.repo, one.pin.revision) in listed and (one.pin.repo, one.pin.commit) in standings
    )
    return replace(lock, commits=commits, made=made)


def without(lock: Lock, gone: Iterable[Commit]) -> Lock:
    """The record after commits were let go."""
    lost = set(gone)
    commits = {name: tuple(one for one in row if (name[0], one) not in lost) for name, row in lock.commits.items()}
    made = frozenset(one for one in lock.made if (one.pin.repo, one.pin.commit) not in lost)
    return replace(lock, commits=commits, made=made)
