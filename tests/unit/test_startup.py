"""What a command may load before it answers: scripts call some of them in loops."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hfmirror.model import PART
from tests.simulator import HubSimulator, Made, served

if TYPE_CHECKING:
    from pathlib import Path

LOADED = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
"""
HEAVY = {"certifi", "filelock", "huggingface_hub", "requests", "rich", "tqdm", "urllib3", "xxhash"}
SLOW = {"ctypes", "hashlib", "secrets", "socket", "uuid"}  # milliseconds each, of the standard library
ROOMS = {f"hfmirror.{room}" for room in ("adopt", "care", "mirror", "safety", "serve", "sources", "transfer")}
SCRIPTED = HEAVY | SLOW | ROOMS | {"typer", "hfmirror.api", "hfmirror.cli.app", "hfmirror.store.disk"}


def loaded(program: str, home: Path) -> set[str]:
    """The modules that a program has loaded when it ends."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADED + program],
        env={**os.environ, "HFMIRROR_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("words", "banned"),
    [
        (["--version"], SCRIPTED | {"hfmirror.model", "hfmirror.settings", "hfmirror.store"}),
        (["env"], SCRIPTED | {"hfmirror.model", "hfmirror.store"}),
        (["path"], SCRIPTED),
        (["path", "acme/tiny"], SCRIPTED),
        (["--help"], HEAVY | ROOMS | {"hfmirror.codec", "hfmirror.model", "hfmirror.store"}),
        (["pull", "--help"], HEAVY | {"hfmirror.mirror", "hfmirror.sources", "hfmirror.store", "hfmirror.safety"}),
    ],
)
def test_a_quick_answer_loads_no_more_than_it_needs(tmp_path: Path, words: list[str], banned: set[str]) -> None:
    ref = tmp_path / "refs" / "models--acme--tiny" / "main.json"
    ref.parent.mkdir(parents=True)
    ref.write_text(json.dumps({"format": 1, "commit": "a" * 40, "checked_at": "", "authority": ""}))
    (tmp_path / "hub" / "models--acme--tiny" / "snapshots" / ("a" * 40)).mkdir(parents=True)

    anyway = loaded("", tmp_path)  # by the interpreter, and by what is installed into it
    modules = loaded(f"sys.argv = ['hfmirror', *{words!r}]\nfrom hfmirror.cli import main\nmain()", tmp_path)

    assert "hfmirror.cli.quick" in modules
    assert sorted(banned & (modules - anyway)) == []


SERVING = """
import json, socket, sys
from pathlib import Path
from urllib.parse import urlsplit
from hfmirror.mirror import Mirror
from hfmirror.settings import Settings
mirror = Mirror.open(Settings(Path(sys.argv[1]), sys.argv[2]))
with mirror.beside(print) as address:
    ready = set(sys.modules)
    with socket.create_connection((urlsplit(address).hostname, urlsplit(address).port)) as client:
        client.sendall(b"GET /acme/tiny/resolve/main/model.safetensors HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        said = client.recv(12).decode()
        print(json.dumps([said, sorted(set(sys.modules) - ready)]))
"""


def test_a_first_client_waits_for_no_module(tmp_path: Path) -> None:
    """All that it takes to begin with a cold file is loaded before the server listens."""
    hub = HubSimulator()
    hub.add("acme/tiny", {"model.safetensors": Made(3 * PART, seed=1)})
    with served(hub) as site, hub.failing(slow_rate=PART, where="cdn"):  # so that it is not over when we look
        words = [sys.executable, "-c", SERVING, str(tmp_path / "root"), site.endpoint]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == ["HTTP/1.1 200", []]
