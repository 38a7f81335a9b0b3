"""The ends of the line in a soak: a Hub with a repo of many files that changes, and a mirror that serves it."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.behaviour.serve.lab import serve
from tests.faults.soak_check import REPO
from tests.simulator import Faults, Made

if TYPE_CHECKING:
    import random

    from tests.behaviour.lab import Lab
    from tests.behaviour.serve.lab import Serving
    from tests.simulator import HubSimulator

# Sizes: how many of a hundred files, and between how many bytes they have.
SIZES = (
    (4, (0, 0)),
    (60, (1, 20_000)),
    (24, (20_000, 400_000)),
    (9, (400_000, 2_500_000)),
    (3, (3_000_000, 12_000_000)),
)
STEADY = Faults(slow_rate=1e6)  # bytes a second of each connection of the Hub: so that there is time for mishaps
STALL_S = "2"  # seconds without a byte

# What may befall the Hub's answers. Where a number of times is missing, `weather` makes one up.
STORMS = (
    Faults(reset_after=40_000, where="files"),
    Faults(reset_after=0, every=3_000_000, where="files"),
    Faults(cut_after=70_000, where="files"),
    Faults(cut_after=300, where="api"),
    Faults(stall_after=10_000, stall_s=600, where="cdn"),
    Faults(status=503, where="files"),
    Faults(status=503, where="api"),
    Faults(status=429, retry_after_s=1, where="files"),
    Faults(status=429, rate_limit_s=1, where="api"),
    Faults(ignore_range=True, where="cdn"),
    Faults(wrong_range="header", where="cdn"),
    Faults(gzip_anyway=True, where="files"),
    Faults(html_200=True, where="files"),
    Faults(html_200=True, where="api"),
    Faults(json_error_200=True, where="api"),
    Faults(status=403, where="cdn"),
    Faults(expire_after_uses=1, where="files"),
    Faults(short_length=100, where="files"),
    Faults(close_without_answer=True),
    Faults(redirect_to="http://cdn.invalid{target}", where="resolve"),
    Faults(garbage_at=500, where="files"),
    Faults(garbage_at=1_500_000, where="cdn"),
    Faults(latency_s=1.0),
    Faults(slow_rate=200_000, where="files"),
)


@dataclass
class Shelf:
    """The repo as it is on the Hub, and what each of its commits holds."""

    hub: HubSimulator
    chance: random.Random
    files: int
    _now: dict[str, Made] = field(default_factory=dict)
    _sums: dict[Made, str] = field(default_factory=dict)
    expected: dict[str, dict[str, str]] = field(default_factory=dict)  # of each commit, the SHA-256 of each path
    objects: dict[str, dict[str, str]] = field(default_factory=dict)  # of each commit, the object's name of each path

    def publish(self) -> str:
        """A commit that is new: all files at first, and later some of them changed. Its id."""
        names = [
            f"{number % 7}/file-{number:03}.{'safetensors' if number % 3 else 'txt'}" for number in range(self.files)
        ]
        changed = names if not self._now else self.chance.sample(names, self.chance.randint(1, self.files))
        for name in changed:
            self._now[name] = Made(self._size(), seed=self.chance.randrange(60))
        commit = self.hub.add(REPO, dict(self._now))
        self.expected[commit] = {name: self._sum(made) for name, made in self._now.items()}
        self.objects[commit] = {name: self.hub.stored(REPO, name).entry.digest.hex for name in self._now}
        return str(commit)

    def _size(self) -> int:
        weights = [weight for weight, _ in SIZES]
        low, high = self.chance.choices([bounds for _, bounds in SIZES], weights)[0]
        return self.chance.randint(low, high)

    def _sum(self, made: Made) -> str:
        if made not in self._sums:
            hasher = hashlib.sha256()
            for chunk in made.read(0, made.size):
                hasher.update(chunk)
            self._sums[made] = hasher.hexdigest()
        return self._sums[made]


class MirrorEnd:
    """`hfmirror serve` over a store of its own, always at the same address. It can be killed and started again."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._port = "0"
        self._stack = ExitStack()
        self.serving: Serving

    def start(self) -> None:
        """Begin to serve."""
        words = ("--port", self._port)
        self.serving = self._stack.enter_context(serve(self.lab, *words, settings={"HF_HUB_DOWNLOAD_TIMEOUT": STALL_S}))
        self._port = self.serving.address.rpartition(":")[2]

    def kill(self) -> None:
        """As the power does."""
        self.serving.kill()
        self._stack.close()

    def end(self) -> None:
        """No more of it, whatever state it is in."""
        if self.serving.fresh:
            self.kill()

    def stop(self) -> None:
        """As an administrator does; it must end well."""
        self._stack.close()

    @property
    def stumbled(self) -> bool:
        """Whether it ever said that something went wrong in a way it does not know."""
        return any("Traceback" in path.read_text() for path in self.lab.folder.glob("serve-*.err"))
