"""The answers that scripts ask for in loops: `--version`, `path`, `env`.

They are given before the command line's libraries are imported. Words that are not plainly one of
these are left to the full parser, so that every message and option exists once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VALUED = {"--root": "root", "--revision": "revision", "-r": "revision", "--shell": "shell"}


def run(words: Sequence[str]) -> int | None:
    """The exit code, or None when the full parser has to look at the words."""
    if list(words) == ["--version"]:
        from hfmirror._version import __version__

        print(f"hfmirror {__version__}")  # noqa: T201 - the command's answer
        return 0
    plain = _plain(words[1:])
    if not words or plain is None:
        return None
    commands: dict[str, Callable[[dict[str, str], list[str]], int | None]] = {"path": _path, "env": _env}
    answer = commands.get(words[0])
    return answer(*plain) if answer else None


def _plain(words: Sequence[str]) -> tuple[dict[str, str], list[str]] | None:
    """Options with a value, and positional words; None when there is anything else."""
    options: dict[str, str] = {}
    rest: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if word in VALUED:
            value = next(remaining, None)
            if value is None:
                return None
            options[VALUED[word]] = value
        elif word.startswith("-"):
            return None
        else:
            rest.append(word)
    return options, rest


def _path(options: dict[str, str], rest: list[str]) -> int | None:
    from hfmirror.cli import exits, scripted

    if len(rest) > 2 or "shell" in options:
        return None
    repo, file = (*rest, None, None)[:2]
    return exits.guarded(lambda: scripted.path(repo, file, options.get("revision"), options.get("root")))


def _env(options: dict[str, str], rest: list[str]) -> int | None:
    from hfmirror.cli import exits, scripted

    if rest or "revision" in options or options.get("shell", "bash") not in scripted.SHELLS:
        return None
    return exits.guarded(lambda: scripted.env(options.get("shell"), options.get("root")))
