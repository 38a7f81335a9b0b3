"""Let huggingface_hub, of whatever version, write a cache or a folder. Works from 0.23 to 2.x.

usage: filling.py WISHES   where WISHES is a JSON list of {"repo", "kind", "revision", "local_dir" or null, "share"}

With "share" the large blobs go where the client itself puts what came by Xet: into the shelf that all
repos of a cache share. There is no Xet server here, so only the hashes in its names are made up.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import huggingface_hub as hub

CACHE = Path(os.environ["HF_HUB_CACHE"])


def fill(wish: dict[str, Any]) -> str:
    """Download all of a repo at a revision; where it lies."""
    asked = {"repo_type": wish["kind"], "revision": wish["revision"]}
    if wish.get("local_dir"):
        asked["local_dir"] = wish["local_dir"]
    folder = hub.snapshot_download(wish["repo"], **asked)
    if wish.get("share"):
        share(Path(folder).parent.parent / "blobs")
    return str(folder)


def share(blobs: Path) -> None:
    """Publish large blobs to the cache's shared shelf, with the client's own code."""
    from huggingface_hub.utils._shared_blobs import publish_blob_to_shared_store

    for blob in sorted(blobs.iterdir()):
        if len(blob.name) == 64 and not blob.is_symlink():
            xet_hash = hashlib.sha256(b"xet of " + blob.name.encode()).hexdigest()
            size = blob.stat().st_size
            assert publish_blob_to_shared_store(
                blob_path=str(blob), xet_hash=xet_hash, cache_dir=CACHE, expected_size=size
            ), blob
            assert blob.is_symlink(), blob


if __name__ == "__main__":
    folders = [fill(wish) for wish in json.loads(sys.argv[1])]
    print(json.dumps({"version": hub.__version__, "folders": folders}))
