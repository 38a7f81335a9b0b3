"""Where files lie in the view, for those who ask for nothing else: scripts do so in loops, so it is light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.errors import EntryNotFound, NotHere
from hfmirror.model import entry_path

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.model import CommitId, RepoId
    from hfmirror.store.records import Records


def home(view: Path, repo: RepoId) -> Path:
    """The folder of a repo."""
    return view / repo.folder


def snapshot(view: Path, repo: RepoId, commit: CommitId) -> Path:
    """The folder in which a commit's files stand under their own names."""
    return home(view, repo) / "snapshots" / commit


def find(records: Records, repo: RepoId, revision: str, file: str | None = None) -> Path:
    """Where a commit, or one file of it, lies in the view of a store. Raises NotHere, EntryNotFound."""
    commit = records.commit(repo, revision)
    folder = snapshot(records.layout.hub, repo, commit)
    if file is None and folder.is_dir():
        return folder
    if file is not None and (folder / entry_path(file)).exists():
        return folder / file
    if file is not None and records.manifest(repo, commit).denies(file):
        raise EntryNotFound(repo, file)
    raise NotHere(repo if file is None else f"{file} of {repo}")
