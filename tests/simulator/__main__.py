"""Folders published as if they were on the Hub: python -m tests.simulator --folder DIR --repo owner/name.

Prints one JSON line with the endpoint, serves until SIGTERM or Ctrl-C, then prints one with counts.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulator.faults import Faults
from tests.simulator.hub import HubSimulator
from tests.simulator.server import served

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SKIPPED = frozenset({".git", ".cache"})


def main(words: Sequence[str] | None = None) -> int:
    """Serve until told to stop."""
    options = _parser().parse_args(words)
    if len(options.folder) != len(options.repo):
        _parser().error("give one --repo for each --folder")
    hub = HubSimulator()
    for folder, repo in zip(options.folder, options.repo, strict=True):
        hub.add(repo, {str(path.relative_to(folder).as_posix()): path for path in _files(folder)})
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    with ExitStack() as stack:
        for faults in _faults(options):
            stack.enter_context(hub.failing(faults))
        site = stack.enter_context(served(hub, cdn=not options.no_cdn, port=options.port))
        print(json.dumps({"endpoint": site.endpoint}), flush=True)
        stop.wait()
    print(json.dumps({"requests": len(hub.requests), "bytes_served": hub.bytes_served}), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--folder", type=Path, action="append", required=True, help="files of a repo")
    parser.add_argument("--repo", action="append", required=True, help="its name; datasets/owner/name for a dataset")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--reset-every", type=int, metavar="BYTES", help="break the connection with a reset")
    parser.add_argument("--cut-every", type=int, metavar="BYTES", help="break it with an ordinary end")
    parser.add_argument("--rate", type=float, metavar="BYTES_S", help="bytes per second and connection")
    parser.add_argument("--no-cdn", action="store_true", help="send all bytes from the endpoint itself")
    return parser


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not _SKIPPED & set(path.relative_to(folder).parts):
            yield path


def _faults(options: argparse.Namespace) -> Iterator[Faults]:
    if options.reset_every:
        yield Faults(where="files", reset_after=0, every=options.reset_every)
    if options.cut_every:
        yield Faults(where="files", cut_after=0, every=options.cut_every)
    if options.rate:
        yield Faults(where="files", slow_rate=options.rate)


if __name__ == "__main__":
    raise SystemExit(main())
