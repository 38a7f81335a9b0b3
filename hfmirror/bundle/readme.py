"""READ-ME-FIRST.txt: for whoever finds the stick, in English and Chinese."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.bundle.inventory import objects_of
from hfmirror.errors import MirrorError, human
from hfmirror.store.disk import DiskStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfmirror.model import Digest, Pin

_ENGLISH = """\
This folder is a bundle made by hfmirror: models and data sets of a Hugging Face Hub,
to be carried to a machine without a network. Copy the whole folder; rename nothing in it.

It holds:

{contents}

To check it (needs Python 3.6 or newer, and nothing else):

    python verify.py

To load it on a machine with hfmirror:

    hfmirror import THIS-FOLDER

To load it on a machine without hfmirror, in the official cache (then set HF_HUB_OFFLINE=1):

    python verify.py --to-hf-cache CACHE-FOLDER

CACHE-FOLDER is most often ~/.cache/huggingface/hub.
"""

_CHINESE = """\
本文件夹是 hfmirror 制作的离线包，内含 Hugging Face Hub 上的模型和数据集，用于带到没有网络的机器上。
请复制整个文件夹，不要改动其中的文件名。

内容：

{contents}

检查是否完好（只需要 Python 3.6 或更新版本）：

    python verify.py

在装有 hfmirror 的机器上导入：

    hfmirror import 本文件夹

在没有 hfmirror 的机器上，放入官方缓存（之后设置 HF_HUB_OFFLINE=1）：

    python verify.py --to-hf-cache 缓存文件夹

缓存文件夹通常是 ~/.cache/huggingface/hub。
"""


def text(folder: Path) -> str:
    """What the file says of the bundle in `folder`. For Notepad's sake lines end as on Windows, after a mark."""
    here = objects_of(folder)
    contents = "\n".join(_contents(DiskStore(folder), here)) or "    -"
    said = _ENGLISH.format(contents=contents) + "\n" + _CHINESE.format(contents=contents)
    return "\ufeff" + said.replace("\n", "\r\n")


def _contents(store: DiskStore, here: dict[Digest, int | None]) -> Iterator[str]:
    for pin in store.pins():
        try:
            yield f"    {_line(store, pin, here)}"
        except MirrorError:
            continue  # a listing that cannot be read is for `verify.py` to complain about


def _line(store: DiskStore, pin: Pin, here: dict[Digest, int | None]) -> str:
    listing = store.manifest(pin.repo, pin.commit, None if pin.demand else pin.selection)
    meant = list(listing.entries if pin.demand else pin.selection.of(listing))
    held = [entry for entry in meant if entry.digest in here]
    counted = f"{len(held)}" if len(held) == len(meant) or pin.demand else f"{len(held)}/{len(meant)}"
    return f"{pin.repo} @ {pin.revision} ({pin.commit[:12]}): {counted} files, {human(sum(e.size for e in held))}"
