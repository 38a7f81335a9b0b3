"""Which display listens to the core: a live one, plain lines, JSON lines, or none."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfmirror.transfer.events import Event
    from hfmirror.transfer.plan import Plan


class Display(Protocol):
    """A watcher that also says the last word."""

    def __call__(self, event: Event) -> None: ...
    def done(self, plan: Plan, where: Path) -> None: ...


@contextmanager
def watching(*, as_json: bool, quiet: bool) -> Iterator[Display]:
    """The display that fits where the output goes."""
    if as_json:
        from hfmirror.cli.lines import JsonLines

        yield JsonLines()
    elif quiet:
        from hfmirror.cli.lines import Nothing

        yield Nothing()
    elif sys.stderr.isatty():
        from hfmirror.cli.live import Live

        with Live() as live:
            yield live
    else:
        from hfmirror.cli.lines import PlainLines

        yield PlainLines()
