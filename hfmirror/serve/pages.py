"""Small pages for people who open the mirror in a browser."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from hfmirror.errors import human

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfmirror.model import CommitId, Manifest, RepoId

MOST_ROWS = 2000  # of a page; a browser shows more only slowly


def home(repos: Iterable[RepoId], address: str, prefix: str) -> str:
    """What is here, and how to use it."""
    rows = [f'<li><a href="{prefix}/{escape(str(repo))}">{escape(str(repo))}</a></li>' for repo in repos]
    use = f"<p>Set <code>HF_ENDPOINT={escape(address)}</code>, and every Hub client asks here.</p>"
    return _page("hfmirror", f"{use}<ul>{''.join(rows[:MOST_ROWS])}</ul>")


def repo(manifest: Manifest, repo: RepoId, revision: str, commit: CommitId, prefix: str) -> str:
    """The files of a commit."""
    base = f"{prefix}/{repo}/resolve/{quote(revision, safe='')}"
    rows = [
        f'<li><a href="{escape(f"{base}/{quote(entry.path)}")}">{escape(entry.path)}</a> {human(entry.size)}</li>'
        for entry in manifest.entries[:MOST_ROWS]
    ]
    return _page(str(repo), f"<p>{escape(revision)}: {commit}</p><ul>{''.join(rows)}</ul>")


def _page(title: str, body: str) -> str:
    name = escape(title)
    head = f'<head><meta charset="utf-8"><title>{name}</title></head>'
    return f"<!doctype html><html>{head}<body><h1>{name}</h1>{body}</body></html>"
