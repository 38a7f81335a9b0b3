"""How much a store may take. Apart from what follows from it, because every command reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes."""

    most: int | None = None  # None: as much as there is
    least_free: int = 0  # on its disk

    def __bool__(self) -> bool:
        return self.most is not None or self.least_free > 0

    def over(self, taken: int, free: int, needed: int = 0) -> int:
        """How much too much the store takes once `needed` more has come; 0 when nothing has to go."""
        beyond = 0 if self.most is None else taken + needed - self.most
        lacking = self.least_free + needed - free if self.least_free else 0
        return max(beyond, lacking, 0)
