"""`hfmirror env`: the variables that point every Hub client at the local view."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from hfmirror.cli import scripted
from hfmirror.cli.exits import guarded
from hfmirror.cli.options import Json, Quiet, Root

Shell = Enum("Shell", {name: name for name in scripted.SHELLS}, type=str)  # type: ignore[misc] # a closed list for the parser


def command(
    shell: Annotated[Shell | None, typer.Option(help="Whose syntax to print; default: the shell you use.")] = None,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - as with path
) -> int:
    """Print the variables that make programs load from here, offline.

    Example: eval "$(hfmirror env)"
    """
    return guarded(lambda: scripted.env(shell and shell.value, root, as_json=as_json), as_json=as_json)
