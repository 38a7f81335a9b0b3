"""The written forms: the store's JSON files and the path grammar of the official cache.

Boring on purpose: JSON, sorted, indented, one trailing newline, a `format` number. Unknown fields
are ignored on read and kept on rewrite; an unknown number is refused with the version needed.
Nothing here touches a disk.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote

from hfmirror.errors import BadManifest, StoreError, StoreTooNew
from hfmirror.model import (
    LOCAL,
    Algorithm,
    CommitId,
    Digest,
    Entry,
    Kind,
    Manifest,
    Pin,
    Reach,
    RepoId,
    Selection,
    byte_count,
    commit_id,
    entry_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 1
NEEDS = "0.1.0"  # the first hfmirror that understands this format: what an earlier one tells people to get
Document = dict[str, Any]


def dump(document: Document) -> str:
    """A document as text: the same bytes for the same content; a list has a line for each of its rows."""
    fields = [f"{_compact(key)}: {_value(document[key])}" for key in sorted(document)]
    text = "{\n" + ",\n".join(fields) + "\n}\n"
    return _LONE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)


_LONE = re.compile("[\\ud800-\\udfff]")  # half a character: legal in JSON as an escape, but not in UTF-8


def _value(value: object) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(map(_compact, value)) + "\n]"
    return _compact(value)


_compact = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


def load(text: str, where: str) -> Document:
    """A document of a known format. Raises BadManifest, StoreTooNew."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadManifest(where, f"is not JSON ({error})") from None
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise BadManifest(where, "has no format number")
    if document["format"] > FORMAT:
        raise StoreTooNew(where, document["format"])
    return document


def store_text(identity: str) -> str:
    """The file `format.json`, by which a folder is known to be a store."""
    return dump({"format": "hfmirror", "version": FORMAT, "needs": NEEDS, "id": identity})


def check_store(text: str, where: str) -> int:
    """The version of a store's `format.json`, no later than `FORMAT`. Raises StoreTooNew, StoreError."""
    try:
        document = document_of(text, where)
    except BadManifest as error:
        raise StoreError(where, error.why) from None
    version = document.get("version")
    if document.get("format") != "hfmirror" or not isinstance(version, int):
        raise StoreError(where, "this folder belongs to something else; choose another with --root or HFMIRROR_HOME")
    if version > FORMAT:
        needs = str(document.get("needs", ""))
        raise StoreTooNew(where, version, needs if _RELEASE.fullmatch(needs) else "")
    return version


_RELEASE = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}")


def repo_text(repo: RepoId) -> str:
    """`model:owner/name`."""
    return f"{repo.kind.value}:{repo.name}"


def repo_of(text: str) -> RepoId:
    """The inverse of `repo_text`."""
    kind, _, name = text.partition(":")
    return RepoId(Kind(kind), name)


def manifest_text(manifest: Manifest) -> str:
    """The file `manifests/<repo>/<commit>.json`."""
    document: Document = {
        "format": FORMAT,
        "repo": repo_text(manifest.repo),
        "commit": manifest.commit,
        "origin": manifest.origin,
        "entries": [
            {"path": entry.path, "size": entry.size, "digest": str(entry.digest)} for entry in manifest.entries
        ],
    }
    if not manifest.reach.everything:
        document["reach"] = {"folders": list(manifest.reach.folders), "paths": list(manifest.reach.paths)}
    return dump(document)


def own_commit(repo: RepoId, entries: Iterable[Entry]) -> CommitId:
    """The commit of a repo that no authority knows: the SHA-1 of its listing, which has all but the commit itself."""
    from hashlib import sha1  # noqa: PLC0415 - 3 ms, for those who make a commit of their own

    rows = [{"path": entry.path, "size": entry.size, "digest": str(entry.digest)} for entry in sorted(entries)]
    text = dump({"format": FORMAT, "repo": repo_text(repo), "origin": LOCAL, "entries": rows})
    return commit_id(sha1(text.encode(), usedforsecurity=False).hexdigest())


