"""What `hfmirror import` does when it is given a bundle: into the store, or into a plain cache."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfmirror.cli.exits import say, tell
from hfmirror.errors import UnsafePickle, first_by_table, human

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfmirror.bundle import Placed, Taken, Trust
    from hfmirror.errors import MirrorError
    from hfmirror.mirror import Mirror


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a bundle is taken in."""

    trust: tuple[str, ...] = ()  # public keys, or files with one
    require_signature: bool = False

    def parsed(self) -> Trust:
        """As the core wants it. Raises UsageError."""
        from hfmirror.bundle import PublicKey, Trust

        return Trust(tuple(map(PublicKey.parse, self.trust)), self.require_signature)


def take_bundle(mirror: Mirror, folder: Path, terms: Terms, *, as_json: bool, quiet: bool) -> int:
    """A bundle into the store and its view; the exit code. Raises what `bundle.take_in` does."""
    from hfmirror.cli.carrying import Carrying

    trust = terms.parsed()
    with Carrying(0, quiet=quiet or as_json) as watch:
        taken = mirror.take_in(folder, trust, watch)
    places = [str(mirror.view.snapshot(each.manifest.repo, each.manifest.commit)) for each in taken.names]
    if not quiet:
        say(f"{folder} {taken.signature}")
        say(f"took in {taken.objects} objects, {human(taken.size)}; {taken.there} were here")
        for kept in taken.kept:
            say(kept)
    if as_json:
        print(json.dumps(_taken(folder, taken, places), ensure_ascii=False))  # noqa: T201 - the command's answer
    elif places:
        print("\n".join(places))  # noqa: T201 - as above
    return _told([*taken.problems, *_refused(mirror, taken)])


def _refused(mirror: Mirror, taken: Taken) -> list[MirrorError]:
    """What policy says no to; it stays out of the view."""
    problems: list[MirrorError] = []
    for each in taken.names:
        try:
            mirror.guard.refuse(each.manifest.repo, mirror.guard.suspects(each.manifest.entries))
        except UnsafePickle as error:
            problems.append(error)
    return problems


def fill_cache(folder: Path, cache: Path, terms: Terms, *, as_json: bool, quiet: bool) -> int:
    """A bundle into a plain cache, without a store; the exit code. Raises what `bundle.into_cache` does."""
    from hfmirror.bundle import into_cache

    placed = into_cache(folder, cache.absolute(), terms.parsed())
    if not quiet:
        say(f"{folder} {placed.signature}")
        for repo in placed.repos:
            say(f"{repo} is in {cache}")
    if as_json:
        print(json.dumps(_placed(folder, placed, cache), ensure_ascii=False))  # noqa: T201 - the command's answer
    elif placed.repos:
        print(cache)  # noqa: T201 - as above
    return _told(placed.problems)


def _told(problems: Sequence[MirrorError]) -> int:
    for problem in problems:
        tell(problem, as_json=False)
    return first_by_table(list(problems)).exit_code if problems else 0


def _taken(folder: Path, taken: Taken, places: Sequence[str]) -> dict[str, Any]:
    repos = [
        {
            "repo": str(each.manifest.repo),
            "commit": each.manifest.commit,
            "revisions": sorted({pin.revision for pin in each.pins}),
            "path": place,
        }
        for each, place in zip(taken.names, places, strict=True)
    ]
    return {
        "bundle": str(folder),
        "signature": taken.signature,
        "repos": repos,
        "objects": taken.objects,
        "size": taken.size,
        "there": taken.there,
        "stayed": taken.kept,
        "problems": _rows(taken.problems),
    }


def _placed(folder: Path, placed: Placed, cache: Path) -> dict[str, Any]:
    repos = [{"repo": repo, "commit": commit} for repo, _, commit in (each.partition("@") for each in placed.repos)]
    return {
        "bundle": str(folder),
        "signature": placed.signature,
        "repos": repos,
        "cache": str(cache),
        "problems": _rows(placed.problems),
    }


def _rows(problems: Sequence[MirrorError]) -> list[dict[str, Any]]:
    return [{"error": type(each).__name__, "message": str(each), "exit": each.exit_code} for each in problems]
