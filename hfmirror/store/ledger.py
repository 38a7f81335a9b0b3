"""Who may read what: the mirror's own tokens, and whom the authority has admitted where.

Nothing here can be turned back into a token: the mirror's own ones are long and random and kept as
plain hashes; other people's are kept as hashes keyed with a secret of this store.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import string
from dataclasses import dataclass
from secrets import choice, token_hex
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import NotHere, UsageError
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hfmirror.model import RepoId
    from hfmirror.store.drafts import Drafts
    from hfmirror.store.layout import Layout

# `hf_` and 34 letters or digits: what llama.cpp and the JavaScript clients take for a token (200 bits).
PREFIX, LENGTH = "hf_", 34
ANY = "*"  # among a token's repos: all of them
_PRIVATE = 0o600  # nobody else on the machine reads these files


@dataclass(frozen=True, slots=True)
class Grant:
    """One token of the mirror's own: whose it is, and which closed repos it opens."""

    name: str
    hashed: str
    repos: tuple[str, ...]  # as people write them; `*` for every one
    made_at: str

    def opens(self, repo: RepoId) -> bool:
        """Whether its bearer may read a repo that is not public."""
        return ANY in self.repos or str(repo) in self.repos


class Ledger:
    """The files under `access/`. Used by one thread at a time."""

    def __init__(self, layout: Layout, drafts: Drafts) -> None:
        self._drafts = drafts
        self._grants_path, self._key_path = layout.access / "tokens.json", layout.access / "key"
        self._admitted_path = layout.access / "admitted.json"
        self._grants: tuple[float, list[Grant]] | None = None
        self._admitted: dict[str, float] | None = None
        self._key: bytes | None = None

    # -- the mirror's own tokens --------------------------------------------------------------

    def grants(self) -> list[Grant]:
        """Every token there is; read again when the file has changed."""
        changed = _changed(self._grants_path)
        if self._grants is None or self._grants[0] != changed:
            self._grants = (changed, self._read_grants())
        return self._grants[1]

    def _read_grants(self) -> list[Grant]:
        text = files.read_text(self._grants_path)
        rows = [] if text is None else codec.load(text, str(self._grants_path)).get("tokens", [])
        return [Grant(row["name"], row["sha256"], tuple(row["repos"]), row["made_at"]) for row in rows]

    def grant(self, token: str) -> Grant | None:
        """Whose token this is, or None when it is none of ours."""
        hashed = _hash(token)
        return next((grant for grant in self.grants() if hmac.compare_digest(grant.hashed, hashed)), None)

    def mint(self, name: str, repos: Sequence[str], now: str) -> str:
        """Make a token. It is shown this once and kept nowhere. Raises UsageError when the name is taken."""
        grants = self.grants()
        if any(grant.name == name for grant in grants):
            raise UsageError(f"there is a token named {name!r} already", f"hfmirror token revoke {name}")
        alphabet = string.ascii_letters + string.digits
        token = PREFIX + "".join(choice(alphabet) for _ in range(LENGTH))
        self._write_grants([*grants, Grant(name, _hash(token), tuple(repos), now)])
        return token

    def revoke(self, name: str) -> None:
        """Forget a token. Raises NotHere."""
        grants = self.grants()
        if all(grant.name != name for grant in grants):
            raise NotHere(f"a token named {name!r}")
        self._write_grants([grant for grant in grants if grant.name != name])

    def _write_grants(self, grants: list[Grant]) -> None:
        rows = [
            {"name": grant.name, "sha256": grant.hashed, "repos": list(grant.repos), "made_at": grant.made_at}
            for grant in grants
        ]
        text = codec.dump({"format": codec.FORMAT, "tokens": rows})
        self._drafts.publish_text(self._grants_path, text, mode=_PRIVATE)
        self._grants = None

    # -- whom the authority has admitted ------------------------------------------------------

    def admitted(self, token: str, repo: RepoId) -> float | None:
        """When the authority last let the bearer of a token read a repo, in seconds since 1970; None: never."""
        return self._admissions().get(self._keyed(token, repo))

    def admit(self, token: str, repo: RepoId, now: float) -> None:
        """The authority said yes."""
        self._remember({**self._admissions(), self._keyed(token, repo): now})

    def dismiss(self, token: str, repo: RepoId) -> None:
        """The authority said no."""
        keyed = self._keyed(token, repo)
        if keyed in self._admissions():
            self._remember({key: when for key, when in self._admissions().items() if key != keyed})

    def _admissions(self) -> Mapping[str, float]:
        if self._admitted is None:
            text = files.read_text(self._admitted_path)
            known = {} if text is None else codec.load(text, str(self._admitted_path)).get("admitted", {})
            self._admitted = {str(key): float(when) for key, when in known.items()}
        return self._admitted

    def _remember(self, admitted: dict[str, float]) -> None:
        self._admitted = admitted
        text = codec.dump({"format": codec.FORMAT, "admitted": admitted})
        self._drafts.publish_text(self._admitted_path, text, durable=False, mode=_PRIVATE)

    def _keyed(self, token: str, repo: RepoId) -> str:
        if self._key is None:
            text = files.read_text(self._key_path)
            if text is None:
                text = token_hex(32)
                self._drafts.publish_text(self._key_path, text, mode=_PRIVATE)
            self._key = bytes.fromhex(text)
        return hmac.new(self._key, f"{token}\n{codec.repo_text(repo)}".encode(), "sha256").hexdigest()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _changed(path: Path) -> float:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0.0
