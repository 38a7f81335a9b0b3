"""The parts of the reference that are generated from the code.

The command line's parts are made from the parser's parameters and the commands' signatures, and not
from the text of `--help`, whose look changes with the version of the library that prints it.
"""

from __future__ import annotations

import inspect
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import typer

from hfmirror import errors
from hfmirror.cli.app import app
from hfmirror.errors import FAMILIES, MirrorError, Unexpected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_VALUES = {int: "NUMBER", float: "NUMBER", Path: "PATH", str: "TEXT"}


def commands() -> dict[str, Any]:
    """The subcommands by name, as the parser has them; those of a group by both words."""
    return dict(_below(top(), ()))


def _below(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _below(command, (*words, word))
        else:
            yield " ".join((*words, word)), command


def top() -> Any:
    """The command `hfmirror` itself."""
    return typer.main.get_command(app)


def options(command: Any) -> list[Any]:
    """A command's options; not `--help`, which every command has."""
    return [param for param in command.params if param.param_type_name == "option" and "--help" not in param.opts]


def arguments(command: Any) -> list[Any]:
    """A command's positional words."""
    return [param for param in command.params if param.param_type_name == "argument"]


def help_of(word: str, command: Any) -> str:
    """The part of the reference about one command."""
    said, _, example = inspect.cleandoc(command.help or "").partition("Example: ")
    words = " ".join(_shown(param) for param in arguments(command))
    lines = [said.strip(), "", "```text", f"hfmirror {word} [OPTIONS] {words}".rstrip(), "```", ""]
    if example:
        lines += [f"Example: `{' '.join(example.split())}`", ""]
    rows = [(f"`{_shown(param)}`", param.help or "", "") for param in arguments(command)]
    rows += [
        (_spelled(param) + _value(command, param), param.help or "", _default(param)) for param in options(command)
    ]
    return "\n".join([*lines, *_table(("Word or option", "What it means", "Default"), rows), ""])


def help_of_all() -> str:
    """The part about `hfmirror` without a command: its options, and its commands in a list."""
    own = [param for param in options(top()) if "completion" not in param.name]  # those are typer's, in its words
    rows = [(_spelled(param), param.help or "") for param in own]
    listed = [(f"[`{word}`](#hfmirror-{_dashed(word)})", _summary(command)) for word, command in commands().items()]
    parts = [*_table(("Option", "What it means"), rows), "", *_table(("Command", "What it does"), listed), ""]
    return "\n".join(parts)


def _summary(command: Any) -> str:
    return inspect.cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " ")


def _shown(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _spelled(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in sorted(option.opts, key=len, reverse=True))


def _dashed(word: str) -> str:
    return word.replace(" ", "-")


def _value(command: Any, option: Any) -> str:
    """What follows the option, by the signature of the command's function."""
    hints = get_type_hints(inspect.unwrap(command.callback))
    kinds = [kind for kind in _leaves(hints[option.name]) if kind not in (type(None), bool)]
    if not kinds:
        return ""
    if isinstance(kinds[0], str):
        return " " + " ".join(f"`{choice}`" for choice in kinds)
    (kind,) = set(kinds)
    if issubclass(kind, Enum):
        return " " + " ".join(f"`{choice.value}`" for choice in kind)
    return f" {_VALUES[kind]}"


def _leaves(hint: Any) -> Iterator[Any]:
    """The plain types in `list[str] | None`, and the words in a `Literal`."""
    if not get_args(hint):
        yield hint
    for part in get_args(hint):
        yield from _leaves(part)


def _default(option: Any) -> str:
    value = option.default
    if option.is_flag or value is None or value == () or not isinstance(value, int | float | str):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    heads = [*heads]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)]


# -- errors ---------------------------------------------------------------------------------------


def error_classes() -> list[type[MirrorError]]:
    """Every class of `errors`, in the order of the file."""
    found = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, MirrorError)]
    return [kind for kind in found if kind not in (MirrorError, Unexpected)]


def family_of(kind: type[MirrorError]) -> type[MirrorError]:
    """The family whose exit code it gives."""
    return next(family for family in FAMILIES if issubclass(kind, family))


def exit_table() -> str:
    """One row for each error class, with its exit code."""
    rows = [
        (str(kind.exit_code), f"`{kind.__name__}`", f"`{family_of(kind).__name__}`", _first(kind), _again(kind))
        for family in FAMILIES
        for kind in error_classes()
        if issubclass(kind, family)
    ]
    rows.append((str(Unexpected.exit_code), "`Unexpected`", "", _first(Unexpected), ""))
    return "\n".join([*_table(("Code", "Class", "Family", "What happened", "May pass by itself"), rows), ""])


def _first(kind: type[MirrorError]) -> str:
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


def _again(kind: type[MirrorError]) -> str:
    return "yes" if kind.retryable else ""


def parts() -> dict[str, str]:
    """Every generated part, by the name that pages call it by."""
    helped = {f"help-{_dashed(word)}": help_of(word, command) for word, command in commands().items()}
    return {"help": help_of_all(), **helped, "exit-codes": exit_table()}
