"""Words in, words out, exit codes."""

from __future__ import annotations

import sys


def main() -> None:
    """The command. What scripts call in loops answers before anything heavy is imported."""
    from hfmirror.cli import quick

    code = quick.run(sys.argv[1:])
    if code is None:
        from hfmirror.cli import app

        code = app.run(sys.argv[1:])
    sys.exit(code)
