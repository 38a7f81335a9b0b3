"""Bringing what a plan lacks into a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.ports import Engine
from hfmirror.transfer.desk import Desk, Manner
from hfmirror.transfer.events import Sealed
from hfmirror.transfer.threads import ThreadEngine

if TYPE_CHECKING:
    from hfmirror.ports import Store, Supplier
    from hfmirror.transfer.events import Watcher
    from hfmirror.transfer.plan import Plan


def fetch(supplier: Supplier, store: Store, plan: Plan, manner: Manner, watch: Watcher) -> None:
    """Bring everything `plan` lacks, proven, into `store`.

    What was brought stays, whatever happens. Raises what could not be helped: DigestMismatch after
    one clean retry, OutOfPatience, NotFound, AccessDenied, StoreError, ProtocolError.
    """
    engine = supplier if isinstance(supplier, Engine) else ThreadEngine(supplier)
    with store.batch() as batch:
        for entry in plan.lacking:
            if entry.size == 0:  # nothing to ask for
                batch.add(entry, b"")
                watch(Sealed(entry))
        entries = [entry for entry in plan.lacking if entry.size]
        desk = Desk(plan.manifest, entries, store, batch, manner, watch)
        desk.source = supplier.name
        try:
            engine.run(desk)
        finally:
            desk.close()
    desk.raise_failures()
