"""`hfmirror export`: a bundle for a stick."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import DryRun, Exclude, Include, Json, Quiet, Revision, Root
from hfmirror.errors import DamagedObject, UsageError, human

if TYPE_CHECKING:
    from hfmirror.bundle import Exported, SecretKey
    from hfmirror.bundle import Plan as Parcel
    from hfmirror.mirror import Mirror


def command(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="REPO... DEST", help="What to carry, and where to.")
    ] = None,
    revision: Revision = None,
    include: Include = None,
    exclude: Exclude = None,
    since: Annotated[
        list[Path] | None,
        typer.Option(help="Leave out what the other side has: its `status --state` file, or an earlier bundle."),
    ] = None,
    split_size: Annotated[
        str | None, typer.Option(help="Most bytes in one file, like 4GB; default: what the disk can hold.")
    ] = None,
    sign: Annotated[Path | None, typer.Option(help="Sign with this secret key of minisign.")] = None,
    dry_run: DryRun = False,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Pack repos into a bundle: a folder to carry, as on a USB stick.

    `hfmirror import` takes it in elsewhere. Run it again after any interruption: it goes on. The folder holds a
    verify.py that needs Python alone.

    Example: hfmirror export google-bert/bert-base-chinese bundle --since their.state
    """
    wish = Wanted(
        words or [],
        revision,
        (tuple(include or ()), tuple(exclude or ())),
        tuple(since or ()),
        split_size,
        sign,
        dry_run,
    )
    return guarded(lambda: _export(wish, root, as_json=as_json, quiet=quiet), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the words of the command ask for."""

    words: list[str]
    revision: str | None
    patterns: tuple[tuple[str, ...], tuple[str, ...]]
    since: tuple[Path, ...]
    split_size: str | None
    sign: Path | None
    dry_run: bool


def _export(wanted: Wanted, root: Path | None, *, as_json: bool, quiet: bool) -> None:
    from hfmirror import settings
    from hfmirror.bundle import Exported
    from hfmirror.mirror import Mirror

    mirror = Mirror.open(settings.current(root))
    parcel = _plan(wanted, mirror)
    signer = _signer(wanted.sign)
    if not quiet:
        say(_announced(parcel))
    exported = Exported() if wanted.dry_run else _carry(mirror, parcel, signer, quiet=quiet or as_json)
    for problem in exported.problems:
        say(str(problem))
    if as_json:
        document = {**_document(parcel, exported), "signed": signer is not None, "dry_run": wanted.dry_run}
        print(json.dumps(document, ensure_ascii=False))  # noqa: T201 - the command's answer
    if exported.problems:
        advice = "everything else is in the bundle; `hfmirror verify`, pull again, then export again"
        raise DamagedObject(len(exported.problems), len(parcel.to_copy), advice)
    if not as_json and not quiet and not wanted.dry_run:
        print(parcel.folder)  # noqa: T201 - the command's answer


def _plan(wanted: Wanted, mirror: Mirror) -> Parcel:
    from hfmirror.bundle import Wish
    from hfmirror.model import Selection
    from hfmirror.settings import parse_size
    from hfmirror.words import parse

    if len(wanted.words) < 2:
        raise UsageError(
            "name repos and a folder", "for instance: hfmirror export google-bert/bert-base-chinese bundle"
        )
    *texts, folder = wanted.words
    wishes = [Wish(*parse(text, wanted.revision), Selection(*wanted.patterns)) for text in texts]
    most = None if wanted.split_size is None else parse_size(wanted.split_size, "--split-size")
    return mirror.plan_export(Path(folder), wishes, wanted.since, most)


def _signer(path: Path | None) -> SecretKey | None:
    from hfmirror.bundle import SecretKey

    return (
        None if path is None else SecretKey.read(path, lambda: str(typer.prompt("Password", hide_input=True, err=True)))
    )


def _announced(parcel: Parcel) -> str:
    words = [f"{len(parcel.to_copy)} objects to copy, {human(parcel.size)}"]
    if parcel.there:
        words.append(f"{len(parcel.there)} are in the bundle")
    if parcel.elsewhere:
        words.append(f"{len(parcel.elsewhere)} are on the other side ({human(sum(e.size for e in parcel.elsewhere))})")
    if parcel.split:
        words.append(f"{len(parcel.split)} are split into parts of {human(parcel.most or 0)}")
    return f"{parcel.folder}: {'; '.join(words)}"


def _carry(mirror: Mirror, parcel: Parcel, signer: SecretKey | None, *, quiet: bool) -> Exported:
    from hfmirror.cli.carrying import Carrying

    with Carrying(parcel.size, quiet=quiet) as watch:
        return mirror.export(parcel, signer, watch)


def _document(parcel: Parcel, exported: Exported) -> dict[str, Any]:
    repos = [
        {
            "repo": str(each.repo),
            "commit": each.commit,
            "revisions": sorted({pin.revision for pin in each.pins}),
            "files": len(each.entries),
        }
        for each in parcel.names
    ]
    return {
        "bundle": str(parcel.folder),
        "repos": repos,
        "to_copy": len(parcel.to_copy),
        "size": parcel.size,
        "there": len(parcel.there),
        "elsewhere": len(parcel.elsewhere),
        "split": len(parcel.split),
        "copied": exported.copied,
        "damaged": [{"path": problem.path, "digest": str(problem.wanted)} for problem in exported.problems],
    }
