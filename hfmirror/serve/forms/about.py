"""A repo's description: what the Hub said of it, made safe to say again, with what is known here put in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hfmirror.errors import UnsafePath, UsageError
from hfmirror.model import Kind, RepoId, entry_path
from hfmirror.serve.forms.text import Row, date_of, plain
from hfmirror.serve.forms.trees import file_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hfmirror.model import Entry

# Fields that clients take apart without looking (huggingface_hub 2.4.0, `hf_api.py`), and what they must be.
_SHAPES: Final[Mapping[str, type]] = {
    "author": str,
    "cardData": dict,
    "config": dict,
    "description": str,
    "evalResults": list,
    "inferenceProviderMapping": dict,
    "library_name": str,
    "pipeline_tag": str,
    "runtime": dict,
    "safetensors": dict,
    "spaces": list,
    "transformersInfo": dict,
}
_DATES: Final = ("lastModified", "createdAt")

# What a row of a list of repos says.
# fmt: off
_LISTED: Final = (
    "_id", "id", "modelId", "author", "sha", "lastModified", "createdAt", "private", "gated", "disabled",
    "downloads", "likes", "trendingScore", "tags", "pipeline_tag", "library_name", "sdk", "description",
)
# fmt: on


def repo_info(
    repo: RepoId, commit: str, about: Mapping[str, Any], entries: Iterable[Entry] | None, *, blobs: bool = False
) -> Row:
    """What `/api/models/<repo>` and its revisions answer (protocol section 4.1).

    `about` is the Hub's own description of the commit, as stored. Without `entries`, for a commit that
    is not listed yet, the Hub's own list of files is passed on; when that is not known either, there is
    no `siblings` at all: an old client takes an empty list for an empty repo.
    """
    document = _described(repo, commit, about)
    if entries is not None:
        document["siblings"] = [_sibling(entry, blobs=blobs) for entry in entries]
    elif isinstance(about.get("siblings"), list):
        document["siblings"] = [{"rfilename": row["rfilename"]} for row in about["siblings"] if _sound(row)]
    return document


def listed(repo: RepoId, commit: str, about: Mapping[str, Any]) -> Row:
    """The same as a row of a list of repos."""
    document = _described(repo, commit, about)
    return {name: document[name] for name in _LISTED if name in document}


def last_modified(about: Mapping[str, Any]) -> str:
    """The date of the commit a description is about, as far as it is known; else an empty string."""
    return next(filter(None, (date_of(about.get(name)) for name in _DATES)), "")


def _described(repo: RepoId, commit: str, about: Mapping[str, Any]) -> Row:
    told: Row = plain({name: value for name, value in about.items() if name != "siblings"})
    told = {name: value for name, value in told.items() if _fits(name, value)}
    for name in _DATES:
        if name in told:
            told[name] = date_of(told[name])
    name = _known_as(repo, about)
    return told | {
        "id": name,
        **({"modelId": name} if repo.kind is Kind.MODEL else {}),
        "author": told.get("author") or name.rpartition("/")[0] or None,
        "sha": commit,
        "private": about.get("private") is True,
        "gated": _gated(about.get("gated")),
        "disabled": about.get("disabled") is True,
        "downloads": _count(about.get("downloads")),
        "likes": _count(about.get("likes")),
        "tags": _texts(about.get("tags")),
    }


def _fits(name: str, value: object) -> bool:
    if name in _DATES:
        return date_of(value) is not None
    return name not in _SHAPES or value is None or isinstance(value, _SHAPES[name])


def _known_as(repo: RepoId, about: Mapping[str, Any]) -> str:
    """The repo's full name: the Hub says `openai-community/gpt2` where somebody asked for `gpt2`."""
    told = about.get("id")
    try:
        return RepoId.of(repo.kind, told).name if isinstance(told, str) else repo.name
    except UsageError:
        return repo.name


def _gated(told: object) -> str | bool:
    if told in ("auto", "manual"):
        return str(told)
    return "manual" if told else False


def _count(told: object) -> int:
    return told if isinstance(told, int) and not isinstance(told, bool) else 0


def _texts(told: object) -> list[str]:
    return [text for text in told if isinstance(text, str)] if isinstance(told, list) else []


def _sound(row: object) -> bool:
    try:
        return isinstance(row, dict) and entry_path(row["rfilename"]) != ""
    except (KeyError, TypeError, UnsafePath):
        return False


def _sibling(entry: Entry, *, blobs: bool) -> Row:
    row: Row = {"rfilename": entry.path}
    if blobs:
        oid, pointer_size = file_facts(entry)
        row |= {"size": entry.size, "blobId": oid}
        if pointer_size:  # `sha256` here, `oid` in a tree: the clients insist
            row["lfs"] = {"sha256": entry.digest.hex, "size": entry.size, "pointerSize": pointer_size}
    return row
