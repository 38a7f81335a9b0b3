"""`hfmirror convert`: safetensors out of old checkpoints, without running anything of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import DryRun, Exclude, Json, Quiet, RepoName, Root
from hfmirror.errors import human

if TYPE_CHECKING:
    from hfmirror.safety.checkpoints import Checkpoint, Conversion
    from hfmirror.safety.convert import Converted, Wish


def command(
    repo: RepoName,
    revision: Annotated[
        str | None,
        typer.Option("--revision", "-r", metavar="NAME", help="The new revision; default: main-safetensors."),
    ] = None,
    exclude: Exclude = None,
    python: Annotated[
        Path | None, typer.Option(help="A Python that has torch and safetensors; default: this one.")
    ] = None,
    dry_run: DryRun = False,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Make safetensors of a repo's old checkpoints (.bin, .pt).

    They become a revision of your own beside the original. Nothing of a checkpoint is run: one that needs more
    than weights is refused.

    Example: hfmirror convert google-bert/bert-base-chinese
    """
    words = (repo, revision, tuple(exclude or ()), str(python or sys.executable))
    return guarded(lambda: _convert(words, root, dry_run=dry_run, as_json=as_json, quiet=quiet), as_json=as_json)


def _convert(
    words: tuple[str, str | None, tuple[str, ...], str],
    root: Path | None,
    *,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from hfmirror import settings
    from hfmirror.mirror import Mirror

    mirror = Mirror.open(settings.current(root))
    wish = _wish(*words)
    conversion = mirror.plan_conversion(wish)
    if not quiet:
        _tell(wish, conversion, dry=dry_run)
    if dry_run:
        if as_json:
            print(json.dumps(_document(wish, conversion), ensure_ascii=False))  # noqa: T201 - the command's answer
        return

    def told(checkpoint: Checkpoint) -> None:
        if not quiet:
            say(f"{checkpoint.source.path} is {checkpoint.target} now, compared tensor by tensor")

    converted = mirror.convert(wish, conversion, told)
    where = mirror.view.snapshot(wish.repo, converted.manifest.commit)
    if as_json:
        document = {**_document(wish, conversion), **_made(converted), "path": str(where)}
        print(json.dumps(document, ensure_ascii=False))  # noqa: T201 - as above
        return
    if not quiet:
        say(f'load it with from_pretrained("{wish.repo.name}", revision="{wish.new}")')
    print(where)  # noqa: T201 - as above


def _wish(text: str, name: str | None, exclude: tuple[str, ...], python: str) -> Wish:
    from hfmirror.model import Selection
    from hfmirror.safety.convert import Wish
    from hfmirror.words import parse, parse_revision

    repo, revision = parse(text, None)
    takes = Selection((), exclude).takes
    new = "" if name is None else parse_revision(name)
    return Wish(repo, revision, new, lambda path: not takes(path), python)


def _tell(wish: Wish, conversion: Conversion, *, dry: bool) -> None:
    verb = "would make" if dry else "making"
    size = human(sum(each.source.size for each in conversion.checkpoints))
    count = len(conversion.checkpoints)
    files = f"{count} checkpoint{'' if count == 1 else 's'}, {size}"
    say(f"{verb} {wish.new} of {wish.repo}@{wish.revision}: {files}; {len(conversion.kept)} files are taken over")
    for each in conversion.left_out:
        say(f"left out: {each.entry.path}: {each.why}")


def _document(wish: Wish, conversion: Conversion) -> dict[str, object]:
    return {
        "repo": str(wish.repo),
        "revision": wish.revision,
        "new": wish.new,
        "converted": [{"from": each.source.path, "to": each.target} for each in conversion.checkpoints],
        "kept": [entry.path for entry in conversion.kept],
        "left_out": [{"path": each.entry.path, "why": each.why} for each in conversion.left_out],
    }


def _made(converted: Converted) -> dict[str, object]:
    return {"commit": converted.manifest.commit, "tied": {path: dict(tied) for path, tied in converted.tied.items()}}
