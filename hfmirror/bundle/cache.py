"""A bundle straight into a plain cache of the official client, for a machine that keeps no store.

The work is done by the same `verify.py` that travels with the bundle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hfmirror.bundle import verify
from hfmirror.bundle.reading import ANYBODY, Bundle, Trust
from hfmirror.errors import DamagedBundle, MirrorError, NotHere
from hfmirror.store import files

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Placed:
    """What came of putting a bundle into a cache."""

    signature: str = ""  # a word on who signed it
    repos: list[str] = field(default_factory=list)  # commits that are now whole there: `owner/name@commit`
    problems: list[MirrorError] = field(default_factory=list)


def into_cache(folder: Path, cache: Path, trust: Trust = ANYBODY) -> Placed:
    """Put everything a bundle holds into `cache`, as plain files: blobs, snapshots, refs.

    Raises at once: UsageError when `folder` is no bundle, BadSignature, DamagedBundle when its sums
    cannot be read, StoreTooNew; StoreError for the cache's own disk. All else is in `problems`.
    """
    placed = Placed(Bundle(folder).check(trust))

    def tell(trouble: verify.Trouble) -> None:
        placed.problems.append(_error(trouble))

    def done(commit: verify.Commit, whole: bool) -> None:
        if whole:
            placed.repos.append(f"{commit.repo}@{commit.commit}")

    with files.translated(cache):
        try:
            verify.put_all(str(folder), str(cache), tell, done)
        except verify.Trouble as trouble:
            raise _error(trouble) from None
    return placed


def _error(trouble: verify.Trouble) -> MirrorError:
    if trouble.kind == "absent":
        return NotHere(f"{trouble.name}, which this bundle leaves out,")
    why = verify.SAID[trouble.kind][0] + (f" ({trouble.detail})" if trouble.detail else "")
    return DamagedBundle(trouble.name, why)
