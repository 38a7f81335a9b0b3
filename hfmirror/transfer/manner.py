"""How to fetch, as people ask for it. Light: who only says how need not load what fetches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.model import PART
from hfmirror.transfer.patience import PATIENCE_S

if TYPE_CHECKING:
    from hfmirror.transfer.budget import Budget

WHOLE = PART  # bytes; files up to this size are gathered in memory and sealed in groups


@dataclass(frozen=True, slots=True)
class Manner:
    """How to fetch."""

    connections: int | None = None  # to each source; None: as many as have been measured to be best
    patience_s: float = PATIENCE_S
    budget: Budget | None = None  # what may come, at most; None: as much as can

    @property
    def rationed(self) -> bool:
        """Whether more would come if it might: then more connections bring nothing but waste."""
        return self.budget is not None and self.budget.short
