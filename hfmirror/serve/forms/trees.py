"""A commit's files and folders as `tree`, `paths-info` and `treesize` list them (protocol sections 4.2, 4.3)."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from hfmirror.codec import pointer
from hfmirror.model import Algorithm, Digest, Entry
from hfmirror.serve.forms.text import Row, date_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hfmirror.model import Manifest

T = TypeVar("T")
Security = Callable[[Entry], "Row | None"]  # the Hub's word about a file that somebody looked at

_AFTER_SLASH = "0"  # the character after "/": all of a folder sorts between `folder/` and `folder0`
_LONGEST_CURSOR = 32  # characters


def unscanned(_: Entry) -> Row | None:
    """Nothing is known of any file."""
    return None


def tree(
    manifest: Manifest, path: str, *, recursive: bool = False, expand: bool = False, date: str = ""
) -> list[Row] | None:
    """The rows of a folder, by path, as far as the manifest reaches; None when there is no such folder."""
    found = within(manifest, path, recursive=recursive)
    return None if found is None else rows(manifest, found, expand=expand, date=date)


def within(manifest: Manifest, path: str, *, recursive: bool = False) -> list[Entry | str] | None:
    """The files and (by their paths) the folders inside a folder, by path; None when there is no such folder.

    Cheap beside `rows`, so that only the rows of the page that is sent need to be made.
    """
    start, stop = _range(manifest.entries, path)
    if path and start == stop:
        return None
    inside = manifest.entries[start:stop]
    found = _all(inside, len(path)) if recursive else _children(inside, f"{path}/" if path else "")
    return sorted(found, key=_listed_path)


def rows(
    manifest: Manifest,
    found: Iterable[Entry | str],
    *,
    expand: bool = False,
    date: str = "",
    security: Security = unscanned,
) -> list[Row]:
    """The rows of files and folders.

    `expand` adds the commit, which has a `date` for the clients that read one, and what `security` says of a file.
    """
    stamp = date_of(date) if expand else None  # without one the official client cannot read the commit at all
    last = {"id": manifest.commit, "title": "", "date": stamp} if stamp else None
    made: list[Row] = []
    for one in found:
        row = _folder_row(manifest, one) if isinstance(one, str) else _file_row(one)
        if expand:
            row["lastCommit"] = last
            if not isinstance(one, str):
                row["securityFileStatus"] = security(one)
        made.append(row)
    return made


def paths_info(
    manifest: Manifest,
    paths: Iterable[str],
    *,
    expand: bool = False,
    date: str = "",
    security: Security = unscanned,
) -> list[Row]:
    """The rows of some files and folders; what the commit does not hold is left out."""
    found: list[Entry | str] = []
    for path in dict.fromkeys(paths):
        entry = manifest.get(path)
        if entry is not None:
            found.append(entry)
        elif path and _is_folder(manifest, path):
            found.append(path)
    return rows(manifest, found, expand=expand, date=date, security=security)


def tree_size(manifest: Manifest, path: str) -> Row | None:
    """How many bytes a folder, or a file, holds; None when there is neither."""
    entry = manifest.get(path)
    start, stop = _range(manifest.entries, path)
    inside = (entry,) if entry else manifest.entries[start:stop]
    if path and not inside:
        return None
    return {"path": f"/{path}", "size": sum(one.size for one in inside)}


def page(found: Sequence[T], limit: int | None, cursor: str | None) -> tuple[Sequence[T], str | None]:
    """A page of a listing, and the cursor of the next one. Raises ValueError for a cursor that is none."""
    start = _offset(cursor) if cursor else 0
    stop = len(found) if limit is None else start + limit
    more = stop < len(found)
    return found[start:stop], _cursor(stop) if more else None


def file_facts(entry: Entry) -> tuple[str, int]:
    """The git id of what git holds of a file, and for a large one the size of its pointer; else 0."""
    if entry.digest.algorithm is Algorithm.GIT_SHA1:
        return entry.digest.hex, 0
    text = pointer(entry)
    return Digest.of(Algorithm.GIT_SHA1, text).hex, len(text)


def _file_row(entry: Entry) -> Row:
    oid, pointer_size = file_facts(entry)
    row: Row = {"type": "file", "oid": oid, "size": entry.size}
    if pointer_size:
        row["lfs"] = {"oid": entry.digest.hex, "size": entry.size, "pointerSize": pointer_size}
    row["path"] = entry.path
    return row


def _folder_row(manifest: Manifest, path: str) -> Row:
    """A folder's git id cannot be known without the modes of its files: one made up, the same every time."""
    made_up = hashlib.sha1(f"{manifest.commit}:{path}".encode(), usedforsecurity=False).hexdigest()
    return {"type": "directory", "oid": made_up, "size": 0, "path": path}


def _is_folder(manifest: Manifest, path: str) -> bool:
    start, stop = _range(manifest.entries, path)
    return start < stop


def _range(entries: Sequence[Entry], path: str) -> tuple[int, int]:
    """Where the files of a folder begin and end."""
    if not path:
        return 0, len(entries)
    start = bisect_left(entries, f"{path}/", key=_path)
    return start, bisect_left(entries, path + _AFTER_SLASH, start, key=_path)


def _all(inside: Iterable[Entry], depth: int) -> Iterator[Entry | str]:
    """Everything below a folder whose path is `depth` characters long."""
    seen: set[str] = set()
    for entry in inside:
        yield entry
        folder = entry.path.rpartition("/")[0]
        while len(folder) > depth and folder not in seen:
            seen.add(folder)
            yield folder
            folder = folder.rpartition("/")[0]


def _children(inside: Sequence[Entry], prefix: str) -> Iterator[Entry | str]:
    """What lies directly in a folder; what lies deeper is jumped over."""
    at = 0
    while at < len(inside):
        name, slash, _ = inside[at].path[len(prefix) :].partition("/")
        if slash:
            yield prefix + name
            at = bisect_left(inside, prefix + name + _AFTER_SLASH, at, key=_path)
        else:
            yield inside[at]
            at += 1


def _path(entry: Entry) -> str:
    return entry.path


def _listed_path(one: Entry | str) -> str:
    return one if isinstance(one, str) else one.path


def _cursor(offset: int) -> str:
    return urlsafe_b64encode(b"%d" % offset).decode()


def _offset(cursor: str) -> int:
    try:
        offset = int(urlsafe_b64decode(cursor[:_LONGEST_CURSOR]))
    except ValueError:
        offset = -1
    if offset < 0 or _cursor(offset) != cursor:
        raise ValueError("this is no cursor of a listing here")
    return offset
