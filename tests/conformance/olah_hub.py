"""A hub that nobody here wrote: olah in offline mode, over an ordinary git checkout with LFS files.

Its ways, all of them seen: no ranges and no lengths for files, etags without quotes, an absolute
redirect for a listing, 401 for whatever is missing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.conformance.clients import Client

READY_S = 60.0
LARGE = ("*.safetensors", "*.bin", "*.gguf", "*.parquet", "*.onnx")


def lacking() -> str:
    """Why no such hub can be run here; empty when it can."""
    if shutil.which("git") is None:
        return "git is not installed"
    if subprocess.run(["git", "lfs", "version"], capture_output=True, check=False).returncode:
        return "git-lfs is not installed"
    return ""


@contextmanager
def olah(client: Client, folder: Path) -> Iterator[str]:
    """Serve the checkouts under `folder`/mirrors/{models,datasets,spaces}/owner/name; gives the endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = folder / "olah.toml"
    config.write_text(
        f'[basic]\nhost = "127.0.0.1"\nport = {port}\nrepos-path = "{folder}/olah-repos"\n'
        f'mirrors-path = ["{folder}/mirrors"]\nmirror-scheme = "http"\nmirror-netloc = "127.0.0.1:{port}"\n'
        f"[accessibility]\noffline = true\n",
        encoding="utf-8",
    )
    command = [str(client.command("olah-cli")), "-c", str(config), "--port", str(port)]
    with (folder / "olah.out").open("wb") as out:
        server = subprocess.Popen(
            [*command, "--log-path", str(folder / "log")], cwd=folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )
    try:
        _await(f"http://127.0.0.1:{port}", server, folder / "olah.out")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def check_in(folder: Path, repo: str, files: Mapping[str, bytes], tag: str) -> str:
    """Commit files to a new checkout, large ones with git-lfs; gives the real commit id."""
    place = folder / "mirrors" / repo
    place.mkdir(parents=True)
    git = _Git(place, folder)
    git("init", "-q", "-b", "main", ".")
    git("lfs", "install", "--local")
    git("lfs", "track", *LARGE)
    for path, data in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(data)
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    git("tag", tag)
    return git("rev-parse", "HEAD")


class _Git:
    """git in one checkout, blind to this account's own configuration."""

    def __init__(self, place: Path, home: Path) -> None:
        self._place = place
        person = {"NAME": "A Tester", "EMAIL": "tester@example.org"}
        author = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in person.items()}
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", **author}

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self._place, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"git {words}: {done.stderr}"
        return done.stdout.strip()


def _await(endpoint: str, server: subprocess.Popen[bytes], out: Path) -> None:
    """Wait until it answers."""
    opener = build_opener(ProxyHandler({}))
    until = time.monotonic() + READY_S
    while time.monotonic() < until and server.poll() is None:
        try:
            with opener.open(f"{endpoint}/", timeout=5):
                return
        except HTTPError as answered:
            answered.close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"olah does not answer: {out.read_text(encoding='utf-8', errors='replace')[-3000:]}")
