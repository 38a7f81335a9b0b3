"""`hfmirror run`: a command whose Hub clients load from here, offline."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from hfmirror.cli.exits import guarded
from hfmirror.cli.options import Root
from hfmirror.errors import UsageError


def command(
    words: Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND...", help="What to run.")] = None,
    root: Root = None,
) -> int:
    """Run a command with every Hub client pointed at what is held here, and the Hub itself out of reach.

    Example: hfmirror run -- python chat.py
    """
    return guarded(lambda: _run(words or [], root))


def _run(words: list[str], root: Path | None) -> int:
    from hfmirror import settings

    if not words:
        raise UsageError("name a command to run", "for instance: hfmirror run -- python chat.py")
    program = shutil.which(words[0])
    if program is None:
        raise UsageError(f"there is no command {words[0]!r} here", "check its spelling, or give its whole path")
    environment = {**os.environ, **settings.current(root).client_variables()}
    sys.stdout.flush()
    if os.name == "nt":
        return subprocess.run([program, *words[1:]], env=environment, check=False).returncode  # noqa: S603 - the user's own words
    return os.execve(program, words, environment)  # noqa: S606 - signals and exit code become the command's own
