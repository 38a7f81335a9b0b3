"""What a moved store leaves behind, and what one that is on its way puts up: two small files.

`moving.json` stands where a store is going to be, until all of it is there and nothing of it is left
where it was. `moved.json` stands where it was.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import StoreElsewhere
from hfmirror.store import files

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.store.drafts import Drafts
    from hfmirror.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Signpost:
    """Where the other end of a move is, and which store it is about."""

    home: str  # a folder: where the store came from, or has gone to
    identity: str  # its `id`


def put(path: Path, drafts: Drafts, home: Path, identity: str) -> None:
    """Put up a signpost, durably."""
    drafts.publish_text(path, codec.dump({"format": codec.FORMAT, "home": str(home), "id": identity}))


def read(path: Path) -> Signpost | None:
    """What a signpost says; None when there is none. Raises BadManifest, StoreTooNew."""
    text = files.read_text(path)
    if text is None:
        return None
    document = codec.load(text, str(path))
    return Signpost(str(document.get("home")), str(document.get("id")))


def heed_moved(layout: Layout) -> None:
    """See that the store has not left. Cheap: it is asked for each object that comes. Raises StoreElsewhere."""
    if os.path.exists(layout.moved):  # noqa: PTH110 - as above
        gone = read(layout.moved)
        if gone is not None:
            raise StoreElsewhere(str(layout.root), gone.home, arriving=False)


def heed_moving(layout: Layout) -> None:
    """See that a folder without a store is not one that a store is coming to. Raises StoreElsewhere."""
    coming = read(layout.moving)
    if coming is not None:
        raise StoreElsewhere(str(layout.root), coming.home, arriving=True)
