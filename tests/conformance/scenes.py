"""The states in which every client meets the mirror, and what the mirror promises in each.

- **warm**: all of it was pulled before; the Hub is there, and is asked for names only.
- **cold**: nothing is here; it comes through from the Hub, every content once.
- **offline**: all of it was pulled before; the Hub is gone, the server runs with `--offline` and dials nothing.

With HFMIRROR_CONFORMANCE_DIRECT set there is a fourth, **direct**: the clients against the simulated Hub
itself, to tell a fault of the server from a fault of a test. It does not advertise Xet then.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.conformance.clients import client, packages
from tests.conformance.machine import HERE, Machine, answer, run, said
from tests.conformance.rules import broken
from tests.conformance.serving import serving
from tests.conformance.tap import Exchange, Tap, tapped
from tests.simulator.repos import repo_id
from tests.simulator.routes import route

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

    from tests.conformance.clients import Client
    from tests.conformance.shelf import Shelf
    from tests.simulator import HubSimulator, Served

STATES = ("warm", "cold", "offline")
DIRECT = "direct"
_REFUSED = "dials.txt"  # what a process tried to reach beside its one place


def states() -> tuple[str, ...]:
    """Those of this run."""
    return (*STATES, DIRECT) if os.environ.get("HFMIRROR_CONFORMANCE_DIRECT") else STATES


@dataclass(repr=False)
class Scene:
    """A mirror in one state, and a person's machine that knows nothing but its address."""

    state: str
    shelf: Shelf
    tap: Tap
    mirror: Machine
    person: Machine
    beside: tuple[str, ...] = ()  # further origins that clients may reach
    refused: list[str] = field(default_factory=list)  # names that clients are known to look up in vain
    exchanges: list[Exchange] = field(default_factory=list)  # of all that ran so far

    @property
    def hub(self) -> HubSimulator:
        """The upstream."""
        return self.shelf.hub

    @property
    def reaches_hub(self) -> bool:
        """Whether somebody can say what does not exist."""
        return self.state != "offline"

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a person sets, and the guard that keeps clients from going elsewhere."""
        places = ",".join(urlsplit(origin).netloc for origin in (self.tap.endpoint, *self.beside))
        own = {"HF_ENDPOINT": self.tap.endpoint, "HF_HOME": str(self.person.home / "hf")}
        own |= {"HF_HUB_DISABLE_UPDATE_CHECK": "1"}  # asks an index of packages, not a Hub
        own |= {"PYTHONPATH": str(HERE / "guarded"), "NODE_OPTIONS": f"--require {HERE / 'guarded' / 'guard.cjs'}"}
        own |= {"DIALS_ALLOWED": places, "DIALS_FILE": str(self.person.home / _REFUSED)}
        kept = self.person.environment(own)
        for name in ("HFMIRROR_HOME", "HF_HUB_DISABLE_TELEMETRY"):  # telemetry, too, is asked of the mirror
            kept.pop(name, None)
        return kept | dict(more or {})

    def python(self, client: Client, script: str, *words: str, more: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What a script says in a client's environment."""
        done = self.command(str(client.python), str(HERE / "inside" / script), *words, more=more)
        return answer(done)

    def node(self, script: str, *words: str) -> dict[str, Any]:
        """What a script says in Node."""
        more = {"NODE_FOLDER": str(packages()), "HF_HUB_CACHE": str(self.person.home / "hf" / "hub")}
        program = str(client("node").command("node"))
        return answer(self.command(program, str(HERE / "inside" / script), *words, more=more))

    def command(
        self, *words: str, more: Mapping[str, str] | None = None, ok: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Any command of the person; what it said to the mirror is judged in `promises`."""
        done = run(list(words), self.environment(more), self.person.home)
        self.exchanges += self.tap.take()
        assert not ok or done.returncode == 0, f"{said(done)}\n{self.transcript()}"
        return done

    def transcript(self) -> str:
        """What was asked so far, for the message of a failed test."""
        return "\n".join(map(str, self.exchanges[-80:]))

    def afresh(self) -> None:
        """From here on the person is somebody who has nothing."""
        shutil.rmtree(self.person.home / "hf", ignore_errors=True)

    def promises(self) -> bool:
        """Whether the mirror and the clients kept what this state promises."""
        elsewhere = self.person.home / _REFUSED
        dialled = elsewhere.read_text(encoding="utf-8").splitlines() if elsewhere.exists() else []
        went = sorted({place for place in dialled if place not in self.refused})
        assert not went, f"a client went elsewhere: {went}"
        if self.state == DIRECT:
            return True
        rules = broken(self.exchanges)
        assert not rules, "\n".join(rules)
        if self.state == "warm":
            self.hub.settle()
            assert self.hub.bytes_served == 0, [record.path for record in self.hub.requests]
        elif self.state == "cold":
            self.hub.settle()
            again = {digest: count for digest, count in fills(self.hub).items() if count > 1}
            assert not again, f"fetched more than once: {again}\n{upstream(self.hub)}"
        return True


def upstream(hub: HubSimulator) -> str:
    """What the Hub was asked, for the message of a failed test."""
    asked = [one for one in hub.requests if one.kind in {"resolve", "resolve-cache", "cdn"}]
    return "\n".join(f"{one.method} {one.path[:90]} {one.file} {one.range} -> {one.status} {one.sent}" for one in asked)


def fills(hub: HubSimulator) -> Counter[str]:
    """How often each content was begun to be fetched: each time its address is asked for once."""
    begun: Counter[str] = Counter()
    for record in hub.requests:
        about = route(record.origin, record.path)
        if record.kind == "resolve" and record.method == "GET" and record.status in {200, 206, 302, 307} and about.repo:
            known = hub.repos.get(repo_id(about.repo))
            if known is not None:  # a former name is redirected to the present one, which is counted
                begun[str(hub.stored(about.repo, record.file, about.split(known)[0]).digest)] += 1
    return begun


@contextmanager
def scene(state: str, shelf: Shelf, site: Served, stocked: Machine, folder: Path) -> Iterator[Scene]:
    """A mirror in this state, with a tap before it. `stocked` is a machine that has pulled everything."""
    person = Machine(folder / "person")
    person.home.mkdir()
    with ExitStack() as stack:
        mirror = Machine(folder / "mirror", site.endpoint)
        mirror.home.mkdir()
        if state in {"warm", "offline"}:  # its own copy, so that no test finds what another one left
            shutil.copytree(stocked.root, mirror.root, symlinks=True, copy_function=_lend)
        if state == DIRECT:
            endpoint = site.endpoint
            stack.callback(setattr, shelf.hub, "xet", shelf.hub.xet)
            shelf.hub.xet = False
        else:
            endpoint = stack.enter_context(_serving(state, shelf, mirror, folder))
        shelf.hub.settle()
        shelf.hub.reset_counts()
        tap = stack.enter_context(tapped(endpoint))
        yield Scene(state, shelf, tap, mirror, person, (site.cdn_origin,) if state == DIRECT else ())


def _lend(source: str, target: str) -> None:
    """Copy a file; one that nobody may write, as all contents are, is linked instead."""
    if Path(source).is_symlink() or Path(source).stat().st_mode & stat.S_IWUSR:
        shutil.copy2(source, target, follow_symlinks=False)
    else:
        os.link(source, target)


@contextmanager
def _serving(state: str, shelf: Shelf, mirror: Machine, folder: Path) -> Iterator[str]:
    """The server. Offline nobody listens upstream, every dial is refused, and none may be tried."""
    if state != "offline":
        with serving(mirror) as server:
            yield server.endpoint
        return
    dials = folder / _REFUSED
    more = {"PYTHONPATH": str(HERE / "guarded"), "DIALS_ALLOWED": "", "DIALS_FILE": str(dials)}
    with shelf.hub.failing(refuse=True), serving(mirror, "--offline", more=more) as server:
        yield server.endpoint
    assert not dials.exists(), f"with --offline it tried to dial: {dials.read_text(encoding='utf-8')}"
