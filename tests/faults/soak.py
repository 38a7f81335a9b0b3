"""Random faults, kills and restarts, for as long as told; then nothing may be lost, wrong or left over.

python -m tests.faults.soak --minutes 30 --seed 1

A repo of 300 files of all sizes is pulled through a mirror, or from its Hub; it changes, and is pulled again. All the
while the Hub misbehaves and goes away, the mirror and the pull are killed and started again. What is done, and in which
order, follows from the seed; how that falls together with the transfers, and so how much of it is done before a pull
is through, depends on the machine.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.behaviour.lab import Lab
from tests.behaviour.serve.lab import cold
from tests.faults.soak_check import FOLDER, REPO, wrong_files, wrong_store
from tests.faults.soak_world import STALL_S, STEADY, STORMS, MirrorEnd, Shelf
from tests.simulator import Faults, HubSimulator, served

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from tests.simulator import Armed

PAUSE_S = (0.1, 1.2)  # between two mishaps
LONGEST_S = 600.0  # a pull that takes longer although nothing goes wrong any more hangs; two connections need minutes
MISHAPS = (5, 30)  # in one round, until the line is left in peace
# Exit codes a pull may end with: well; too long without a byte; wrong bytes twice in a row, met by the mirror or by us.
LIVES = (0, 5, 6, 7)
AWAY_S = (0.2, 2.5)  # for which the Hub is not there
MIXTURE = {"storm": 50, "calm": 12, "kill": 14, "hub away": 8, "mirror killed": 10, "mirror stopped": 6}


@dataclass(frozen=True, slots=True)
class Mishap:
    """Something that is to go wrong."""

    pause_s: float  # before it
    what: str
    storm: Faults
    away_s: float

    @classmethod
    def drawn(cls, chance: random.Random) -> Mishap:
        """Any of them, with what is usual more often."""
        what = chance.choices([*MIXTURE], [*MIXTURE.values()])[0]
        storm = replace(chance.choice(STORMS), times=chance.choice([1, 2, 5, 20]))
        return cls(chance.uniform(*PAUSE_S), what, storm, chance.uniform(*AWAY_S))


class Soak:
    """Two stores, a Hub, and what is done to them."""

    def __init__(self, folder: Path, seed: int, files: int, *, loud: bool = True) -> None:
        self.folder, self.seed, self.files, self._loud = folder, seed, files, loud
        self.hub = HubSimulator()
        self.did: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._begun = time.monotonic()
        self._weather: ExitStack
        self._armed: list[Armed] = []
        self.shelf = Shelf(self.hub, random.Random(seed), files)
        self.mirror: MirrorEnd
        self.lab: Lab

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Both ends are up."""
        with ExitStack() as stack:
            stack.enter_context(self.hub.failing(STEADY))
            self._weather = stack.enter_context(ExitStack())
            site = stack.enter_context(served(self.hub))
            for name in ("mirror", "lab"):
                (self.folder / name).mkdir()
            self.mirror = MirrorEnd(Lab(self.hub, site.endpoint, self.folder / "mirror"))
            self.mirror.start()
            stack.callback(self.mirror.end)
            self.lab = Lab(self.hub, site.endpoint, self.folder / "lab", {"HF_HUB_DOWNLOAD_TIMEOUT": STALL_S})
            yield

    def run(self, seconds: float) -> None:
        """Rounds until the time is over; then the last look."""
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until and not self.wrong:
                self.round(until)
            if not self.wrong:
                self._say("the last look")
                self.look_at_all()
        except AssertionError as problem:
            self.wrong.append(str(problem))

    # -- one round ------------------------------------------------------------------------------

    def round(self, until: float) -> None:
        """A new commit, and everything in its way; in the end it is here."""
        commit = self._published()
        self.did["rounds"] += 1
        chance = random.Random(f"{self.seed} {self.did['rounds']}")
        mishaps = deque(Mishap.drawn(chance) for _ in range(chance.randint(*MISHAPS)))
        removed, swept = chance.random() < 0.3, chance.random() < 0.5
        self._say(f"round {self.did['rounds']}: commit {commit[:8]}, {len(mishaps)} mishaps to come")
        while not self.wrong:
            process = self._pull(chance)
            while mishaps and process.poll() is None and time.monotonic() < until:
                self._suffer(mishaps.popleft(), process)
            if not mishaps or time.monotonic() >= until:
                self._calm()
            if self._ended(process) and (self.lab.cache / FOLDER / "refs" / "main").read_text() == commit:
                self._calm()
                self._look_at(commit)
                self._tidy(removed=removed, swept=swept)
                return

    def _published(self) -> str:
        """A new commit, an hour after the last one: by now the mirror asks again where the branch leads."""
        self.mirror.stop()
        cold(self.mirror.lab)
        commit = self.shelf.publish()
        self.mirror.start()
        return commit

    def _pull(self, chance: random.Random) -> subprocess.Popen[str]:
        through = chance.random() < 0.7
        ends = [self.mirror.serving.address, self.lab.endpoint]
        endpoint, other = ends if through else reversed(ends)
        words = ["pull", REPO, "--quiet", "--patience", "20"]
        if chance.random() < 0.4:
            words += ["--from", other]
            self.did["pulls from both"] += 1
        if chance.random() < 0.5:
            words += ["--connections", chance.choice(["2", "4", "8", "24"])]
        engine = chance.choice(["requests", "curl"])
        self.did["pulls through the mirror" if through else "pulls from the Hub"] += 1
        return self.lab.start(*words, settings={"HF_ENDPOINT": endpoint, "HFMIRROR_ENGINE": engine})

    def _ended(self, process: subprocess.Popen[str]) -> bool:
        """Whether it brought everything."""
        killed = process.poll() == -signal.SIGKILL
        try:
            done = self.lab.finish(process, code=None, longest_s=LONGEST_S)
        except AssertionError as problem:
            self.wrong.append(str(problem))
            return False
        if killed:
            return False
        self.did[f"pulls that ended with {done.code}"] += 1
        if done.code not in LIVES:
            self.wrong.append(f"a pull ended with {done.code}: {done.said}")
        elif done.code:
            self._say(f"a pull ended with {done.code}: {' '.join(done.err.split())[:160]}")
        return done.code == 0

    # -- mishaps --------------------------------------------------------------------------------

    def _suffer(self, mishap: Mishap, process: subprocess.Popen[str]) -> None:
        time.sleep(mishap.pause_s)
        if mishap.what == "storm":
            self._storm(mishap.storm)
        elif mishap.what == "calm":
            self._calm()
        elif mishap.what == "kill":
            self._kill(process)
        elif mishap.what == "hub away":
            self._hub_away(mishap.away_s)
        else:
            self._end_mirror(killed=mishap.what == "mirror killed")

    def _storm(self, faults: Faults) -> None:
        self._armed.append(self._weather.enter_context(self.hub.failing(faults)))
        told = {name for name in faults.__dataclass_fields__ if getattr(faults, name) != getattr(Faults(), name)}
        self._say(f"storm: {', '.join(sorted(told - {'times', 'where'}))} at {faults.where}, {faults.times} times")
        self.did["storms"] += 1

    def _calm(self) -> None:
        """All faults are over."""
        self.did["strikes of faults"] += sum(armed.strikes for armed in self._armed)
        self._armed.clear()
        self._weather.pop_all().close()

    def _kill(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is not None:
            return
        self._say("the pull is killed")
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.did["kills of the pull"] += 1

    def _hub_away(self, seconds: float) -> None:
        self._say("the Hub goes away, and comes back")
        with self.hub.failing(refuse=True):
            time.sleep(seconds)
        self.did["restarts of the Hub"] += 1

    def _end_mirror(self, *, killed: bool) -> None:
        self._say(f"the mirror is {'killed' if killed else 'stopped'}, and started again")
        (self.mirror.kill if killed else self.mirror.stop)()
        self.mirror.start()
        self.did["kills of the mirror" if killed else "stops of the mirror"] += 1

    # -- looking --------------------------------------------------------------------------------

    def _look_at(self, commit: str) -> None:
        """The whole commit, as a client finds it, by hashlib."""
        snapshot = self.lab.cache / FOLDER / "snapshots" / commit
        self.wrong += wrong_files(snapshot, self.shelf.expected[commit])
        self.did["files proven"] += len(self.shelf.expected[commit])

    def _tidy(self, *, removed: bool, swept: bool) -> None:
        """Now and then: let go of it, so that all of it must come again; or of what nothing wants."""
        if removed:
            self._say("the repo is removed")
            self.lab.run("rm", REPO)
            self.did["removals"] += 1
        if swept:
            self.lab.run("gc", "--min-age", "0")
            self.did["sweeps"] += 1

    def look_at_all(self) -> None:
        """Nothing lost, nothing wrong, no orphan: in both stores, after the last pull and gc."""
        self._calm()
        commit = self._published()
        self.lab.run(
            "pull", REPO, "--quiet", settings={"HF_ENDPOINT": self.mirror.serving.address}, longest_s=LONGEST_S
        )
        self._look_at(commit)
        self.mirror.stop()
        if self.mirror.stumbled:
            self.wrong.append("the mirror said Traceback")
        for lab in (self.lab, self.mirror.lab):
            lab.run("gc", "--min-age", "0")
            self.wrong += [f"{lab.folder.name}: {problem}" for problem in wrong_store(lab.root, self.shelf.objects)]
            lab.run("verify")

    def _say(self, text: str) -> None:
        if self._loud:
            print(f"{time.monotonic() - self._begun:7.1f} s  {text}", flush=True)


def main(words: Sequence[str] | None = None) -> int:
    """Soak, and say what was done; 1 when something is lost, wrong or left over."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=300)
    options = parser.parse_args(words)
    folder = Path(tempfile.mkdtemp(prefix="hfmirror-soak-"))
    soak = Soak(folder, options.seed, options.files)
    begun = time.monotonic()
    with soak.standing():
        soak.run(options.minutes * 60)
    print(f"\n{(time.monotonic() - begun) / 60:.1f} minutes, seed {options.seed}, {options.files} files")
    for what, count in [*soak.did.items(), ("MiB sent by the Hub", soak.hub.bytes_served // 2**20)]:
        print(f"{count:>9}  {what}")
    print(*(soak.wrong or ["nothing lost, nothing wrong, nothing left over"]), sep="\n")
    if not soak.wrong:
        shutil.rmtree(folder)
    else:
        print(f"everything is kept in {folder}")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
