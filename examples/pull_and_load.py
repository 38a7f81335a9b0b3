#!/usr/bin/env python3
"""Pull a repo with a display of your own, then read it where it lies.

    python examples/pull_and_load.py owner/name '*.json' '*.safetensors'

The Hub is the one that HF_ENDPOINT names, or the usual one.
"""

from __future__ import annotations

import sys
import threading

import hfmirror
from hfmirror.errors import human
from hfmirror.transfer.events import Arrived, Event, Planned, Resumed, Sealed, Waiting


class Progress:
    """Prints a line for every tenth of the way. A watcher is called from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = self._here = self._told = 0

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        with self._lock:
            if isinstance(event, Planned):
                self._wanted = event.plan.to_fetch
                print(f"{event.plan.pin.repo}: {human(self._wanted)} to fetch, {human(event.plan.size)} in all")
            elif isinstance(event, Resumed):
                self._add(event.kept)
            elif isinstance(event, Arrived):
                self._add(event.size)
            elif isinstance(event, Sealed):
                print(f"proven: {event.entry.path}")
            elif isinstance(event, Waiting):
                print(f"{event.error}; trying again in {event.seconds:.0f} s")

    def _add(self, size: int) -> None:
        self._here += size
        tenth = self._here * 10 // self._wanted
        if tenth > self._told:
            self._told = tenth
            print(f"{tenth * 10} %")


def main(words: list[str]) -> int:
    """Pull, then list what is there."""
    if not words:
        print("usage: pull_and_load.py REPO [PATTERN...]", file=sys.stderr)
        return 2
    repo, *patterns = words
    try:
        folder = hfmirror.pull(repo, include=patterns, watch=Progress())
    except hfmirror.MirrorError as error:
        print(f"{error}\n  {error.hint()}", file=sys.stderr)
        return error.exit_code
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            print(f"{human(path.stat().st_size):>8}  {path.relative_to(folder).as_posix()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
