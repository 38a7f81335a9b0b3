"""The objects of the Hub's JSON: repos, files, folders, refs, commits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hfmirror.model import Kind

if TYPE_CHECKING:
    from tests.simulator.repos import Commit, Repo, Row, Stored


def info_row(repo: Repo, commit: Commit, *, blobs: bool) -> Row:
    """What `/api/models/{repo}` and its revisions answer."""
    name = repo.id.name
    row: Row = {
        "_id": "0" * 24,
        "id": name,
        "author": name.partition("/")[0] if "/" in name else None,
        "sha": commit.id,
        "lastModified": commit.date,
        "createdAt": "2024-01-01T00:00:00.000Z",
        "private": repo.access.private,
        "gated": repo.access.gated,
        "disabled": repo.access.disabled,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "usedStorage": sum(stored.content.size for stored in commit.files.values()),
        "siblings": [_sibling(stored, blobs=blobs) for _, stored in sorted(commit.files.items())],
    }
    if repo.id.kind is Kind.MODEL:
        row |= {"modelId": name, "config": _config(commit)}
    if repo.id.kind is Kind.SPACE:
        row |= {
            "sdk": "static",
            "runtime": {"stage": "RUNNING", "hardware": {"current": None, "requested": None}},
        }
    return row


def _config(commit: Commit) -> Row:
    """The part of config.json that the Hub repeats."""
    stored = commit.files.get("config.json")
    if stored is None or stored.large:
        return {}
    try:
        whole: Any = json.loads(b"".join(stored.content.read(0, stored.content.size)))
    except ValueError:
        return {}
    return {k: v for k, v in whole.items() if k in {"architectures", "model_type"}} if isinstance(whole, dict) else {}


def _sibling(stored: Stored, *, blobs: bool) -> Row:
    row: Row = {"rfilename": stored.path}
    if blobs:
        row |= {"size": stored.content.size, "blobId": stored.oid}
        if stored.large:
            row["lfs"] = {
                "sha256": stored.digest.hex,
                "size": stored.content.size,
                "pointerSize": len(stored.pointer),
            }
    return row


def tree_row(commit: Commit, path: str, *, expand: bool, xet: bool) -> Row:
    """A file or folder, as `tree` and `paths-info` list it."""
    stored = commit.files.get(path)
    if stored is None:
        row: Row = {"type": "directory", "oid": commit.folders[path], "size": 0, "path": path}
    else:
        row = {"type": "file", "oid": stored.oid, "size": stored.content.size, "path": path}
        if stored.large:
            row["lfs"] = {
                "oid": stored.digest.hex,
                "size": stored.content.size,
                "pointerSize": len(stored.pointer),
            }
            if xet:
                row["xetHash"] = stored.xet_hash
    if expand:
        row["lastCommit"] = {"id": commit.id, "title": commit.title, "date": commit.date}
        if stored is not None:
            row["securityFileStatus"] = {"status": "safe"}
    return row


def refs_row(repo: Repo, *, with_pulls: bool) -> Row:
    """All refs of a repo."""

    def under(prefix: str) -> list[Row]:
        named = repo.named(prefix)
        return [{"name": name, "ref": f"{prefix}{name}", "targetCommit": commit} for name, commit in named]

    row: Row = {
        "branches": under("refs/heads/"),
        "converts": under("refs/convert/"),
        "tags": under("refs/tags/"),
    }
    if with_pulls:
        row["pullRequests"] = under("refs/pr/")
    return row


def commit_row(commit: Commit) -> Row:
    """One entry of a repo's history."""
    return {
        "id": commit.id,
        "title": commit.title,
        "message": "",
        "date": commit.date,
        "authors": [{"user": "somebody"}],
        "formatted": {"title": commit.title, "message": ""},
    }
