"""The Python face: pull a repo, find it, and point this process's Hub clients at it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror import settings
from hfmirror.errors import UsageError
from hfmirror.mirror import Mirror
from hfmirror.words import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfmirror.transfer.events import Watcher

# Modules that read the environment when they are imported: after that, setting a variable changes nothing.
_CLIENTS = ("huggingface_hub", "transformers", "datasets", "diffusers", "sentence_transformers")


def pull(  # noqa: PLR0913 - a choice a keyword, as on the command line
    repo: str,
    revision: str | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    root: str | Path | None = None,
    patience_s: float | None = None,
    sources: Sequence[str | Path] = (),
    limit_rate: str | None = None,
    watch: Watcher | None = None,
) -> Path:
    """Bring a repo here, proven, and say where it is: `from_pretrained` takes the path as it is.

    Args:
        repo: `owner/name`, `datasets/owner/name`, `owner/name@revision`, or the address of a page.
        revision: Branch, tag or commit; default: `main`.
        include: Patterns over whole paths; only files that match one are brought.
        exclude: Patterns over whole paths; no file that matches one is brought.
        root: The store's folder; default: HFMIRROR_HOME, or the platform's folder for data.
        patience_s: Seconds without a single new byte until it gives up; default: 900.
        sources: Addresses and folders that may have the bytes, too; default: HFMIRROR_FROM.
        limit_rate: Bytes a second, as `2M` or `08:00 2M, 19:00 off`; default: HFMIRROR_LIMIT_RATE, or all.
        watch: Hears every event; default: a tqdm bar.

    Raises:
        MirrorError: With what happened and, in `hint()`, what to do next. What came is kept.
    """
    from hfmirror.model import Selection  # noqa: PLC0415 - `enable` does without the fetching side
    from hfmirror.timetable import Timetable  # noqa: PLC0415 - as above
    from hfmirror.transfer.manner import Manner  # noqa: PLC0415 - as above
    from hfmirror.transfer.patience import PATIENCE_S  # noqa: PLC0415 - as above

    identity, wanted = parse(repo, revision)
    limit = None if limit_rate is None else Timetable.parse(limit_rate, "limit_rate")
    given = settings.current(Path(root) if root else None).with_limit(limit)
    mirror = Mirror.open(given.with_sources([str(where) for where in sources], "sources:"))
    manner = Manner(patience_s=PATIENCE_S if patience_s is None else patience_s)
    selection = Selection(tuple(include), tuple(exclude))
    if watch is not None:
        plan = mirror.pull(identity, wanted, selection, manner, watch)
    else:
        from hfmirror.bars import Bar  # noqa: PLC0415 - tqdm, for those who want a bar

        with Bar() as bar:
            plan = mirror.pull(identity, wanted, selection, manner, bar)
    return mirror.view.snapshot(plan.pin.repo, plan.pin.commit)


def path(repo: str, file: str | None = None, revision: str | None = None, *, root: str | Path | None = None) -> Path:
    """Where a pulled repo, or one file of it, lies. Asks no network. Raises NotHere, EntryNotFound."""
    identity, wanted = parse(repo, revision)
    return _mirror(root).path(identity, wanted, file)


def enable(*, root: str | Path | None = None) -> None:
    """Make the Hub clients of this process load from here, offline. Call it before importing them.

    Raises UsageError when one is imported already: it has read its settings and would not listen.
    """
    early = [name for name in _CLIENTS if name in sys.modules]
    if early:
        raise UsageError(
            f"{early[0]} is imported already and has read its settings",
            f"call hfmirror.enable() before `import {early[0]}`, or start the program with `hfmirror run --`",
        )
    os.environ.update(settings.current(Path(root) if root else None).client_variables())


def _mirror(root: str | Path | None) -> Mirror:
    return Mirror.open(settings.current(Path(root) if root else None))
