"""Who may read a repo that is not public: the bearer of a token of ours, or whom upstream has admitted.

Deny by default. What upstream says is remembered as a keyed hash: for minutes while it can be asked,
for days while it cannot.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from hfmirror.errors import NotHere, Unavailable

if TYPE_CHECKING:
    from hfmirror.model import RepoId
    from hfmirror.serve.names import Names

LIVE_S = 60.0  # a yes is believed for so long without asking again
OFFLINE_S = 7 * 86_400.0  # and for so long when upstream cannot be asked


class Grant(Protocol):
    """A token of this mirror's own."""

    @property
    def name(self) -> str: ...
    def opens(self, repo: RepoId) -> bool: ...


class Ledger(Protocol):
    """The store's memory of tokens."""

    def grant(self, token: str) -> Grant | None: ...
    def admitted(self, token: str, repo: RepoId) -> float | None: ...
    def admit(self, token: str, repo: RepoId, now: float) -> None: ...
    def dismiss(self, token: str, repo: RepoId) -> None: ...


class Access:
    """Decides for each repo and caller."""

    def __init__(self, ledger: Ledger, names: Names) -> None:
        self._ledger, self._names = ledger, names

    def grant(self, token: str | None) -> Grant | None:
        """The mirror's own token this is, or None."""
        return self._ledger.grant(token) if token else None

    def credential(self, token: str | None) -> str | None:
        """The token to show upstream on a caller's behalf: never one of the mirror's own."""
        return token if token and self._names.takes_tokens and not self._ledger.grant(token) else None

    async def whoami(self, token: str | None) -> dict[str, Any] | None:
        """What upstream says of the bearer of a token of its own; None for what is no such token.

        Raises AccessDenied when upstream does not know it either, Unavailable.
        """
        credential = self.credential(token)
        return None if credential is None else await self._names.whoami(credential)

    def remembers(self, repo: RepoId, token: str | None) -> bool:
        """The same as `opens`, as far as it is known without asking."""
        if not token:
            return False
        grant = self._ledger.grant(token)
        if grant is not None:
            return grant.opens(repo)
        return time.time() - (self._ledger.admitted(token, repo) or 0.0) < OFFLINE_S

    async def opens(self, repo: RepoId, token: str | None) -> bool:
        """Whether the bearer of `token` may read a repo that is not public."""
        if not token:
            return False
        grant = self._ledger.grant(token)
        if grant is not None:
            return grant.opens(repo)
        age = time.time() - (self._ledger.admitted(token, repo) or 0.0)
        return age < LIVE_S or await self._asked(repo, token, age)

    async def _asked(self, repo: RepoId, token: str, age: float) -> bool:
        try:
            admitted = await self._names.admits(repo, token)
        except (Unavailable, NotHere):
            return age < OFFLINE_S
        if admitted:
            self._ledger.admit(token, repo, time.time())
        else:
            self._ledger.dismiss(token, repo)
        return admitted
