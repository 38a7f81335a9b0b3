"""What was found in pickles, in the Hub's words (huggingface_hub 2.4.0, `BlobSecurityInfo`).

A client reads `status`, `avScan` and `pickleImportScan` without looking whether they are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hfmirror.store.scans import DANGEROUS, SAFE, SUSPICIOUS, UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hfmirror.serve.forms.text import Row
    from hfmirror.store.scans import Scan

_STATUS: Final[Mapping[str, str]] = {
    SAFE: "safe",
    SUSPICIOUS: "suspicious",
    UNREADABLE: "error",
    DANGEROUS: "unsafe",
}


def file_status(scan: Scan | None) -> Row | None:
    """The `securityFileStatus` of a file; None for one in which there was nothing to look at."""
    if scan is None:
        return None
    imports = [{"module": each.module, "name": each.name, "safety": each.safety} for each in scan.imports]
    looked: Row = {"status": _STATUS[scan.verdict], "pickleImports": imports, "version": scan.scanner}
    if scan.why:
        looked["message"] = scan.why
    return {"status": _STATUS[scan.verdict], "avScan": None, "pickleImportScan": looked}


def repo_status(scans: Iterable[tuple[str, Scan]], *, done: bool) -> Row:
    """The `securityRepoStatus` of a commit: what was found by path, and whether all was looked at."""
    issues = [{"path": path, "level": _STATUS[scan.verdict]} for path, scan in scans if not scan.safe]
    return {"scansDone": done, "filesWithIssues": issues}
