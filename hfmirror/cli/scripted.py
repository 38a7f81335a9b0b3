"""What `hfmirror path` and `hfmirror env` print. Light: scripts ask for it in loops."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from hfmirror import settings

SHELLS = ("bash", "zsh", "fish", "powershell", "cmd")


def path(
    repo: str | None, file: str | None, revision: str | None, root: str | Path | None, *, as_json: bool = False
) -> None:
    """Print where a repo, a file of it, or the view lies. Raises UsageError, NotHere, EntryNotFound."""
    from hfmirror.store.records import Records
    from hfmirror.view import places
    from hfmirror.words import parse

    records = Records(settings.current(Path(root) if root else None).root)
    records.check()
    found = records.layout.hub if repo is None else places.find(records, *parse(repo, revision), file)
    print(json.dumps({"path": str(found)}, ensure_ascii=False) if as_json else found)  # noqa: T201 - the command's answer


def env(shell: str | None, root: str | Path | None, *, as_json: bool = False) -> None:
    """Print the variables that point every Hub client at the view."""
    values = settings.current(Path(root) if root else None).client_variables()
    if as_json:
        print(json.dumps(values, ensure_ascii=False))  # noqa: T201 - the command's answer
        return
    for name, value in values.items():
        print(assignment(shell or usual_shell(), name, value))  # noqa: T201 - as above


def usual_shell() -> str:
    """The shell this process was most likely started from."""
    name = Path(os.environ.get("SHELL", "")).name
    if name in SHELLS:
        return name
    return "powershell" if os.name == "nt" else "bash"


def assignment(shell: str, name: str, value: str) -> str:
    """The line that sets a variable for the shell's children."""
    if shell == "fish":
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"set -gx {name} '{escaped}';"
    if shell == "powershell":
        escaped = value.replace("'", "''")
        return f"$env:{name} = '{escaped}'"
    if shell == "cmd":
        return f'set "{name}={value}"'
    return f"export {name}={shlex.quote(value)}"
