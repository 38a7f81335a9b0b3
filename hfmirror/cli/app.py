"""The command `hfmirror`: its subcommands, and what happens to words it cannot parse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfmirror._version import __version__
from hfmirror.cli import (
    convert,
    doctor,
    env,
    export,
    gc,
    import_,
    info,
    ls,
    path,
    pin,
    pull,
    queue,
    repair,
    rm,
    run_,
    serve,
    status,
    store,
    sync,
    token,
    verify,
    why,
)
from hfmirror.cli.exits import guarded, say

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="hfmirror",
    help="Keep the models you depend on: pull them once, load them with the cable out.",
    epilog="Start with: hfmirror pull google-bert/bert-base-chinese",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("pull")(pull.command)
app.command("pause")(queue.pause)
app.command("resume")(queue.resume)
app.command("cancel")(queue.cancel)
app.command("sync")(sync.command)
app.command("import")(import_.command)
app.command("path")(path.command)
app.command("env")(env.command)
app.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(run_.command)
app.command("serve")(serve.command)
app.add_typer(token.app, name="token")
app.command("ls")(ls.command)
app.command("info")(info.command)
app.command("status")(status.command)
app.command("doctor")(doctor.command)
app.command("verify")(verify.command)
app.command("repair")(repair.command)
app.command("why")(why.command)
app.command("pin")(pin.pin)
app.command("unpin")(pin.unpin)
app.command("rm")(rm.command)
app.command("gc")(gc.command)
app.command("convert")(convert.command)
app.command("export")(export.command)
app.add_typer(store.app, name="store")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hfmirror {__version__}")
        raise typer.Exit


@app.callback()
def top(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Keep the models you depend on: pull them once, load them with the cable out."""


def run(words: Sequence[str]) -> int:
    """Run the command these words make; its exit code."""
    return guarded(lambda: _parsed(words or ["--help"]))


def _parsed(words: Sequence[str]) -> int:
    try:
        outcome: Any = typer.main.get_command(app).main(list(words), prog_name="hfmirror", standalone_mode=False)
    except Exception as error:
        complaint = getattr(error, "format_message", None)  # only the parser's own errors have one
        if complaint is None:
            raise
        if complaint():
            say(complaint())
        context = getattr(error, "ctx", None)
        say(f"  see: {context.command_path if context else 'hfmirror'} --help")
        return 2
    return outcome if isinstance(outcome, int) else 0
