"""A process that does what it is told, again and again, and may be told to die while it does it.

It reads one JSON object a line: `root`, `endpoint`, `deeds` (pairs of a verb and a repo), and `die_at`:
before which call to one of the doors to the disk the doer ends as if killed. Each line is done in a fork, so that
a death costs milliseconds. It answers with the doer's number
and, once that ended, with how, and how many calls there were.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfmirror.adopt.bring import Wish
from hfmirror.adopt.matching import Way
from hfmirror.errors import MirrorError
from hfmirror.mirror import Mirror
from hfmirror.model import Kind, RepoId, Selection
from hfmirror.settings import Settings
from hfmirror.sources import hub, reply  # noqa: F401 - imported once, here, for all forks
from hfmirror.store.moving import Move
from hfmirror.transfer import pull  # noqa: F401 - as above
from hfmirror.transfer.events import silent
from hfmirror.transfer.manner import Manner

if TYPE_CHECKING:
    from collections.abc import Callable

DOORS = ("fsync", "replace", "rename", "link", "symlink", "unlink", "rmdir")
KILLED = 137  # 128 + SIGKILL, as shells count


def main() -> None:
    """Serve until there is nothing more to read."""
    for line in sys.stdin:
        order = json.loads(line)
        report, told = os.pipe()
        doer = os.fork()
        if doer == 0:
            os.close(report)
            _do(order, told)
        os.close(told)
        print(doer, flush=True)
        with os.fdopen(report) as said:
            calls = said.read()
        status = os.waitstatus_to_exitcode(os.waitpid(doer, 0)[1])
        print(json.dumps({"status": status, "calls": int(calls or 0)}), flush=True)


def _do(order: dict[str, Any], told: int) -> None:
    status = 1
    try:
        if order.get("broken_locks"):
            _break_locks()
        counted = _stand_at_the_doors(int(order["die_at"]))
        mirror = Mirror(Settings(Path(order["root"]), order["endpoint"], "requests"))
        for verb, name in order["deeds"]:
            _VERBS[verb](mirror, RepoId.of(Kind.MODEL, name))
        os.write(told, str(next(counted) - 1).encode())
        status = 0
    except MirrorError as error:
        print(repr(error), file=sys.stderr)
        status = error.exit_code
    except BaseException:  # noqa: BLE001 - a fork must never come back
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _stand_at_the_doors(die_at: int) -> itertools.count[int]:
    counted = itertools.count(1)

    def guarded(door: Callable[..., Any]) -> Callable[..., Any]:
        def through(*words: Any, **more: Any) -> Any:
            if next(counted) == die_at:
                os._exit(KILLED)
            return door(*words, **more)

        return through

    for name in DOORS:
        setattr(os, name, guarded(getattr(os, name)))
    return counted


def _break_locks() -> None:
    """As on a filesystem that grants every lock to everybody."""
    import filelock

    filelock.FileLock.acquire = lambda self, *words, **more: self  # type: ignore[method-assign]


def _pull(mirror: Mirror, repo: RepoId) -> None:
    mirror.pull(repo, "main", Selection(), Manner(), silent)


def _remove(mirror: Mirror, repo: RepoId) -> None:
    mirror.remove(repo, mirror.commits(repo, None))
    mirror.sweep(0.0, dry=False)


def _verify(mirror: Mirror) -> None:
    for _ in mirror.verify():
        pass


def _mend(mirror: Mirror) -> None:
    _verify(mirror)
    for failure in mirror.repair(mirror.plan_repair(), Manner(), silent):
        raise failure


def _let_go(mirror: Mirror, repo: RepoId) -> None:
    mirror.unpin(repo, mirror.commits(repo, None))
    mirror.sweep(0.0, dry=False)


def _import(mirror: Mirror, repo: RepoId, way: Way = Way()) -> None:  # noqa: B008 - it is immutable
    """Of the folder beside the store."""
    wish = Wish((f"{mirror.settings.root}.files",), repo, way=way)
    mirror.bring(wish, silent, lambda reading: None)


def _move(mirror: Mirror, *, far: bool) -> None:
    """To the folder beside the store; `far`: as if that were on another disk."""
    if far:
        Move._rename = lambda self: False  # type: ignore[method-assign]
    mirror.move(Path(f"{mirror.settings.root}.new"), silent)


_VERBS: dict[str, Callable[[Mirror, RepoId], None]] = {
    "pull": _pull,
    "remove": _remove,
    "let go": _let_go,
    "verify": lambda mirror, _: _verify(mirror),
    "mend": lambda mirror, _: _mend(mirror),
    "import": _import,
    "move": lambda mirror, _: _move(mirror, far=False),
    "move far": lambda mirror, _: _move(mirror, far=True),
    "import-move": lambda mirror, repo: _import(mirror, repo, Way(move=True)),
}

if __name__ == "__main__":
    main()
