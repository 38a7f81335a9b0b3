"""A plain folder with a commit's files: the user's own, to be edited without harm to the store.

The record the official client keeps beside such a folder is written too, so that
`hf download --local-dir` finds nothing left to do. Facts: huggingface_hub 2.4.0 `_local_folder.py`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hfmirror.errors import NotHere
from hfmirror.store import files
from hfmirror.store.drafts import Drafts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hfmirror.model import Entry, Pin
    from hfmirror.ports import HasPath


def put(folder: Path, pin: Pin, entries: Iterable[Entry], store: HasPath) -> Path:
    """Copy the entries into `folder` (a reflink where the disk can); files already right are left alone.

    Raises NotHere, DiskFull, StoreError.
    """
    records = folder / ".cache" / "huggingface"
    drafts = Drafts(records)
    drafts.sweep()
    drafts.publish_text(records / ".gitignore", "*", durable=False)
    for entry in entries:
        source = store.path(entry.digest)
        if source is None:
            raise NotHere(f"{entry.path} ({entry.digest})")
        target = folder / entry.path
        record = records / "download" / f"{entry.path}.metadata"
        if not _recorded(target, record, entry):
            files.ensure_folder(target.parent)
            drafts.copy(source, target)
            drafts.publish_text(record, f"{pin.commit}\n{entry.digest.hex}\n{time.time()}\n", durable=False)
    return folder


def _recorded(target: Path, record: Path, entry: Entry) -> bool:
    """Whether the file is there with this content, and was not touched since."""
    lines = (files.read_text(record) or "").splitlines()
    if len(lines) < 3 or lines[1] != entry.digest.hex or not target.is_file():
        return False
    facts = target.stat()
    return facts.st_size == entry.size and facts.st_mtime - 1 <= float(lines[2])
