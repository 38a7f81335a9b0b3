"""What `inside/remote.py` is asked, and which answers are right in which state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.conformance import shelf as on
from tests.conformance.scenes import DIRECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from tests.conformance.scenes import Scene

    Fits: TypeAlias = Callable[[Any], bool]
    Row: TypeAlias = dict[str, Any]

SPANS = [[0, 8], [1_000_000, 1_000_500], [2_097_000, 2_097_200], [5, 70_000]]
PATTERNS = ["*.txt", "deep/*"]
WIDTH = 2**19  # numbers in the large file


@dataclass(frozen=True)
class Question:
    """A wish of `remote.py`, and the answer that is right, or what it must fulfil."""

    wish: dict[str, Any]
    right: Any

    def fits(self, said: Any) -> bool:
        """Whether this answer is right."""
        return bool(self.right(said)) if callable(self.right) else bool(said == self.right)


def about(repo: str, revision: str = "main") -> dict[str, str]:
    """Repo, kind and revision as `remote.py` takes them."""
    kind, _, name = repo.partition("s/")
    if kind in {"dataset", "space"}:
        return {"repo": name, "kind": kind, "revision": revision}
    return {"repo": repo, "kind": "model", "revision": revision}


def error(kind: str, *, remembered: bool = False, never: str = "") -> Fits:
    """A download that ends with this error or one below it, and leaves the absence remembered or not."""

    def fits(said: dict[str, Any]) -> bool:
        return kind in said["error"] and never not in said["error"] and said["remembered"] is remembered

    return fits


def files(scene: Scene) -> Iterator[Question]:
    """Every file, by every way of naming its revision, of every kind of repo."""
    shelf, main = scene.shelf, scene.shelf.commit(on.ODD)
    revisions = ("main", "v1.0", "feature/x", "refs/pr/1", main, main[:8])
    asked = [(on.ODD, revision) for revision in revisions]
    asked += [(repo, "main") for repo in (f"datasets/{on.ODD}", f"spaces/{on.SPACE}", on.TWIN, on.CANONICAL)]
    for repo, revision in asked:
        shas = shelf.shas(repo, revision)
        right = {"files": shas, "commits": [shelf.commit(repo, revision)]}
        yield Question({"act": "files", **about(repo, revision), "paths": sorted(shas)}, right)


def snapshots(scene: Scene) -> Iterator[Question]:
    """Whole, and by patterns."""
    whole = {"commit": scene.shelf.commit(on.ODD), "files": scene.shelf.shas(on.ODD)}
    yield Question({"act": "snapshot", **about(on.ODD), "patterns": None}, whole)
    repo, tag = f"datasets/{on.ODD}", "v1.0"
    shas = {path: sha for path, sha in scene.shelf.shas(repo, tag).items() if path.endswith(".txt")}
    some = {"commit": scene.shelf.commit(repo, tag), "files": shas}
    yield Question({"act": "snapshot", **about(repo, tag), "patterns": PATTERNS}, some)


def absences(scene: Scene) -> Iterator[Question]:
    """A missing file is remembered; what this mirror merely does not have is not."""
    yield Question({"act": "absent", **about(on.ODD), "path": "no.txt"}, error("EntryNotFoundError", remembered=True))
    asked = {
        "RevisionNotFoundError": about(on.ODD, "no-such-branch"),
        # Over plain http the client does not see what the Hub's bare 401 means; the mirror says it with a code.
        "OSError" if scene.state == DIRECT else "RepositoryNotFoundError": about(on.MISSING),
        "GatedRepoError": about(on.GATED),
    }
    for kind, where in asked.items():
        denied = error(kind) if scene.reaches_hub else error("LocalEntryNotFoundError", never=kind)
        yield Question({"act": "absent", **where, "path": "config.json"}, denied)


def listings(scene: Scene) -> Iterator[Question]:
    """Trees, some paths, a repo with its files, one file's head."""
    shelf = scene.shelf
    for repo, revision in ((on.ODD, "main"), (on.ODD, "refs/pr/1"), (f"datasets/{on.ODD}", "v1.0"), (on.MANY, "main")):
        rows, commit = shelf.rows(repo, revision), shelf.commit(repo, revision)
        folders = sorted({path[:end] for path in rows for end, letter in enumerate(path) if letter == "/"})
        listed: Row = {"files": rows, "folders": folders, "named": sorted(rows)}
        yield Question({"act": "tree", **about(repo, revision)}, listed)
        told: Row = {"id": about(repo)["repo"], "sha": commit, "siblings": rows}
        yield Question({"act": "info", **about(repo, revision)}, told)
    rows = shelf.rows(on.ODD)
    some = {path: rows[path] for path in (*on.NAMES, "empty.txt", on.LARGE)} | {"deep": "folder"}
    yield Question({"act": "paths", **about(on.ODD), "paths": [*some, "no.txt"]}, some)
    for path in (on.LARGE, "c++.txt", "empty.txt"):
        size, git_id, sha256 = rows[path]
        head = {"etag": sha256 or git_id, "size": size, "commit": shelf.commit(on.ODD)}
        yield Question({"act": "metadata", **about(on.ODD), "path": path}, head)


