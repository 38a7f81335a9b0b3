"""A person's machine: a home, hfmirror's root, an endpoint, and commands run in it as real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.clients import Client

HERE = Path(__file__).resolve().parent
LIMIT_S = 300.0  # for one command
_KEPT = ("PATH", "LANG", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclass
class Machine:
    """Everything a command sees; nothing of the account that runs the tests."""

    home: Path
    endpoint: str = ""
    extra: dict[str, str] = field(default_factory=dict)  # further environment variables

    @property
    def root(self) -> Path:
        """hfmirror's root."""
        return self.home / "mirror"

    @property
    def objects(self) -> dict[str, Path]:
        """The store's objects by `algorithm:hex`."""
        top = self.root / "objects"
        return {f"{p.parent.parent.name}:{p.name}": p for p in top.glob("*/*/*")}

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables of a command: few, and all of them said here."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        kept |= {"HOME": str(self.home), "HFMIRROR_HOME": str(self.root)}
        kept |= {"LC_ALL": "C.UTF-8", "NO_PROXY": "127.0.0.1,localhost", "PYTHONDONTWRITEBYTECODE": "1"}
        kept |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        if self.endpoint:
            kept["HF_ENDPOINT"] = self.endpoint
        return kept | self.extra | dict(more or {})

    def hfmirror(self, *words: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command. Where it must succeed, a failure shows all that it said."""
        done = run([sys.executable, "-m", "hfmirror", *words], self.environment(), self.home)
        assert not ok or done.returncode == 0, said(done)
        return done

    def path(self, *words: str) -> Path:
        """What `hfmirror path` prints."""
        return Path(self.hfmirror("path", *words).stdout.strip())

    def offline(self, client: Client, script: str, *words: str) -> dict[str, Any]:
        """What a script says in a client's environment under `hfmirror run`, with no way to any network.

        The way is barred twice, by a network namespace that holds nothing (where the system grants
        one) and by sockets that refuse to dial; and no dial may even have been tried.
        """
        dials = self.home / f"dials-{client.name}"
        dials.unlink(missing_ok=True)
        more = {"PYTHONPATH": str(HERE / "refusing"), "DIALS_FILE": str(dials)}
        command = [*(cut_off() or ()), sys.executable, "-m", "hfmirror", "run", "--"]
        command += [str(client.python), str(HERE / "inside" / script), *words]
        done = run(command, self.environment(more), self.home)
        assert done.returncode == 0, said(done)
        assert not dials.exists(), f"{script} tried to dial: {dials.read_text(encoding='utf-8')}"
        return answer(done)

    def online(self, client: Client, script: str, *words: str) -> dict[str, Any]:
        """What a script says with the view as its cache and the Hub in reach."""
        environment = self.environment({"HF_HUB_CACHE": str(self.path()), "HF_HUB_DISABLE_XET": "1"})
        done = run([str(client.python), str(HERE / "inside" / script), *words], environment, self.home)
        assert done.returncode == 0, said(done)
        return answer(done)

    def run_with_view(
        self, command: list[str], environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Any command under `hfmirror run`."""
        words = [*(cut_off() or ()), sys.executable, "-m", "hfmirror", "run", "--", *command]
        return run(words, environment or self.environment(), self.home)

    def with_one_variable(self, client: Client, script: str, *words: str) -> dict[str, Any]:
        """The same with `HF_HUB_CACHE="$(hfmirror path)"` and nothing else, where no route leads anywhere."""
        environment = self.environment({"HF_HUB_CACHE": str(self.path())})
        del environment["HFMIRROR_HOME"]
        environment.pop("HF_ENDPOINT", None)
        barrier = cut_off()
        assert barrier is not None, "ask `cut_off()` first"
        command = [*barrier, str(client.python), str(HERE / "inside" / script), *words]
        done = run(command, environment, self.home)
        assert done.returncode == 0, said(done)
        return answer(done)


@lru_cache(maxsize=1)
def cut_off() -> tuple[str, ...] | None:
    """The words that run a command in a network namespace without a route; None where there are none."""
    unshare = shutil.which("unshare")
    for options in ("-n", "-rn"):
        if unshare and not subprocess.run([unshare, options, "true"], capture_output=True, check=False).returncode:
            return (unshare, options)
    return None


def run(
    command: list[str], environment: dict[str, str], folder: Path, *, limit_s: float = LIMIT_S
) -> subprocess.CompletedProcess[str]:
    """One command to its end, its output as text."""
    return subprocess.run(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=limit_s,
        check=False,
    )


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON object in the last line of what a script printed."""
    lines = done.stdout.strip().splitlines()
    assert lines, said(done)
    found = json.loads(lines[-1])
    assert isinstance(found, dict), said(done)
    return found


def said(done: subprocess.CompletedProcess[str]) -> str:
    """All a command said, for the message of a failed test."""
    return f"{done.args} exited {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
