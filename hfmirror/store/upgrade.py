"""A store of an earlier form becomes one of this form: step by step, each from one version to the next.

A step may die anywhere and is then done again from its start: so it leaves alone what it finds done,
publishes every file wholly or not at all, and removes the old form of a thing only after the new one
is there. The version is written when a step is done, and never before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import StoreError
from hfmirror.store import files, locks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hfmirror.store.drafts import Drafts
    from hfmirror.store.layout import Layout

    Step = Callable[[Layout, Drafts], None]

STEPS: Mapping[int, Step] = {}  # by the version they begin from; version 1 is the first there was


def upgrade(layout: Layout, drafts: Drafts, steps: Mapping[int, Step] = STEPS, target: int = codec.FORMAT) -> None:
    """Bring a store to the version `target`. Raises StoreLocked, StoreTooNew, and StoreError for one too old."""
    where = str(layout.format)
    with locks.held(layout.lock_of_all):
        while (version := codec.check_store(files.read_text(layout.format) or "", where)) < target:
            if version not in steps:
                raise StoreError(
                    where, f"the store's format {version} is older than this hfmirror can bring up to date"
                )
            steps[version](layout, drafts)
            document = codec.document_of(files.read_text(layout.format) or "", where)
            changed = {**document, "version": version + 1, "needs": codec.NEEDS}
            drafts.publish_text(layout.format, codec.dump(changed))
