"""The engine that is always there: one thread for each connection, over any supplier."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hfmirror.errors import MirrorError, Unexpected

if TYPE_CHECKING:
    from hfmirror.ports import Order, OrderBook, Supplier

LOOK_S = 0.05  # how often to see whether more connections are worth having


class ThreadEngine:
    """Fills orders from a supplier, each in a thread. The threads end with the book."""

    def __init__(self, supplier: Supplier) -> None:
        self._supplier = supplier

    def run(self, book: OrderBook) -> None:
        """Fill orders until the book is closed."""
        workers: list[threading.Thread] = []
        while not book.closed:
            workers = [worker for worker in workers if worker.is_alive()]
            while len(workers) < book.connections:
                worker = threading.Thread(target=self._work, args=(book,), name="hfmirror-fetch", daemon=True)
                worker.start()
                workers.append(worker)
            workers[0].join(LOOK_S)

    def _work(self, book: OrderBook) -> None:
        while not book.closed:
            order = book.next(wait_s=1.0)
            if order is not None:
                fill(self._supplier, order)


def fill(supplier: Supplier, order: Order) -> None:
    """Fill one order, and say how it went."""
    try:
        with supplier.open(order.manifest, order.entry, order.span) as stream:
            for chunk in stream:
                if not order.take(chunk):
                    break
    except MirrorError as error:
        order.fail(error)
    except Exception as fault:  # noqa: BLE001 - whoever waits for this order must hear of it
        order.fail(Unexpected(fault))
    else:
        order.done()
