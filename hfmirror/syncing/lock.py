"""`mirror.lock`: the exact commits of a list, and which of them this list itself brought into which store.

Sorted, and the same bytes for the same content, so that it can be kept in git beside the list and be
given to another lab. The second part speaks of one store only: in another one it is not believed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hfmirror import codec
from hfmirror.errors import MirrorError, UsageError
from hfmirror.model import CommitId, Pin, RepoId, Selection, commit_id
from hfmirror.words import parse_repo, parse_revision

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Made:
    """A pin that this list made: nobody had asked for it before.

    `asked` is the time that the store noted with the pin; another time there means that somebody
    else has asked for the same thing since. Empty while the pull is under way.
    """

    pin: Pin
    asked: str = ""


@dataclass(frozen=True)
class Lock:
    """The record of a list."""

    store: str = ""  # the store that `made` is about
    commits: Mapping[tuple[RepoId, str], tuple[CommitId, ...]] = field(default_factory=dict)  # newest first
    made: frozenset[Made] = frozenset()

    def of_store(self, identity: str) -> Lock:
        """The record as it holds for a store: of another one's pins nothing is known."""
        return self if self.store == identity else replace(self, store=identity, made=frozenset())


def beside(toml: Path) -> Path:
    """Where the record of a list lies: `mirror.lock` for `mirror.toml`."""
    return toml.with_suffix(".lock") if toml.suffix == ".toml" else toml.with_name(f"{toml.name}.lock")


def lock_text(lock: Lock) -> str:
    """The file."""
    rows = [
        {"repo": str(repo), "revision": revision, "commits": list(commits)}
        for (repo, revision), commits in sorted(lock.commits.items())
        if commits
    ]
    made = [
        {
            "repo": str(one.pin.repo),
            "commit": one.pin.commit,
            "revision": one.pin.revision,
            "include": list(one.pin.selection.include),
            "exclude": list(one.pin.selection.exclude),
            "asked": one.asked,
        }
        for one in lock.made
    ]
    made.sort(key=lambda row: json.dumps(row, sort_keys=True))
    return codec.dump({"format": FORMAT, "store": lock.store, "repos": rows, "made": made})


def lock_of(text: str, where: str) -> Lock:
    """The inverse of `lock_text`. Raises UsageError: the file may come from anybody."""
    try:
        document = json.loads(text)
        if document["format"] > FORMAT:
            raise UsageError(f"{where} was written by a later hfmirror", "upgrade: pip install --upgrade hfmirror-cli")
        commits = {
            (_repo(row), parse_revision(row["revision"])): tuple(map(commit_id, row["commits"]))
            for row in document["repos"]
        }
        return Lock(str(document["store"]), commits, frozenset(map(_made, document["made"])))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, MirrorError) as error:
        if isinstance(error, UsageError) and "later hfmirror" in error.problem:
            raise
        raise UsageError(
            f"{where} cannot be read: {type(error).__name__}: {error}",
            "restore it, or remove it: the next sync writes a new one, and keeps all that came before",
        ) from None


def _repo(row: Mapping[str, Any]) -> RepoId:
    return parse_repo(row["repo"])[0]


def _made(row: Mapping[str, Any]) -> Made:
    selection = Selection(tuple(map(str, row["include"])), tuple(map(str, row["exclude"])))
    return Made(
        Pin(_repo(row), commit_id(row["commit"]), parse_revision(row["revision"]), selection), str(row["asked"])
    )
