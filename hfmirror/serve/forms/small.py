"""The short answers: refs, history, and what is asked about the mirror itself (protocol sections 4.4, 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfmirror.model import is_commit
from hfmirror.serve.forms.about import last_modified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hfmirror.serve.forms.text import Row

_SHORTEST_HASH = 5  # digits; the least by which clients name a commit
_BEGINNING = "1970-01-01T00:00:00.000Z"  # where a client insists on a date and none is known


def refs(
    branches: Mapping[str, str], *, tags: Mapping[str, str] | None = None, include_prs: bool = False
) -> dict[str, list[Row]]:
    """All refs, from the names people use to commits; `refs/convert/x` and `refs/pr/N` find their own lists.

    Names that are commits themselves are no refs and left out.
    """
    named = {name: commit for name, commit in branches.items() if not _is_hash(name, commit)}
    plain = {name: commit for name, commit in named.items() if not name.startswith("refs/")}
    document = {
        "branches": _refs(plain, "refs/heads/"),
        "converts": _refs(_under(named, "refs/convert/"), "refs/convert/"),
        "tags": _refs(tags or {}, "refs/tags/"),
    }
    if include_prs:
        document["pullRequests"] = _refs(_under(named, "refs/pr/"), "refs/pr/")
    return document


def _is_hash(name: str, commit: str) -> bool:
    return is_commit(name) or (len(name) >= _SHORTEST_HASH and commit.startswith(name))


def _under(named: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): commit for name, commit in named.items() if name.startswith(prefix)}


def _refs(named: Mapping[str, str], prefix: str) -> list[Row]:
    return [{"name": name, "ref": prefix + name, "targetCommit": commit} for name, commit in sorted(named.items())]


def commits(commit: str, about: Mapping[str, Any]) -> list[Row]:
    """A history of one commit: what came before it is not known here."""
    author = about.get("author")
    return [
        {
            "id": commit,
            "title": "",
            "message": "",
            "date": last_modified(about) or _BEGINNING,
            "authors": [{"user": author}] if isinstance(author, str) else [],
            "formatted": {"title": "", "message": ""},
        }
    ]


def whoami(name: str) -> Row:
    """Whose token it is: somebody of this mirror, who may read."""
    return {
        "type": "user",
        "id": name,
        "name": name,
        "fullname": name,
        "email": None,
        "emailVerified": True,
        "canPay": False,
        "isPro": False,
        "orgs": [],
        "auth": {
            "type": "access_token",
            "accessToken": {"displayName": name, "role": "read", "createdAt": _BEGINNING},
        },
    }


def harnesses() -> Row:
    """No programs to look out for."""
    return {"standardEnvVars": [], "harnesses": {}}


def validate_yaml() -> Row:
    """No complaints: the client reads this before it looks at the status."""
    return {"errors": [], "warnings": []}
