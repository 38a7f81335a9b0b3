"""Files that look as if they were wanted, and are not what they look like: worth a word. Pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hfmirror.adopt.found import Trouble
from hfmirror.adopt.halves import plain_name
from hfmirror.errors import human

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from hfmirror.adopt.found import Claim, Find
    from hfmirror.adopt.targets import Target
    from hfmirror.model import Digest, Entry


def misfits(
    find: Find,
    meant: Collection[tuple[Target, Claim | None]],
    lacking: Mapping[Digest, Entry],
    others: Mapping[str, tuple[Digest, ...]],
) -> Iterator[Trouble]:
    """What to say of files that were not taken. `others`: what those are that were read."""
    named: set[str] = {trouble.place for trouble in find.troubles}
    for target, claim in meant:
        for trouble in _of_claim(target, claim, lacking) if claim is not None else ():
            if trouble.place not in named:
                named.add(trouble.place)
                yield trouble
    names = {entry.path.rpartition("/")[2]: entry for entry in lacking.values()}
    for place in others:
        entry = names.get(plain_name(os.path.basename(place)))  # noqa: PTH119 - a string
        if entry is not None and place not in named:
            yield Trouble(place, f"is called like {entry.path}, but other bytes are in it")


def _of_claim(target: Target, claim: Claim, lacking: Mapping[Digest, Entry]) -> Iterator[Trouble]:
    """Files that a client's cache has for a commit, and that are not what that commit holds."""
    for told in claim.files:
        entry = target.manifest.get(told.path)
        if entry is None:
            yield Trouble(told.place, f"{target} holds no file {told.path}")
        elif entry.digest not in lacking:
            continue
        elif told.size != entry.size:
            sizes = f"{human(told.size)} ({told.size}) instead of {entry.size} bytes"
            yield Trouble(told.place, f"{told.path} has {sizes}", damaged=told.digest == entry.digest)
        else:
            why = f"the bytes of {told.path} are not what they should be"
            yield Trouble(told.place, why, damaged=told.digest == entry.digest)
