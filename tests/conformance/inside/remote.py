"""What huggingface_hub, of whatever version, gets from HF_ENDPOINT. Works from 0.23 to 2.x.

usage: remote.py WISHES   where WISHES is the path of a JSON list of objects, answered in order:
  {"act": "files", "repo", "kind", "revision", "paths": [...]}
  {"act": "absent", "repo", "kind", "revision", "path"}    # which error, and whether it is remembered
  {"act": "snapshot", "repo", "kind", "revision", "patterns": [...] or null}
  {"act": "tree" | "info" | "refs" | "commits", "repo", "kind", "revision"}
  {"act": "paths", "repo", "kind", "revision", "paths": [...]}
  {"act": "metadata", "repo", "kind", "revision", "path"}  # of one file, by HEAD
  {"act": "tensors", "repo"}                               # of its safetensors, by ranges
  {"act": "exist", "repo", "path", "revision"}
  {"act": "search", "kind", "options": {...}}
  {"act": "filesystem", "repo", "pattern", "path", "spans": [[start, stop], ...]}
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import huggingface_hub as hub
from huggingface_hub import HfApi, HfFileSystem

api: Any = HfApi()  # of any version


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def where(wish: dict[str, Any]) -> dict[str, Any]:
    return {"repo_type": wish.get("kind", "model"), "revision": wish.get("revision", "main")}


def files(wish: dict[str, Any]) -> dict[str, Any]:
    """Each path by hf_hub_download, and the commits that it was put under."""
    found, commits = {}, set()
    for path in wish["paths"]:
        place = Path(hub.hf_hub_download(wish["repo"], path, **where(wish)))
        found[path] = digest(place.read_bytes())
        commits.add(place.parents[path.count("/")].name)
    return {"files": found, "commits": sorted(commits)}


def absent(wish: dict[str, Any]) -> dict[str, Any]:
    """Which error a download ends with, and whether the absence is remembered."""
    names = failure(hub.hf_hub_download, wish["repo"], wish["path"], **where(wish))
    cached = hub.try_to_load_from_cache(wish["repo"], wish["path"], **where(wish))
    return {"error": names, "remembered": cached is hub._CACHED_NO_EXIST}


def snapshot(wish: dict[str, Any]) -> dict[str, Any]:
    """The files under the folder that snapshot_download gives."""
    folder = Path(hub.snapshot_download(wish["repo"], allow_patterns=wish.get("patterns"), **where(wish)))
    inside = {p.relative_to(folder).as_posix(): digest(p.read_bytes()) for p in folder.rglob("*") if p.is_file()}
    return {"commit": folder.name, "files": inside}


def row(entry: Any) -> list[Any]:
    """Size, git id and sha256 of a file."""
    return [entry.size, entry.blob_id, entry.lfs["sha256"] if entry.lfs else None]


def tree(wish: dict[str, Any]) -> dict[str, Any]:
    """The recursive listing, and the same by list_repo_files."""
    entries = list(api.list_repo_tree(wish["repo"], recursive=True, **where(wish)))
    folders = sorted(entry.path for entry in entries if not hasattr(entry, "blob_id"))
    named = sorted(api.list_repo_files(wish["repo"], **where(wish)))
    return {"files": {e.path: row(e) for e in entries if hasattr(e, "blob_id")}, "folders": folders, "named": named}


def paths(wish: dict[str, Any]) -> dict[str, Any]:
    """Some of it, by get_paths_info."""
    entries = api.get_paths_info(wish["repo"], wish["paths"], **where(wish))
    return {entry.path: row(entry) if hasattr(entry, "blob_id") else "folder" for entry in entries}


def info(wish: dict[str, Any]) -> dict[str, Any]:
    """What the Hub says about a repo, with its files."""
    said = api.repo_info(wish["repo"], files_metadata=True, **where(wish))
    siblings = {one.rfilename: [one.size, one.blob_id, one.lfs["sha256"] if one.lfs else None] for one in said.siblings}
    return {"id": said.id, "sha": said.sha, "siblings": siblings}


def refs(wish: dict[str, Any]) -> dict[str, Any]:
    """Branches, tags and pull requests with their commits."""
    said = api.list_repo_refs(wish["repo"], repo_type=wish.get("kind", "model"), include_pull_requests=True)
    kinds = {"branches": said.branches, "tags": said.tags, "pulls": said.pull_requests or []}
    return {kind: {one.ref: one.target_commit for one in some} for kind, some in kinds.items()}


def commits(wish: dict[str, Any]) -> list[str]:
    """The history, newest first."""
    return [one.commit_id for one in api.list_repo_commits(wish["repo"], **where(wish))]


def metadata(wish: dict[str, Any]) -> dict[str, Any]:
    """What a HEAD tells of a file."""
    said = hub.get_hf_file_metadata(hub.hf_hub_url(wish["repo"], wish["path"], **where(wish)))
    return {"etag": said.etag, "size": said.size, "commit": said.commit_hash}


def tensors(wish: dict[str, Any]) -> dict[str, Any]:
    """The headers of its safetensors files, read by ranges."""
    said = api.get_safetensors_metadata(wish["repo"])
    return {"sharded": said.sharded, "count": sum(said.parameter_count.values()), "tensors": len(said.weight_map)}


def exist(wish: dict[str, Any]) -> dict[str, Any]:
    """The three questions."""
    return {
        "file": api.file_exists(wish["repo"], wish["path"]),
        "no file": api.file_exists(wish["repo"], "no.txt"),
        "repo": api.repo_exists(wish["repo"]),
        "revision": api.revision_exists(wish["repo"], wish["revision"]),
    }


def search(wish: dict[str, Any]) -> list[str]:
    """The names that a listing gives."""
    ask: Any = {"model": api.list_models, "dataset": api.list_datasets, "space": api.list_spaces}[wish["kind"]]
    return sorted(one.id for one in ask(**wish["options"]))


def filesystem(wish: dict[str, Any]) -> dict[str, Any]:
    """ls, glob, and pieces of a file."""
    system: Any = HfFileSystem()
    repo = wish["repo"]
    with system.open(f"{repo}/{wish['path']}", "rb", block_size=2**16) as file:
        pieces = [digest(file.read(stop - start)) for start, stop in wish["spans"] if file.seek(start) == start]
    return {
        "ls": sorted(path.removeprefix(f"{repo}/") for path in system.ls(repo, detail=False)),
        "glob": sorted(path.removeprefix(f"{repo}/") for path in system.glob(f"{repo}/{wish['pattern']}")),
        "size": system.info(f"{repo}/{wish['path']}")["size"],
        "pieces": pieces,
    }


def failure(ask: Any, *words: Any, **options: Any) -> list[str]:
    """The names of an error's class and of those above it."""
    try:
        ask(*words, **options)
    except Exception as error:  # noqa: BLE001  # which one it is, is the answer
        return [kind.__name__ for kind in type(error).__mro__]
    return []


ACTS = [files, absent, snapshot, tree, paths, info, refs, commits, metadata, tensors, exist, search, filesystem]

if __name__ == "__main__":
    acts = {act.__name__: act for act in ACTS}
    answers = []
    for wish in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        try:
            answers.append(acts[wish["act"]](wish))
        except Exception as error:  # noqa: BLE001  # one act that fails does not hide the others
            kinds = [kind.__name__ for kind in type(error).__mro__]
            answers.append({"error": kinds, "says": str(error)})
    print(json.dumps({"version": hub.__version__, "answers": answers}))
