"""A mirror that serves, started as people start it, and what the tests ask of it."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.behaviour.lab import PART, Lab, wait_until
from tests.behaviour.serve.wire import PATIENCE_S, Answer, Line, ask

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import TypeVar

    Given = TypeVar("Given")
    Made = TypeVar("Made")

__all__ = ["PART", "Lab", "Serving", "Trap", "all_at_once", "bearer", "cold", "resolve", "serve", "wait_until"]

_START_S = 30.0  # a server that says nothing for so long will not come
STOP_WITHIN_S = 2  # what tests give a server to finish in


@dataclass
class Serving:
    """A running `hfmirror serve`."""

    process: subprocess.Popen[bytes]
    address: str  # where it listens: scheme, host and port
    prefix: str
    out: Path
    err: Path
    tls: ssl.SSLContext | None = None

    @property
    def base(self) -> str:
        """For HF_ENDPOINT."""
        return self.address + self.prefix

    def ask(
        self,
        target: str,
        method: str = "GET",
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        token: str = "",
        timeout_s: float = PATIENCE_S,
    ) -> Answer:
        """One request on a connection of its own, to `target` behind the prefix."""
        fields = {**(headers or {}), **(bearer(token) if token else {})}
        return ask(
            self.address, self.prefix + target, method, headers=fields, body=body, timeout_s=timeout_s, tls=self.tls
        )

    def line(self, timeout_s: float = PATIENCE_S) -> Line:
        """A connection."""
        return Line(self.address, timeout_s, self.tls)

    @property
    def said(self) -> str:
        """Everything it wrote, for people and for machines."""
        return self.out.read_text() + self.err.read_text()

    @property
    def rss(self) -> int:
        """Bytes of memory it and its children hold."""
        return sum(map(_rss, _family(self.process.pid)))

    @property
    def fresh(self) -> bool:
        """Whether it lives."""
        return self.process.poll() is None

    def end(self, longest_s: float = STOP_WITHIN_S + 10) -> int:
        """Ask it to stop; its exit code. Raises AssertionError when it does not."""
        if self.fresh:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(longest_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {longest_s:g} s after SIGTERM\n{self.said}") from None
        assert "Traceback" not in self.said, self.said
        return code

    def kill(self) -> None:
        """As the power does."""
        self.process.kill()
        self.process.wait()


def _family(pid: int) -> list[int]:
    from pathlib import Path

    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            found += map(int, children)
    return found


def _rss(pid: int) -> int:
    from pathlib import Path

    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(kib) * 1024


@contextlib.contextmanager
def serve(
    lab: Lab,
    *words: str,
    settings: dict[str, str] | None = None,
    prefix: str = "",
    upstream: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Serving]:
    """A server on a free port of the loopback, over the lab's store; gone when the `with` ends.

    It must end well, unless the test has ended it.
    """
    number = sum(1 for _ in lab.folder.glob("serve-*.out"))
    out, err = lab.folder / f"serve-{number}.out", lab.folder / f"serve-{number}.err"
    line = [sys.executable, "-m", "hfmirror", "serve", "--json", "--port", "0", "--prefetch", "none"]
    line += ["--stop-within", str(STOP_WITHIN_S), "--upstream", upstream or lab.endpoint]
    line += ["--prefix", prefix] if prefix else []
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [*line, *words],
            env=lab.environment({"HF_ENDPOINT": "", "HF_HUB_DOWNLOAD_TIMEOUT": "", **(settings or {})}),
            cwd=lab.folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    serving = Serving(process, "", prefix, out, err, tls)
    try:
        wait_until(lambda: b"\n" in out.read_bytes() or not serving.fresh, _START_S)
        assert serving.fresh, serving.said
        said: dict[str, Any] = json.loads(out.read_text().partition("\n")[0])
        assert said["event"] == "serving"
        serving.address = str(said["addresses"][0]).removesuffix("/").removesuffix(prefix)
        yield serving
        if serving.process.poll() is None:
            assert serving.end() == 0, serving.said
    finally:
        if serving.fresh:
            serving.kill()


def resolve(repo: str, path: str, revision: str = "main") -> str:
    """Where a file is asked for, as the Python client spells it."""
    return f"/{repo}/resolve/{quote(revision, safe='')}/{quote(path)}"


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def cold(lab: Lab) -> None:
    """Forget every answer of the Hub that was remembered as fresh: make all refs an hour older."""
    for ref in (lab.root / "refs").rglob("*.json"):
        said = json.loads(ref.read_text())
        said["checked_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
        ref.write_text(json.dumps(said, indent=0, sort_keys=True) + "\n")


def all_at_once(do: Callable[[Given], Made], over: Sequence[Given]) -> list[Made]:
    """The same thing in as many threads, begun together."""
    together = threading.Barrier(len(over))

    def one(given: Given) -> Made:
        together.wait(PATIENCE_S)
        return do(given)

    with ThreadPoolExecutor(len(over)) as pool:
        return list(pool.map(one, over))


class Trap:
    """An address nobody has any business with: it takes note of who dials it, and of what is said."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.netloc = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"http://{self.netloc}"
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with sock:
                    sock.settimeout(1)
                    self.heard.append(b"")
                    with contextlib.suppress(OSError):
                        self.heard[-1] = sock.recv(2**16)

    def __enter__(self) -> Trap:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
