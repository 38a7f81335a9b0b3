"""Words in, words out, exit codes."""

from __future__ import annotations

import sys
from io import TextIOWrapper


def main() -> None:
    """The command. What scripts call in loops answers before anything heavy is imported."""
    from hfmirror.cli import quick

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name the terminal cannot show is no reason to fail
    code = quick.run(sys.argv[1:])
    if code is None:
        from hfmirror.cli import app

        code = app.run(sys.argv[1:])
    sys.exit(_flushed(code))


def _flushed(code: int) -> int:
    """The exit code once everything was printed, or that of a broken pipe when nobody reads it any more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        from hfmirror.cli.exits import hush

        return hush()
    return code
