"""`hfmirror run`: a command whose Hub clients load from here: offline, or through a private mirror."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import Root
from hfmirror.errors import UsageError

_PASSED_ON = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def command(
    words: Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND...", help="What to run.")] = None,
    through: Annotated[
        bool, typer.Option("--through", help="Fetch what is missing, by a private mirror on this machine.")
    ] = False,
    root: Root = None,
) -> int:
    """Run a program that loads from here, and asks no network.

    Every Hub client in it is pointed at what is held here, and the Hub itself is out of reach. With --through
    the clients ask a private mirror, which fetches what is missing, resumed and proven, into the store; their
    own copies become links to the store's when the command has ended.

    Example: hfmirror run -- python chat.py
    """
    return guarded(lambda: (_run_through if through else _run)(words or [], root))


def _program(words: list[str]) -> str:

    if not words:
        raise UsageError("name a command to run", "for instance: hfmirror run -- python chat.py")
    program = shutil.which(words[0])
    if program is None:
        raise UsageError(f"there is no command {words[0]!r} here", "check its spelling, or give its whole path")
    return program


def _run(words: list[str], root: Path | None) -> int:
    from hfmirror import settings

    program = _program(words)
    environment = {**os.environ, **settings.current(root).client_variables()}
    sys.stdout.flush()
    if os.name == "nt":
        return subprocess.run([program, *words[1:]], env=environment, check=False).returncode  # noqa: S603 - the user's own words
    return os.execve(program, words, environment)  # noqa: S606 - signals and exit code become the command's own


def _run_through(words: list[str], root: Path | None) -> int:
    from hfmirror import settings
    from hfmirror.errors import human
    from hfmirror.mirror import Mirror

    program = _program(words)
    mirror = Mirror.open(settings.current(root))
    with mirror.beside(say) as address:
        code = _child([program, *words[1:]], settings.variables_through(os.environ, address))
    relinked = mirror.relink(settings.client_cache(os.environ))
    if relinked.files:
        say(f"{relinked.files} files of the client's cache are links now; {human(relinked.freed)} freed")
    return code


def _child(line: list[str], environment: dict[str, str]) -> int:
    """Run a program; its exit code, counted as shells do when a signal ended it."""
    with subprocess.Popen(line, env=environment) as child:  # noqa: S603 - the user's own words
        ours = {number: signal.signal(number, lambda got, _: child.send_signal(got)) for number in _PASSED_ON}
        interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal has told the child itself
        try:
            code = child.wait()
        finally:
            signal.signal(signal.SIGINT, interrupted)
            for number, handler in ours.items():
                signal.signal(number, handler)
    return code if code >= 0 else 128 - code
