"""A place to start the real command in: its own store, its own home, one Hub on the loopback."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulator.faults import Armed, Faults, Weather
from tests.simulator.records import Ledger, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.simulator import HubSimulator
    from tests.simulator.faults import Case, Occasion

PART = 2**20  # bytes; what one fault may cost a connection
LONGEST_S = 100.0  # a command that takes longer hangs
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything, wherever it was written."""
        return f"{self.out}\n{self.err}"

    @property
    def lines(self) -> list[Any]:
        """Stdout as JSON, line by line: every line must be some."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Lab:
    """Runs `hfmirror` with nothing of the caller's own environment but the PATH."""

    hub: HubSimulator
    endpoint: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)  # environment for every run

    @property
    def root(self) -> Path:
        """The store."""
        return self.folder / "store"

    @property
    def cache(self) -> Path:
        """The view that Hub clients read."""
        return self.root / "hub"

    def environment(self, settings: dict[str, str] | None = None) -> dict[str, str]:
        """What a command sees; an empty value removes a setting."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        fields = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "HF_HOME": str(home / "huggingface"),
            "HFMIRROR_HOME": str(self.root),
            "HF_ENDPOINT": self.endpoint,
            "HF_HUB_DOWNLOAD_TIMEOUT": "2",  # seconds without a byte; the default of 20 is only longer
            "LANG": "C.UTF-8",
        }
        fields |= self.settings | (settings or {})
        return {name: value for name, value in fields.items() if value}

    def start(self, *words: str, settings: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """The command on its way."""
        return subprocess.Popen(
            [sys.executable, "-m", "hfmirror", *words],
            env=self.environment(settings),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def finish(self, process: subprocess.Popen[str], code: int | None = 0, longest_s: float = LONGEST_S) -> Done:
        """Wait for its end. `code` is the exit code it must have; None: any."""
        try:
            out, err = process.communicate(timeout=longest_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"still running after {longest_s:g} s\n{out}\n{err}") from None
        done = Done(process.returncode, out, err)
        assert "Traceback" not in done.said, done.said
        assert code is None or done.code == code, f"exit code {done.code}, not {code}\n{done.said}"
        return done

    def run(
        self,
        *words: str,
        code: int | None = 0,
        settings: dict[str, str] | None = None,
        longest_s: float = LONGEST_S,
    ) -> Done:
        """Start the command and wait for its end."""
        return self.finish(self.start(*words, settings=settings), code, longest_s)

    def snapshot(self, repo: str = "acme/tiny", *words: str) -> Path:
        """Where the command says the repo is."""
        from pathlib import Path

        return Path(self.run("path", repo, *words).out.removesuffix("\n"))

    def objects(self) -> dict[str, Path]:
        """What lies under `objects/`, as algorithm:name."""
        base = self.root / "objects"
        return {f"{p.relative_to(base).parts[0]}:{p.name}": p for p in base.rglob("*") if p.is_file()}

    def assert_same(self, snapshot: Path, repo: str = "acme/tiny", revision: str = "main") -> None:
        """The snapshot holds exactly what the Hub has there, by sha256."""
        assert digests(snapshot) == self.expected(repo, revision)

    def expected(self, repo: str = "acme/tiny", revision: str = "main") -> dict[str, str]:
        """The sha256 of each file the Hub has there."""
        paths = self.hub.repos[_repo(repo)].commit(revision).files
        return {path: hashlib.sha256(self.hub.content(repo, path, revision)).hexdigest() for path in paths}

    def assert_objects_sound(self) -> None:
        """Every object hashes to its name."""
        for name, path in self.objects().items():
            data = path.read_bytes()
            algorithm, _, digest = name.partition(":")
            if algorithm == "sha256":
                assert hashlib.sha256(data).hexdigest() == digest
            else:
                assert algorithm == "git-sha1"
                assert hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == digest

    def files(self) -> set[str]:
        """Every file and folder below the lab, the home of the user apart."""
        return {
            str(p.relative_to(self.folder))
            for p in self.folder.rglob("*")
            if "home" not in p.relative_to(self.folder).parts[:1]
        }


def _repo(repo: str) -> Any:
    from tests.simulator.repos import repo_id

    return repo_id(repo)


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of each file of a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def wait_until(true: Callable[[], bool], longest_s: float = 30.0) -> None:
    """Look every few milliseconds."""
    until = time.monotonic() + longest_s
    while not true():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.005)


def kill(process: subprocess.Popen[str]) -> None:
    """As the power does."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


class _Noting(Ledger):
    """A ledger that remembers which request this thread is about."""

    def __init__(self, place: threading.local) -> None:
        super().__init__()
        self._place = place

    def begin(self, record: Record) -> None:
        self._place.record = record
        super().begin(record)


class _Placed(Weather):
    """Weather in which a fault waits for the answers that begin at or behind a byte of a file."""

    def __init__(self, place: threading.local) -> None:
        super().__init__()
        self._place = place
        self.lows: dict[int, int] = {}  # by the identity of the fault

    def cases(self, occasion: Occasion) -> list[Case]:
        start = _start(self._place.record)
        return [case for case in super().cases(occasion) if start >= self.lows.get(id(case.armed), 0)]


def _start(record: Record) -> int:
    wish = (record.range or "").removeprefix("bytes=")
    return int(wish.partition("-")[0] or 0)


def place_faults(hub: HubSimulator) -> None:
    """From now on faults can be bound to a place in a file: `failing_from`."""
    place = threading.local()
    hub.weather, hub.ledger = _Placed(place), _Noting(place)


@contextlib.contextmanager
def failing_from(hub: HubSimulator, low: int, faults: Faults) -> Iterator[Armed]:
    """Like `hub.failing`, for answers about the bytes of a file from `low` on."""
    assert isinstance(hub.weather, _Placed)
    armed = Armed(faults)
    hub.weather.lows[id(armed)] = low
    hub.weather.add(armed)
    try:
        yield armed
    finally:
        hub.weather.remove(armed)
