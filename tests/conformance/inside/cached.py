"""What huggingface_hub, of whatever version, makes of a cache folder. Works from 0.23 to 2.x.

usage: cached.py WISHES   where WISHES is a JSON list of objects, answered in order:
  {"act": "files", "repo", "kind", "revision", "paths": [...], "absent": [...]}
  {"act": "snapshot", "repo", "kind", "revision", "patterns": [...] or null}
  {"act": "fetch", "repo", "kind", "revision", "path"}     # once more, whatever the cache holds
  {"act": "scan"}
  {"act": "delete", "commits": [...]}
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


def digest(path: str | Path) -> str:
    """A file's sha256, read through whatever links lead to it."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def files(wish: dict[str, Any]) -> dict[str, Any]:
    """Each path by hf_hub_download and by try_to_load_from_cache."""
    asked = {"repo_type": wish["kind"], "revision": wish["revision"]}
    loaded: dict[str, str] = {}
    found: dict[str, str | None] = {}
    for path in wish["paths"]:
        loaded[path] = digest(hub.hf_hub_download(wish["repo"], path, **asked))
        tried = hub.try_to_load_from_cache(wish["repo"], path, **asked)
        found[path] = digest(tried) if isinstance(tried, str) else None
    absent = {path: _failure(hub.hf_hub_download, wish["repo"], path, **asked) for path in wish.get("absent", [])}
    return {"loaded": loaded, "found": found, "absent": absent}


def snapshot(wish: dict[str, Any]) -> dict[str, Any]:
    """The files under the folder that snapshot_download gives, or the name of its failure."""
    asked = {"repo_type": wish["kind"], "revision": wish["revision"], "allow_patterns": wish.get("patterns")}
    try:
        folder = Path(hub.snapshot_download(wish["repo"], **asked))
    except Exception as failure:  # noqa: BLE001  # which one it is, is the answer
        return {"failure": type(failure).__name__, "says": str(failure)}
    inside = {p.relative_to(folder).as_posix(): digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    return {"folder": str(folder), "commit": folder.name, "files": inside}


def fetch(wish: dict[str, Any]) -> dict[str, Any]:
    """Download a file although the cache has it."""
    asked = {"repo_type": wish["kind"], "revision": wish["revision"]}
    return {"sha256": digest(hub.hf_hub_download(wish["repo"], wish["path"], force_download=True, **asked))}


def scan(_: dict[str, Any]) -> dict[str, Any]:
    """What scan_cache_dir sees and complains about."""
    seen = hub.scan_cache_dir(CACHE)
    repos = {
        f"{repo.repo_type}:{repo.repo_id}": {
            "files": repo.nb_files,
            "size": repo.size_on_disk,
            "refs": {name: at.commit_hash for name, at in repo.refs.items()},
            "commits": sorted(at.commit_hash for at in repo.revisions),
        }
        for repo in seen.repos
    }
    return {"warnings": [str(warning) for warning in seen.warnings], "repos": repos}


def delete(wish: dict[str, Any]) -> dict[str, Any]:
    """Delete revisions the way `hf cache rm` does."""
    strategy = hub.scan_cache_dir(CACHE).delete_revisions(*wish["commits"])
    strategy.execute()
    left = scan(wish)
    return {"freed": strategy.expected_freed_size, **left}


def _failure(ask: Any, *words: Any, **options: Any) -> str:
    try:
        ask(*words, **options)
    except Exception as failure:  # noqa: BLE001  # which one it is, is the answer
        return type(failure).__name__
    return ""


if __name__ == "__main__":
    acts = {"files": files, "snapshot": snapshot, "fetch": fetch, "scan": scan, "delete": delete}
    answers = [acts[wish["act"]](wish) for wish in json.loads(sys.argv[1])]
    print(json.dumps({"version": hub.__version__, "answers": answers}))
