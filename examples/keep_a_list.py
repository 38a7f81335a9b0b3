#!/usr/bin/env python3
"""Keep a list of repos up to date, for instance every night by cron.

    python examples/keep_a_list.py repos.txt

The list has one repo a line, written as for `hfmirror pull`; `#` begins a remark. Every repo is tried,
also when one before it fails. Exits with 0 when all are here, else with the smallest code of those
that failed. The Hub is the one that HF_ENDPOINT names, or the usual one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import hfmirror
from hfmirror.errors import human
from hfmirror.transfer.events import Arrived, Event, Planned


@dataclass
class Line:
    """One repo of the list, and how it went."""

    repo: str
    size: int = 0  # bytes wanted
    fetched: int = 0  # bytes that came over the network
    error: hfmirror.MirrorError | None = None

    def watch(self, event: Event) -> None:
        """Count what comes."""
        if isinstance(event, Planned):
            self.size = event.plan.size
        elif isinstance(event, Arrived):
            self.fetched += event.size

    @property
    def words(self) -> str:
        """How it went."""
        return "here" if self.error is None else f"failed: {self.error}"


def repos_of(text: str) -> list[str]:
    """The repos of a list."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def kept(repo: str) -> Line:
    """Pull one repo."""
    line = Line(repo)
    try:
        hfmirror.pull(repo, watch=line.watch)
    except hfmirror.MirrorError as error:
        line.error = error
    return line


def main(words: list[str]) -> int:
    """Pull them all, then say how it went."""
    if len(words) != 1:
        print("usage: keep_a_list.py FILE", file=sys.stderr)
        return 2
    lines = [kept(repo) for repo in repos_of(Path(words[0]).read_text(encoding="utf-8"))]
    width = max((len(line.repo) for line in lines), default=4)
    print(f"{'REPO':{width}}  {'SIZE':>8}  {'FETCHED':>8}")
    for line in lines:
        print(f"{line.repo:{width}}  {human(line.size):>8}  {human(line.fetched):>8}  {line.words}")
    return min((line.error.exit_code for line in lines if line.error), default=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
