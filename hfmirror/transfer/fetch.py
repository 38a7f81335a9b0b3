"""Bringing what a plan lacks into a store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hfmirror.errors import Unexpected
from hfmirror.ports import Engine, Nearby
from hfmirror.transfer.budget import metered
from hfmirror.transfer.desk import Desk
from hfmirror.transfer.events import Sealed
from hfmirror.transfer.lanes import open_lane
from hfmirror.transfer.threads import ThreadEngine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfmirror.ports import Store, Supplier
    from hfmirror.transfer.events import Watcher
    from hfmirror.transfer.lanes import Lane
    from hfmirror.transfer.manner import Manner
    from hfmirror.transfer.plan import Plan

ENDING_S = 1.0  # seconds an engine is waited for when all has come: it may hang on a line that is dead


def fetch(suppliers: Sequence[Supplier], store: Store, plan: Plan, manner: Manner, watch: Watcher) -> None:
    """Bring everything `plan` lacks, proven, into `store`. The first supplier is the one that knows the names.

    What was brought stays, whatever happens. Raises what could not be helped: DigestMismatch after
    one clean retry, OutOfPatience, NotFound, AccessDenied, StoreError, ProtocolError.
    """
    with store.batch() as batch:
        for entry in plan.lacking:
            if entry.size == 0:  # nothing to ask for
                batch.add(entry, b"")
                watch(Sealed(entry))
        entries = [entry for entry in plan.lacking if entry.size]
        desk = Desk(plan.manifest, entries, store, batch, manner, watch)
        try:
            work = [Work(supplier, open_lane(desk, supplier, entries)) for supplier in suppliers]
            if len(work) == 1:
                work[0].run(manner, watch)
            else:
                _run_all(work, desk)
        finally:
            desk.close()
    desk.raise_failures()


class Work:
    """One supplier's engine on its lane."""

    def __init__(self, supplier: Supplier, lane: Lane) -> None:
        self.supplier, self.lane = supplier, lane

    def run(self, manner: Manner, watch: Watcher) -> None:
        """Until the lane is closed."""
        budget = None if isinstance(self.supplier, Nearby) else manner.budget  # of this machine: over no line
        engine: Engine = ThreadEngine(self.supplier)
        if isinstance(self.supplier, Engine) and budget is None:
            engine = self.supplier  # what is limited goes by threads, of which one that waits holds up no other
        engine.run(metered(self.lane, budget, watch))

    def run_aside(self, desk: Desk) -> None:
        """The same in a thread of its own: a fault of it ends the pull."""
        try:
            self.run(desk.manner, desk.watch)
        except Exception as fault:  # noqa: BLE001 - whoever waits for the pull must hear of it
            desk.give_up(Unexpected(fault))


def _run_all(work: Sequence[Work], desk: Desk) -> None:
    """Let all work at once until nothing is left to order."""
    threads = [threading.Thread(target=one.run_aside, args=(desk,), name="hfmirror-lane", daemon=True) for one in work]
    for thread in threads:
        thread.start()
    try:
        with desk.lock:
            while not desk.closed:
                desk.lock.wait(ENDING_S)  # now and then, so that Ctrl-C is heard on every system
    finally:
        with desk.lock:
            desk.over = True
            desk.stir()
        for thread in threads:
            thread.join(ENDING_S)
