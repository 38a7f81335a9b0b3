"""What the clients ask a mirror for: one Hub with something of everything that people publish.

Made material (models, tables) takes some seconds and is the same every time, so it is kept beside the
fetched material, in a folder named by what makes it.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from tests import material
from tests.conformance.machine import HERE, LIMIT_S, Machine, run, said
from tests.conformance.publishing import publish
from tests.simulator.repos import repo_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conformance.clients import Client
    from tests.simulator import HubSimulator

ODD, TWIN, CANONICAL, MANY = "acme/odd", "acme/twin", "tinygpt", "acme/many"
CHINESE, MINILM = "techthiyanes/chinese_sentiment", material.MINILM_REPO
SHARDED, PICKLED, DIFFUSION, BROWSER = "acme/sharded", "acme/pickled", "acme/diffusion", "acme/browser"
PARQUET, CSV, LINES, SPACE = "acme/parquet", "acme/csv", "acme/lines", "acme/demo"
GATED, MOVED, FORMER, MISSING = "acme/gated", "acme/moved", "acme/former", "acme/no-such-repo"

NAMES = ("a b.txt", "c++.txt", "é/ü.txt", "100%.txt", "q?#.txt")
LARGE = "model.safetensors"  # an LFS file of 2 MB
SPACES_FILE = {"app.py": b"print('hello')\n", "README.md": b"---\nsdk: gradio\n---\n"}
MANY_FILES = 1100  # more than one page of a listing
_READY = "ready"


@dataclass(frozen=True)
class Made:
    """Folders of made and fetched material."""

    chinese: Path
    models: Path  # sharded, pickled, diffusion, browser
    tables: Path  # parquet, csv, lines
    minilm: Path


@dataclass
class Shelf:
    """A Hub and what was put on it."""

    hub: HubSimulator

    def commit(self, repo: str, revision: str = "main") -> str:
        """The commit that a revision stands for."""
        return self.hub.repos[repo_id(repo)].commit(revision).id

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        """Every file of a repo's revision."""
        known = self.hub.repos[repo_id(repo)].commit(revision).files
        return {path: self.hub.content(repo, path, revision) for path in known}

    def shas(self, repo: str, revision: str = "main") -> dict[str, str]:
        """The sha256 of each of them."""
        return {path: hashlib.sha256(data).hexdigest() for path, data in self.files(repo, revision).items()}

    def rows(self, repo: str, revision: str = "main") -> dict[str, list[object]]:
        """Size, git id and sha256 (of large ones) of each."""
        stored = {path: self.hub.stored(repo, path, revision) for path in self.files(repo, revision)}
        return {p: [s.content.size, s.oid, s.digest.hex if s.large else None] for p, s in stored.items()}


def oddities(salt: str) -> dict[str, bytes]:
    """Names that clients have stumbled over, an empty file, a large one, one that a twin repo has as well."""
    files = {name: f"{salt} {name}\n".encode() for name in NAMES}
    files |= {"config.json": b'{"model_type": "bert"}\n', "empty.txt": b"", "deep/er/still.txt": salt.encode()}
    return files | {LARGE: tensors(salt), "shared.bin": b"in both repos " * 99_999}


def tensors(salt: str) -> bytes:
    """A safetensors file of 2 MB: eight bytes of length, a JSON header, numbers."""
    width = 2**19
    header = b'{"weight":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (width, 4 * width)
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + hashlib.shake_128(salt.encode()).digest(4 * width)


def fill(hub: HubSimulator, made: Made) -> Shelf:
    """Put everything on a Hub."""
    for repo in (ODD, f"datasets/{ODD}"):
        hub.add(repo, oddities(f"{repo} of the tag"), tags=("v1.0",), title="First")
        hub.add(repo, oddities(f"{repo} of main"), title="Second")
        hub.add(repo, oddities(f"{repo} proposed"), branch="feature/x", refs=("refs/pr/1",))
    hub.add(TWIN, {"shared.bin": oddities("")["shared.bin"], "config.json": b"{}"})
    hub.add(CANONICAL, {"config.json": b'{"model_type": "gpt2"}', "model.bin": b"gpt " * 999})
    hub.add(f"spaces/{SPACE}", SPACES_FILE)
    hub.add(MANY, {f"{n % 10}/{n:05}.txt": b"%d" % n for n in range(MANY_FILES)})
    hub.add(GATED, {"config.json": b"{}", "model.bin": b"secret" * 99}, gated="auto", token="hf_admitted")
    hub.add(FORMER, {"config.json": b'{"moved": true}'})
    hub.rename(FORMER, MOVED)
    models = {CHINESE: made.chinese, MINILM: made.minilm}
    models |= {repo: made.models / repo.partition("/")[2] for repo in (SHARDED, PICKLED, DIFFUSION, BROWSER)}
    tables = {f"datasets/{repo}": made.tables / repo.partition("/")[2] for repo in (PARQUET, CSV, LINES)}
    for repo, folder in (models | tables).items():
        publish(hub, repo, folder)
    return Shelf(hub)


def wanted() -> list[str]:
    """What a lab would pull beforehand."""
    revisions = [f"{repo}@{rev}" for repo in (ODD, f"datasets/{ODD}") for rev in ("main", "v1.0", "feature/x")]
    plain = [TWIN, CANONICAL, MANY, f"spaces/{SPACE}", MOVED, CHINESE, MINILM, SHARDED, PICKLED, DIFFUSION, BROWSER]
    tables = [f"datasets/{repo}" for repo in (PARQUET, CSV, LINES)]
    return [*revisions, f"{ODD}@refs/pr/1", *plain, *tables]


def made(client: Callable[[str], Client]) -> Made:
    """The material, made if it is not here. Raises MaterialMissing, ClientMissing."""
    vocab = material.chinese_vocab()
    scripts = [Path(material.__file__), *(HERE / "inside" / f"make_{what}.py" for what in ("models", "tables"))]
    print_of = hashlib.sha256(b"".join(script.read_bytes() for script in scripts)).hexdigest()[:10]
    folder = material.home() / f"made-{print_of}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / _READY).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for command in _makers(client, scripts, folder, vocab):
                done = run(command, Machine(folder).environment(), folder, limit_s=LIMIT_S)
                assert done.returncode == 0, said(done)
            (folder / _READY).touch()
    return Made(folder / "chinese", folder / "models", folder / "tables", material.minilm())


def _makers(client: Callable[[str], Client], scripts: list[Path], folder: Path, vocab: Path) -> Iterator[list[str]]:
    chinese, models, tables = map(str, scripts)
    yield [str(client("transformers-5").python), chinese, "sentiment", str(folder / "chinese"), str(vocab)]
    yield [str(client("diffusers").python), models, str(folder / "chinese"), str(folder / "models")]
    yield [str(client("datasets-5").python), tables, str(folder / "tables")]
