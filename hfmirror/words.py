"""A repo the way people paste it."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from hfmirror.errors import UnsafePath, UsageError
from hfmirror.model import Kind, RepoId, entry_path

_KINDS = {"datasets": Kind.DATASET, "spaces": Kind.SPACE, "models": Kind.MODEL}
_PAGES = {"tree", "blob", "resolve", "raw", "commit"}


def parse(text: str, revision: str | None) -> tuple[RepoId, str]:
    """A repo and the revision meant: named with it, beside it, or `main`. Raises UsageError."""
    repo, named = parse_repo(text)
    if revision and named and revision != named:
        raise UsageError(f"{text} names a revision, and {revision} is another", "give one of the two")
    return repo, parse_revision(revision or named or "main")


def parse_revision(text: str) -> str:
    """A branch, tag, commit or `refs/…`: never the name of a folder elsewhere. Raises UsageError."""
    try:
        return entry_path(text)
    except UnsafePath as error:
        raise UsageError(f"{text!r} is no revision: {error.why}", "name a branch, a tag or a commit") from None


def parse_repo(text: str) -> tuple[RepoId, str | None]:
    """The repo and, if one was named, the revision. Raises UsageError.

    Takes `owner/name`, `gpt2`, `owner/name@revision`, `datasets/owner/name`, `spaces/…`, `hf://…`,
    and the address of a repo's page, of a revision or of a file in it.
    """
    body = text.strip()
    revision: str | None = None
    if re.match(r"https?://", body):
        return _of_page(body)
    body = body.removeprefix("hf://").strip("/")
    body, at, named = body.partition("@")
    if at:
        revision = unquote(named)
        if not revision:
            raise UsageError(f"{text!r} names no revision after the @", f"write {body} or {body}@main")
    return _repo(body.split("/"), text), revision


def _of_page(address: str) -> tuple[RepoId, str | None]:
    steps = [unquote(step) for step in urlsplit(address).path.strip("/").split("/")]
    lead = 1 if steps[0] in _KINDS else 0
    for at in (lead + 2, lead + 1):
        if len(steps) > at and steps[at] in _PAGES:
            return _repo(steps[:at], address), steps[at + 1] if len(steps) > at + 1 else None
    return _repo(steps[: lead + 2], address), None


def _repo(steps: list[str], text: str) -> RepoId:
    kind = Kind.MODEL
    if len(steps) > 1 and steps[0] in _KINDS:
        kind, steps = _KINDS[steps[0]], steps[1:]
    try:
        return RepoId.of(kind, "/".join(steps))
    except UsageError as error:
        raise UsageError(f"{text!r} does not name a repo", error.hint()) from None
