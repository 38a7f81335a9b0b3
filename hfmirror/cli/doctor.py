"""`hfmirror doctor`: what is wrong with the disk, the settings and the network, and what to do about it."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import Json, Root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfmirror.doctor.findings import Finding
    from hfmirror.settings import Settings


def command(
    quick: Annotated[bool, typer.Option("--quick", help="Ask nobody: look at the disk and the settings only.")] = False,
    rate: Annotated[bool, typer.Option("--rate", help="Measure the rate too, with files of --repo.")] = False,
    repo: Annotated[str | None, typer.Option(help="The repo whose largest file --rate fetches parts of.")] = None,
    root: Root = None,
    as_json: Json = False,
) -> int:
    """Find what is wrong with the disk, the settings or the network.

    Example: hfmirror doctor --rate --repo google-bert/bert-base-chinese
    """
    return guarded(lambda: _doctor(root, repo, quick=quick, rate=rate, as_json=as_json), as_json=as_json)


def _doctor(root: Path | None, repo: str | None, *, quick: bool, rate: bool, as_json: bool) -> int:
    from hfmirror import settings
    from hfmirror.doctor.findings import exit_code
    from hfmirror.errors import UsageError
    from hfmirror.mirror import Mirror
    from hfmirror.words import parse

    if rate != (repo is not None) or (rate and quick):
        raise UsageError(
            "--rate and --repo go together, without --quick",
            "hfmirror doctor --rate --repo google-bert/bert-base-chinese",
        )
    current = settings.current(root)
    rated = parse(repo, None) if repo else None
    findings = []
    for finding in Mirror(current).examine(os.environ, rated, quick=quick):
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        print(json.dumps(_document(current, findings), ensure_ascii=False))  # noqa: T201 - the command's answer
    say(_summary(findings))
    return exit_code(findings)


def _show(finding: Finding) -> None:
    print(f"{finding.level.value:<5} {finding.check:<9} {finding.sentence}", flush=True)  # noqa: T201 - the command's answer
    if finding.advice:
        print(f"{'':<15} -> {finding.advice}", flush=True)  # noqa: T201 - as above


def _summary(findings: Sequence[Finding]) -> str:
    """How it all is, in a sentence."""
    bad = {level: sum(finding.level.value == level for finding in findings) for level in ("fail", "warn")}
    if not any(bad.values()):
        return "nothing is wrong"
    counts = (f"{bad['fail']} to mend before it can work" if bad["fail"] else "", f"{bad['warn']} to look at")
    return ", ".join(filter(None, counts if bad["warn"] else counts[:1]))


def _document(settings: Settings, findings: Sequence[Finding]) -> dict[str, object]:
    """For a report: nothing secret is in it."""
    from hfmirror._version import __version__
    from hfmirror.doctor.findings import exit_code, tilde
    from hfmirror.sources.http import origin

    return {
        "hfmirror": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "root": tilde(settings.root),
        "endpoint": origin(settings.endpoint),
        "findings": [finding.row() for finding in findings],
        "exit": exit_code(findings),
    }
