"""A process that carries bundles, and may be told to die before its n-th call to a door to the disk.

It reads one JSON object a line (`deed`, `source`, `target`, `die_at`) and does each in a fork.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from hfmirror.bundle import Trust, into_cache
from hfmirror.errors import MirrorError
from hfmirror.mirror import Mirror
from hfmirror.model import PART
from hfmirror.settings import Settings
from hfmirror.store import files
from hfmirror.store.disk import DiskStore
from hfmirror.transfer.events import silent
from tests.crash import driver
from tests.unit.bundle.shelf import export

driver.DOORS = (*driver.DOORS, "pwrite", "ftruncate")  # type: ignore[assignment] # a longer tuple
os.fsync = lambda fd: None  # a kill costs no page of the system's cache; waiting for the disk would cost minutes
files._syncfs = lambda fd: True


def main() -> None:
    """Serve until there is nothing more to read."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _do(order)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _do(order: dict[str, Any]) -> None:
    status = 1
    try:
        driver._stand_at_the_doors(int(order["die_at"]))
        status = _DEEDS[order["deed"]](Path(order["source"]), Path(order["target"]))
    except MirrorError as error:
        print(repr(error), file=sys.stderr)
        status = error.exit_code
    except BaseException:  # noqa: BLE001 - a fork must never come back
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _export(source: Path, target: Path) -> int:
    return len(export(DiskStore(source), target).problems)


def _split(source: Path, target: Path) -> int:
    return len(export(DiskStore(source), target, most=2 * PART).problems)


def _take_in(source: Path, target: Path) -> int:
    return len(Mirror(Settings(target)).take_in(source, Trust(), silent).problems)


def _cache(source: Path, target: Path) -> int:
    return len(into_cache(source, target).problems)


_DEEDS = {"export": _export, "split": _split, "take in": _take_in, "cache": _cache}

if __name__ == "__main__":
    main()
