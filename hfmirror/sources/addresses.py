"""Where each file of an endpoint can be fetched just now.

The Hub answers for a large file with a signed address on another host, good for an hour. It is
remembered, so that the many spans of one file cost one question, and forgotten when it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from hfmirror.model import Kind

if TYPE_CHECKING:
    from hfmirror.model import Entry, Manifest, RepoId

_PREFIX = {Kind.MODEL: "", Kind.DATASET: "datasets/", Kind.SPACE: "spaces/"}


class Addresses:
    """Addresses of files at one endpoint. Used by many threads; each step is one dictionary operation."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._signed: dict[tuple[str, str], str] = {}
        self._names: dict[RepoId, str] = {}

    def rename(self, repo: RepoId, name: str) -> None:
        """The endpoint goes by another name for this repo; asking by it saves a redirect for each file."""
        self._names[repo] = name

    def name(self, repo: RepoId) -> str:
        """The name to ask by."""
        return self._names.get(repo, repo.name)

    def asking(self, manifest: Manifest, entry: Entry) -> str:
        """The address that always works, and may redirect."""
        repo = manifest.repo
        where = f"{_PREFIX[repo.kind]}{self.name(repo)}/resolve/{manifest.commit}/{quote(entry.path)}"
        return f"{self._endpoint}/{where}"

    def of(self, manifest: Manifest, entry: Entry) -> str:
        """The address to use now."""
        return self._signed.get((manifest.commit, entry.path)) or self.asking(manifest, entry)

    def learn(self, manifest: Manifest, entry: Entry, address: str) -> None:
        """The file came from this address: use it again if it is one that the endpoint redirected to."""
        if not address.startswith(f"{self._endpoint}/"):
            self._signed[manifest.commit, entry.path] = address

    def forget(self, manifest: Manifest, entry: Entry) -> None:
        """The address was refused: ask anew next time."""
        self._signed.pop((manifest.commit, entry.path), None)