def manifest_of(text: str, where: str) -> Manifest:
    """The inverse of `manifest_text`. Raises BadManifest, UnsafePath, StoreTooNew."""
    document = load(text, where)
    try:
        entries = [
            Entry(entry_path(row["path"]), byte_count(row["size"]), Digest.parse(row["digest"]))
            for row in document["entries"]
        ]
        reach = document.get("reach")
        return Manifest.of(
            repo_of(document["repo"]),
            commit_id(document["commit"]),
            entries,
            Reach() if reach is None else Reach(tuple(reach["folders"]), tuple(reach["paths"])),
            document["origin"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadManifest(where, f"lacks or garbles {error}") from None


def with_pin(document: Document | None, pin: Pin, now: str) -> Document:
    """A pins file with `pin` in it, whatever else it held before."""
    document = dict(document or {"format": FORMAT, "repo": repo_text(pin.repo), "commit": pin.commit, "asked": []})
    document["used"] = now
    if pin.demand:
        document["demand"] = {"revision": pin.revision}
        return document
    wish = {
        "revision": pin.revision,
        "include": list(pin.selection.include),
        "exclude": list(pin.selection.exclude),
    }
    if not any(_same_wish(old, wish) for old in document["asked"]):
        document["asked"] = [*document["asked"], wish]
    return document


def _same_wish(old: Document, new: Document) -> bool:
    return all(old.get(key) == value for key, value in new.items())


def pins_of(document: Document, where: str) -> list[Pin]:
    """The pins a pins file holds, in the order they were asked for."""
    try:
        repo, commit = repo_of(document["repo"]), commit_id(document["commit"])
        pins = [
            Pin(repo, commit, wish["revision"], Selection(tuple(wish["include"]), tuple(wish["exclude"])))
            for wish in document["asked"]
        ]
        demand = document.get("demand")
        return pins if demand is None else [*pins, Pin(repo, commit, demand["revision"], demand=True)]
    except (KeyError, TypeError, ValueError) as error:
        raise BadManifest(where, f"lacks or garbles {error}") from None


def without_wishes(document: Document) -> Document:
    """A pins file with nothing asked for; a demand stays."""
    return {**document, "asked": []}


def without_demand(document: Document) -> Document:
    """A pins file with no demand in it; wishes stay."""
    return {key: value for key, value in document.items() if key != "demand"}


def ref_text(commit: CommitId, checked_at: str, authority: str) -> str:
    """The file `refs/<repo>/<revision>.json`."""
    return dump({"format": FORMAT, "commit": commit, "checked_at": checked_at, "authority": authority})


def ref_of(text: str, where: str) -> CommitId:
    """The commit a ref file names."""
    return commit_id(str(load(text, where).get("commit")))


def standing_text(repo: RepoId, *, public: bool) -> str:
    """The file `access/repos/<repo>.json`."""
    return dump({"format": FORMAT, "repo": repo_text(repo), "public": public})


def public_of(text: str, where: str) -> bool:
    """The inverse of `standing_text`; only a plain yes is one."""
    return load(text, where).get("public") is True


def file_name(revision: str) -> str:
    """A revision as one file name that every system takes: `refs/pr/1` is `refs%2Fpr%2F1`."""
    return quote(revision, safe="")


def revision_of(name: str) -> str:
    """The inverse of `file_name`."""
    return unquote(name)


def pointer_oid(entry: Entry) -> str:
    """The git id the Hub shows for a file: of its LFS pointer when it is a large one."""
    if entry.digest.algorithm is Algorithm.GIT_SHA1:
        return entry.digest.hex
    return Digest.of(Algorithm.GIT_SHA1, pointer(entry)).hex


def pointer(entry: Entry) -> bytes:
    """The LFS pointer that stands in git for a large file (git-lfs specification, version 1)."""
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{entry.digest.hex}\nsize {entry.size}\n"
    return text.encode()


def tree_cache_text(manifest: Manifest) -> str:
    """The official cache's `trees/<commit>.json`, by which it knows an incomplete snapshot."""
    files: Document = {}
    for entry in manifest.entries:
        row: Document = {"size": entry.size, "blob_id": pointer_oid(entry)}
        if entry.digest.algorithm is Algorithm.SHA256:
            row |= {"lfs_sha256": entry.digest.hex, "lfs_size": entry.size}
        files[entry.path] = row
    return json.dumps({"format_version": 1, "files": files}, ensure_ascii=False)


def document_of(text: str, where: str) -> Document:
    """Any JSON object. Raises BadManifest."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadManifest(where, f"is not JSON ({error})") from None
    if not isinstance(document, dict):
        raise BadManifest(where, "is not a JSON object")
    return cast("Document", document)
