"""One mirror for many tests that each bring repos of their own: nothing of one test is held in another."""

from __future__ import annotations

import itertools
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.behaviour.serve.lab import PART, Lab, Serving, resolve, serve, wait_until
from tests.simulator import HubSimulator, Made, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.behaviour.serve.wire import Answer
    from tests.simulator.content import Given

FILE = "model.safetensors"
_numbers = itertools.count(1)


@dataclass
class Published:
    """A repo with one large file that nobody has seen before."""

    name: str
    data: bytes = field(repr=False)
    commit: str
    digest: str  # sha256 of the large file

    @property
    def size(self) -> int:
        """Bytes of the large file."""
        return len(self.data)

    def target(self, revision: str = "main", path: str = FILE) -> str:
        """Where the file is asked for."""
        return resolve(self.name, path, revision)


@dataclass
class Stage:
    """A Hub, a store, and a mirror between them."""

    hub: HubSimulator
    lab: Lab
    mirror: Serving
    stack: ExitStack = field(default_factory=ExitStack)

    def publish(self, size: int, files: dict[str, Given] | None = None, *, kind: str = "") -> Published:
        """A new repo, its large file unlike any other."""
        number = next(_numbers)
        name, weights = f"{kind}lab/r{number}", Made(size, seed=1000 + number)
        commit = self.hub.add(name, {FILE: weights, "config.json": b'{"n":%d}' % number, **(files or {})})
        return Published(name, weights.data(), commit, self.hub.stored(name, FILE).digest.hex)

    def twin(self, of: Published) -> Published:
        """Another repo with the same large file."""
        name = f"lab/r{next(_numbers)}"
        commit = self.hub.add(name, {FILE: of.data, "README.md": name})
        return Published(name, of.data, commit, of.digest)

    def ask(self, target: str, **fields: str) -> Answer:
        """A GET with header fields (`_` for `-`)."""
        return self.mirror.ask(target, headers={name.replace("_", "-"): value for name, value in fields.items()})

    def holds(self, digest: str) -> bool:
        """Whether the store has this object."""
        return (self.lab.root / "objects" / "sha256" / digest[:2] / digest).exists()

    def asked(self, repo: Published) -> int:
        """Requests for bytes of this repo's files that reached the Hub."""
        return sum(self.hub.count(kind, repo=repo.name) for kind in ("resolve", "resolve-cache", "cdn", "raw"))

    def bytes_of(self, *repos: Published) -> int:
        """Bytes of these repos' files that left the Hub."""
        names = {repo.name for repo in repos}
        return sum(r.sent for r in self.hub.requests if r.repo in names and r.kind in {"cdn", "resolve-cache"})

    def sent_tail(self, repo: Published) -> bool:
        """Whether the last bytes of the large file have left the Hub."""
        asked = [r for r in self.hub.requests if r.repo == repo.name and r.kind == "cdn" and r.range]
        ends = [(int(r.range.partition("=")[2].partition("-")[0] or 0) + r.sent, r.sent) for r in asked if r.range]
        return any(sent and end == repo.size for end, sent in ends)

    def once(self, *repos: Published) -> bool:
        """Whether the large file left the Hub once: 1.02 times and a part, for what was given up on the way."""
        self.hub.settle()
        sent = self.bytes_of(*repos)
        assert sent <= repos[0].size * 1.02 + PART, f"{sent / repos[0].size:.2f} times the file"
        return True

    def until_held(self, repo: Published) -> None:
        """Wait for the large file to be in the store."""
        wait_until(lambda: self.holds(repo.digest))


@contextmanager
def staged(folder: Path, *words: str, settings: dict[str, str] | None = None) -> Iterator[Stage]:
    """A mirror with these options on a Hub of its own."""
    hub = HubSimulator()
    with served(hub) as site:
        lab = Lab(hub, site.endpoint, folder)
        with serve(lab, *words, settings=settings) as mirror:
            yield Stage(hub, lab, mirror)
