"""`hfmirror pull`: bring repos here, over any line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfmirror.cli import queue
from hfmirror.cli.exits import guarded, tell
from hfmirror.cli.options import DryRun, Exclude, From, Include, Json, LimitRate, Pickles, Quiet, Revision, Root
from hfmirror.cli.watching import watching
from hfmirror.errors import MirrorError, UsageError

if TYPE_CHECKING:
    from hfmirror.cli.watching import Display
    from hfmirror.mirror import Mirror
    from hfmirror.model import RepoId, Selection
    from hfmirror.queue.job import Value
    from hfmirror.settings import Settings
    from hfmirror.transfer.manner import Manner
    from hfmirror.transfer.plan import Plan


def command(
    context: typer.Context,
    repos: Annotated[
        list[str] | None,
        typer.Argument(metavar="REPO...", help="owner/name, datasets/owner/name, name@revision, or a page."),
    ] = None,
    revision: Revision = None,
    include: Include = None,
    exclude: Exclude = None,
    local_dir: Annotated[Path | None, typer.Option(help="Put real files of your own into this folder, too.")] = None,
    connections: Annotated[
        int | None, typer.Option(min=1, max=128, help="Connections at once; default: what fits.")
    ] = None,
    patience: Annotated[float, typer.Option(min=0, help="Seconds without a new byte until giving up.")] = 900.0,
    sources: From = None,
    limit_rate: LimitRate = None,
    pickles: Pickles = None,
    print_urls: Annotated[
        bool, typer.Option("--print-urls", help="Fetch nothing: list what is lacking, to fetch by hand and `import`.")
    ] = False,
    background: Annotated[
        bool, typer.Option("--background", help="Come back at once: a worker fetches it, one job after the other.")
    ] = False,
    priority: Annotated[
        int, typer.Option(min=-10, max=10, help="With --background: the highest goes first, then the oldest.")
    ] = 0,
    dry_run: DryRun = False,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Download repos: resumed, proven byte by byte, ready for offline.

    Run it again after any interruption: what has come is kept.

    Example: hfmirror pull google-bert/bert-base-chinese --include '*.safetensors' --include '*.json'
    """
    from hfmirror.model import Selection
    from hfmirror.transfer.manner import Manner

    wish = Wish(
        repos or [],
        revision,
        Selection(tuple(include or ()), tuple(exclude or ())),
        Manner(connections, patience),
        local_dir,
        dry_run,
        print_urls,
        limit_rate,
        pickles,
        sources,
    )
    if background or priority:
        later = Later(background, priority, queue.options_of(context), (root, as_json, quiet))
        return guarded(lambda: _let_wait(wish, later), as_json=as_json)
    return guarded(lambda: _pull_all(wish, root, as_json=as_json, quiet=quiet), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the words of the command ask for."""

    repos: list[str]
    revision: str | None
    selection: Selection
    manner: Manner
    local_dir: Path | None
    dry_run: bool
    by_hand: bool  # list what lacks instead of fetching it
    limit_rate: str | None
    pickles: str | None
    sources: list[str] | None


@dataclass(frozen=True, slots=True)
class Later:
    """How a pull in the background was asked for."""

    background: bool
    priority: int
    options: dict[str, Value]
    ways: tuple[Path | None, bool, bool]  # --root, --json, --quiet


def _let_wait(wish: Wish, later: Later) -> int:
    """Put the pulls into the queue."""
    if not later.background:
        raise UsageError("--priority is for pulls that wait for their turn", "give --background, too")
    if wish.dry_run or wish.by_hand:
        raise UsageError("--background fetches; --dry-run and --print-urls do not", "give one of them")
    _settings(wish, later.ways[0])  # what makes no sense is said now, while somebody listens
    return queue.add(_parsed(wish), wish.selection, later.options, later.priority, later.ways)


def _pull_all(wish: Wish, root: Path | None, *, as_json: bool, quiet: bool) -> int:
    """Pull each repo, whatever became of the others; the exit code of the first kind of failure in the table."""
    from hfmirror.errors import first_by_table
    from hfmirror.mirror import Mirror

    wanted = _parsed(wish)
    mirror = Mirror.open(_settings(wish, root))
    failures: list[MirrorError] = []
    for repo, revision in wanted:
        try:
            with watching(as_json=as_json, quiet=quiet) as watch:
                plan = _pull(mirror, repo, revision, wish, watch)
            if wish.by_hand:
                _list(mirror, plan, dry=wish.dry_run, as_json=as_json)
        except MirrorError as error:
            tell(error, as_json=as_json)
            failures.append(error)
    return first_by_table(failures).exit_code if failures else 0


def _settings(wish: Wish, root: Path | None) -> Settings:
    """The settings of this pull. Raises UsageError."""
    from hfmirror import settings

    return settings.current(root, wish.limit_rate).with_sources(wish.sources).with_pickles(wish.pickles)


def _parsed(wish: Wish) -> list[tuple[RepoId, str]]:
    """The repos and revisions that are meant. Raises UsageError before anything is asked or fetched."""
    from hfmirror.words import parse

    if not wish.repos:
        raise UsageError("name at least one repo to pull", "for instance: hfmirror pull google-bert/bert-base-chinese")
    if wish.local_dir is not None and len(wish.repos) > 1:
        raise UsageError("--local-dir takes one repo: two would overwrite each other's files", "pull them one by one")
    pattern = next((text for text in wish.repos if "*" in text), None)
    if pattern is not None:
        raise UsageError(f"{pattern!r} is a pattern, not a repo", f"repeat the option: --include '{pattern}'")
    return [parse(text, wish.revision) for text in wish.repos]


def _pull(mirror: Mirror, repo: RepoId, revision: str, wish: Wish, watch: Display) -> Plan:
    if wish.dry_run or wish.by_hand:
        return mirror.plan(repo, revision, wish.selection, wish.manner, watch)
    plan = mirror.pull(repo, revision, wish.selection, wish.manner, watch)
    where = mirror.view.snapshot(repo, plan.pin.commit)
    watch.done(plan, mirror.put(plan, wish.local_dir) if wish.local_dir else where)
    return plan


def _list(mirror: Mirror, plan: Plan, *, dry: bool, as_json: bool) -> None:
    """Say what a person has to fetch, and remember that it is waited for."""
    from hfmirror.cli import by_hand

    if not dry:
        mirror.wait_for(plan)
    (by_hand.print_document if as_json else by_hand.print_list)(plan, mirror.by_hand(plan))
