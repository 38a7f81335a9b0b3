"""`hfmirror import`: take in what people bring themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfmirror.cli import pickles
from hfmirror.cli.exits import guarded, say
from hfmirror.cli.info import ORIGINS
from hfmirror.cli.options import DryRun, Exclude, Include, Json, Quiet, Root
from hfmirror.cli.taking import Terms
from hfmirror.errors import IntegrityError, NothingFits, RepoNotFound, Unavailable, UsageError, human

if TYPE_CHECKING:
    from hfmirror.adopt.bring import Wish
    from hfmirror.adopt.report import Report, Shelf
    from hfmirror.mirror import Mirror
    from hfmirror.model import Entry

MANY = 10  # rows of a kind that are told one by one


def command(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH...", help="Folders, files, archives, caches, bundles.")
    ] = None,
    repo: Annotated[
        str | None, typer.Option(metavar="REPO", help="Whose files they are; default: those of every repo known here.")
    ] = None,
    include: Include = None,
    exclude: Exclude = None,
    local: Annotated[
        bool, typer.Option("--local", help="Make them a repo of your own, which is not the Hub's.")
    ] = False,
    public: Annotated[bool, typer.Option("--public", help="With --local: `serve` may give it to anybody.")] = False,
    link: Annotated[
        bool, typer.Option("--link", help="Share your files with the store where they lie; they become read-only.")
    ] = False,
    move: Annotated[
        bool, typer.Option("--move", help="Remove your files from where they are once they are in.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody what a repo holds.")] = False,
    trust: Annotated[
        list[str] | None, typer.Option(help="Of bundles, only those signed with this minisign key; may be repeated.")
    ] = None,
    require_signature: Annotated[
        bool, typer.Option("--require-signature", help="Of bundles, only signed ones.")
    ] = False,
    to_hf_cache: Annotated[
        Path | None, typer.Option(help="Put bundles into this Hub cache, and not into the store.")
    ] = None,
    dry_run: DryRun = False,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Take in files that you have already, whatever they are called.

    They are known by their content and proven like a pull. Your files stay as they are. Takes folders of
    downloads, Hub caches, clones, zip and tar files, and what other tools left half finished.

    Example: hfmirror import ~/Downloads --repo google-bert/bert-base-chinese
    """
    words = Words(
        [str(path) for path in paths or ()],
        repo,
        (tuple(include or ()), tuple(exclude or ())),
        local=local,
        public=public,
        link=link,
        move=move,
        offline=offline,
        dry_run=dry_run,
    )
    terms = Terms(tuple(trust or ()), require_signature)
    return guarded(lambda: _import_all(words, terms, to_hf_cache, root, as_json=as_json, quiet=quiet), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Words:
    """What was typed."""

    paths: list[str]
    repo: str | None
    patterns: tuple[tuple[str, ...], tuple[str, ...]]
    local: bool
    public: bool
    link: bool
    move: bool
    offline: bool
    dry_run: bool


def _import_all(
    words: Words, terms: Terms, cache: Path | None, root: Path | None, *, as_json: bool, quiet: bool
) -> int:
    """Bundles one by one, and then all the rest together; the exit code of the first that is not 0."""
    from hfmirror import settings
    from hfmirror.bundle import is_bundle
    from hfmirror.cli.taking import fill_cache, take_bundle
    from hfmirror.mirror import Mirror

    wish = _wish(words)
    mirror = Mirror.open(settings.current(root))
    bundles = [Path(path) for path in words.paths if is_bundle(Path(path))]
    rest = tuple(path for path in words.paths if Path(path) not in bundles)
    if bundles and words.dry_run:
        raise UsageError("--dry-run is not for bundles", f"python {bundles[0]}/verify.py says what is in it")
    if cache is not None and rest:
        raise UsageError(f"{rest[0]} is no bundle, and --to-hf-cache is for bundles")
    codes = [
        fill_cache(folder, cache, terms, as_json=as_json, quiet=quiet)
        if cache is not None
        else take_bundle(mirror, folder, terms, as_json=as_json, quiet=quiet)
        for folder in bundles
    ]
    if rest:
        codes.append(_import(mirror, replace(wish, paths=rest), words, as_json=as_json, quiet=quiet))
    return next(filter(None, codes), 0)


def _import(mirror: Mirror, wish: Wish, words: Words, *, as_json: bool, quiet: bool) -> int:
    from hfmirror.cli.reading import ReadingLines
    from hfmirror.cli.watching import watching

    try:
        with watching(as_json=False, quiet=quiet or as_json) as watch:
            report = mirror.bring(wish, watch, ReadingLines(quiet=quiet or as_json), offline=words.offline)
    except (Unavailable, RepoNotFound):
        say("to keep these files as a repo of your own, which is not the Hub's, add --local")
        raise
    if not quiet:
        _tell_troubles(report)
    if report.fruitless:
        raise NothingFits(report.looked_at, str(wish.repo or ""))
    if as_json:
        print(json.dumps(_document(report, mirror, words), ensure_ascii=False))  # noqa: T201 - the command's answer
    else:
        _answer(report, mirror, words, quiet=quiet)
    for shelf in () if words.dry_run else report.shelves:
        mirror.guard.refuse(shelf.target.manifest.repo, mirror.guard.suspects(shelf.held))
    return IntegrityError.exit_code if report.damaged else 0


def _answer(report: Report, mirror: Mirror, words: Words, *, quiet: bool) -> None:
    if not quiet:
        _tell(report, words)
    for shelf in () if words.dry_run else report.shelves:
        if shelf.held:
            print(_place(mirror, shelf))  # noqa: T201 - the command's answer


def _wish(words: Words) -> Wish:
    """What is meant. Raises UsageError."""
    from hfmirror.adopt.bring import Wish
    from hfmirror.adopt.matching import Way
    from hfmirror.model import Selection
    from hfmirror.words import parse_repo, parse_revision

    if not words.paths:
        raise UsageError("name at least one folder or file", "for instance: hfmirror import ~/Downloads --repo gpt2")
    if words.public and not words.local:
        raise UsageError("--public is for a repo of your own: whose files the Hub has, the Hub says")
    repo, revision = parse_repo(words.repo) if words.repo else (None, None)
    return Wish(
        tuple(words.paths),
        repo,
        None if revision is None else parse_revision(revision),
        Selection(*words.patterns),
        words.local,
        words.public,
        Way(words.move, words.link),
        words.dry_run,
    )


# -- for people -----------------------------------------------------------------------------------


def _tell_troubles(report: Report) -> None:
    for trouble in report.troubles[:MANY]:
        say(f"left out: {trouble.place}: {trouble.why}")
    if len(report.troubles) > MANY:
        say(f"left out: {len(report.troubles) - MANY} more; --json lists them")


def _tell(report: Report, words: Words) -> None:
    verb = "would take in" if words.dry_run else "took in"
    ways: dict[str, int] = {}
    for took in report.took:
        ways[took.how] = ways.get(took.how, 0) + 1
    how = ", ".join(f"{count} by {way}" for way, count in sorted(ways.items()) if way)
    whole = f"{verb} {len(report.took)} of {report.looked_at} files, {human(report.size)}{': ' if how else ''}{how}"
    say(whole if report.took else f"no whole file that is new among {report.looked_at}")
    for began in report.began[:MANY]:
        say(f"{verb} {human(began.size)} of {began.entry.path}, of which {began.place} is a part")
    if report.removed:
        say(f"removed {len(report.removed)} files from where they were")
    for shelf in report.shelves:
        _tell_shelf(shelf, dry=words.dry_run)


def _tell_shelf(shelf: Shelf, *, dry: bool) -> None:
    whole = len(shelf.held) + len(shelf.lacking)
    say(f"{shelf.target}{_origin(shelf)}: {len(shelf.held)} of {whole} files {'would be' if dry else 'are'} here")
    if shelf.lacking:
        size = human(sum(entry.size for entry in shelf.lacking))
        say(f"  {len(shelf.lacking)} lacking, {size}: {_command(shelf)}")


def _origin(shelf: Shelf) -> str:
    said = ORIGINS.get(shelf.target.manifest.origin)
    return f" ({said})" if said else ""


def _command(shelf: Shelf) -> str:
    """The words that fetch the rest."""
    target = shelf.target
    names = [name for name in (*target.revisions, *target.heard) if name != "main"]
    main = "main" in (*target.revisions, *target.heard)
    revision = "" if main else f"@{(names or [target.manifest.commit])[0]}"
    includes = [f" --include '{pattern}'" for pattern in target.selection.include]
    excludes = [f" --exclude '{pattern}'" for pattern in target.selection.exclude]
    patterns = "".join([*includes, *excludes]) if len(includes) <= MANY else ""
    return f"hfmirror pull {target.manifest.repo}{revision}{patterns}"


# -- for machines ---------------------------------------------------------------------------------


def _document(report: Report, mirror: Mirror, words: Words) -> dict[str, Any]:
    return {
        "dry_run": words.dry_run,
        "looked_at": report.looked_at,
        "taken": [{**_row(took.entry), "from": took.place, "how": took.how} for took in report.took],
        "begun": [{**_row(began.entry), "from": began.place, "kept": began.size} for began in report.began],
        "left_out": [{"from": t.place, "why": t.why, "damaged": t.damaged} for t in report.troubles],
        "removed": report.removed,
        "repos": [_shelf(shelf, mirror) for shelf in report.shelves],
    }


def _shelf(shelf: Shelf, mirror: Mirror) -> dict[str, Any]:
    target = shelf.target
    return {
        "repo": str(target.manifest.repo),
        "commit": target.manifest.commit,
        "revisions": [*target.revisions, *target.heard],
        "origin": target.manifest.origin,
        "held": len(shelf.held),
        "lacking": [_row(entry) for entry in shelf.lacking],
        "suspected": pickles.rows(mirror.guard.suspects(shelf.held)),
        "command": _command(shelf) if shelf.lacking else "",
        "path": str(_place(mirror, shelf)),
    }


def _row(entry: Entry) -> dict[str, Any]:
    return {"path": entry.path, "size": entry.size, "digest": str(entry.digest)}


def _place(mirror: Mirror, shelf: Shelf) -> Path:
    return mirror.view.snapshot(shelf.target.manifest.repo, shelf.target.manifest.commit)
