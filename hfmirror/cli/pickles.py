"""How the commands show what was found in pickles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfmirror.model import Entry
    from hfmirror.store.scans import Scan


def rows(files: Iterable[tuple[Entry, Scan]]) -> list[dict[str, Any]]:
    """Files for machines."""
    return [{"path": entry.path, **document(scan)} for entry, scan in files]


def document(scan: Scan) -> dict[str, Any]:
    """What was found in one file, for machines."""
    imports = [{"module": each.module, "name": each.name, "safety": each.safety} for each in scan.imports]
    return {
        "verdict": scan.verdict,
        "imports": imports,
        "why": scan.why,
        "scanner": scan.scanner,
        "when": scan.when,
    }


def mark(scan: Scan | None) -> str:
    """What was found in one file, in few words."""
    if scan is None:
        return ""
    wanted = scan.dangerous or scan.imports
    return f"{scan.verdict}: {wanted[0]}" if wanted else scan.verdict