def pasts(scene: Scene) -> Iterator[Question]:
    """Refs and history; offline at least what this mirror has seen of them."""
    main, tag = scene.shelf.commit(on.ODD), scene.shelf.commit(on.ODD, "v1.0")
    pull = scene.shelf.commit(on.ODD, "refs/pr/1")
    all_refs = {
        "branches": {"refs/heads/main": main, "refs/heads/feature/x": pull},
        "tags": {"refs/tags/v1.0": tag},
        "pulls": {"refs/pr/1": pull},
    }
    seen = all_refs if scene.reaches_hub else (lambda said: said["branches"]["refs/heads/main"] == main)
    yield Question({"act": "refs", **about(on.ODD)}, seen)
    history = [main, tag] if scene.reaches_hub else (lambda said: said[0] == main)
    yield Question({"act": "commits", **about(on.ODD)}, history)


def pieces(scene: Scene) -> Iterator[Question]:
    """The file system, ranges of a large file, the header of a safetensors file."""
    files = scene.shelf.files(on.ODD)
    large = files[on.LARGE]
    right = {
        "ls": sorted({path.partition("/")[0] for path in files}),
        "glob": sorted(path for path in files if path.endswith(".txt")),
        "size": len(large),
        "pieces": [hashlib.sha256(large[start:stop]).hexdigest() for start, stop in SPANS],
    }
    wish = {"act": "filesystem", "repo": on.ODD, "pattern": "**/*.txt", "path": on.LARGE, "spans": SPANS}
    yield Question(wish, right)
    yield Question({"act": "tensors", "repo": on.ODD}, {"sharded": False, "count": WIDTH, "tensors": 1})


def yes_and_no(scene: Scene) -> Iterator[Question]:
    """What exists, and what a search finds among what is here."""
    right = {"file": True, "no file": False, "repo": True, "revision": True}
    yield Question({"act": "exist", "repo": on.ODD, "path": "c++.txt", "revision": "v1.0"}, right)
    for kind, repo, options in (
        ("model", on.ODD, {"search": "odd"}),
        ("model", on.ODD, {"author": "acme", "limit": 50}),
        ("dataset", on.ODD, {"search": "OD"}),
        ("space", on.SPACE, {"search": "demo"}),
    ):
        word = str(options.get("search") or "acme/").lower()

        def found(said: list[str], repo: str = repo, word: str = word) -> bool:
            mine = scene.state == DIRECT or all(word in name.lower() for name in said)
            return repo in said and mine and len(said) == len(set(said))

        yield Question({"act": "search", "kind": kind, "options": options}, found)


def renamed(scene: Scene) -> Iterator[Question]:
    """By the name a repo had before, and in another case: the Hub redirects, so a mirror finds it too."""
    if not scene.reaches_hub:
        return
    for asked, repo in ((on.FORMER, on.MOVED), (on.TWIN.upper(), on.TWIN)):
        sha = scene.shelf.shas(repo)["config.json"]
        right = {"files": {"config.json": sha}, "commits": [scene.shelf.commit(repo)]}
        yield Question({"act": "files", **about(asked), "paths": ["config.json"]}, right)


def local(scene: Scene) -> list[Question]:
    """What a client answers from its own cache once it has it."""
    return [*files(scene), *snapshots(scene)]


def everything(scene: Scene) -> list[Question]:
    """All of it, the searches at the end."""
    parts = (files, snapshots, absences, listings, pasts, pieces, renamed, yes_and_no)
    return [question for part in parts for question in part(scene)]
