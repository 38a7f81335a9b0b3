"""Killed in mid transfer, and two at once: what is fetched again, and what comes of it."""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from hfmirror.model import PART
from hfmirror.transfer.reports import FEW
from tests.crash.conftest import TINY
from tests.crash.doer import doing
from tests.crash.invariants import broken, shown
from tests.simulator import HubSimulator, Made, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.crash.doer import Deed, Doer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks")

LARGE = Made(40 * PART + 99, seed=9)
SMALL = b'{"model_type": "bert"}'
PULL: Deed = ("pull", TINY.name)
RATE = 30e6  # bytes per second and connection: slow enough to be killed, fast enough to be waited for


@pytest.fixture
def hub() -> HubSimulator:
    """A hub with one large file and one small one."""
    hub = HubSimulator()
    hub.add(TINY, {"model.safetensors": LARGE, "config.json": SMALL})
    return hub


@pytest.fixture
def doers(hub: HubSimulator) -> Iterator[list[Doer]]:
    """Two who may pull at the same time."""
    with served(hub) as site, ExitStack() as stack:
        yield [stack.enter_context(doing(site)) for _ in range(2)]


def wait_until_served(hub: HubSimulator, count: int) -> None:
    """Until the hub has sent so many bytes."""
    moment = threading.Event()
    while hub.bytes_served < count:
        moment.wait(0.001)


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_costs_no_more_than_the_parts_in_flight(
    hub: HubSimulator, doers: list[Doer], tmp_path: Path, seed: int
) -> None:
    root, doer = tmp_path / "mirror", doers[0]
    with hub.failing(slow_rate=RATE, where="cdn"):
        number = doer.begin(root, PULL)
        wait_until_served(hub, int(LARGE.size * random.Random(seed).uniform(0.35, 0.9)))
        os.kill(number, signal.SIGKILL)
        assert doer.end().status == -signal.SIGKILL
        hub.settle()
        assert broken(root, hub) == []
        assert doer.do(root, PULL).status == 0
    in_flight = FEW * 2 * PART  # a part each that was not finished, and the block that was being read
    hub.settle()
    assert hub.bytes_served <= LARGE.size + 2 * len(SMALL) + in_flight
    assert broken(root, hub) == []
    assert shown(root, TINY) == {"model.safetensors": LARGE.data(), "config.json": SMALL}


def test_two_who_pull_the_same_fetch_it_once(hub: HubSimulator, doers: list[Doer], tmp_path: Path) -> None:
    root = tmp_path / "mirror"
    with hub.failing(slow_rate=RATE, where="cdn"):
        for doer in doers:
            doer.begin(root, PULL)
        assert [doer.end().status for doer in doers] == [0, 0]
    hub.settle()
    assert sum(record.sent for record in hub.ledger.select(file="model.safetensors", origin="cdn")) == LARGE.size
    assert broken(root, hub) == []
    assert shown(root, TINY)["model.safetensors"] == LARGE.data()


def test_the_one_who_waited_goes_on_where_the_other_was_killed(
    hub: HubSimulator, doers: list[Doer], tmp_path: Path
) -> None:
    root = tmp_path / "mirror"
    with hub.failing(slow_rate=RATE, where="cdn"):
        number = doers[0].begin(root, PULL)
        wait_until_served(hub, 10 * PART)
        doers[1].begin(root, PULL)
        wait_until_served(hub, 20 * PART)
        os.kill(number, signal.SIGKILL)
        assert doers[0].end().status == -signal.SIGKILL
        assert doers[1].end().status == 0
    hub.settle()
    assert hub.bytes_served <= LARGE.size + 2 * len(SMALL) + FEW * 2 * PART
    assert shown(root, TINY)["model.safetensors"] == LARGE.data()


def test_where_locks_exclude_nobody_both_pulls_are_right(hub: HubSimulator, doers: list[Doer], tmp_path: Path) -> None:
    root = tmp_path / "mirror"
    with hub.failing(slow_rate=RATE / 3, where="cdn"):
        for doer in doers:
            doer.begin(root, PULL, broken_locks=True)
            wait_until_served(hub, PART)
        assert [doer.end().status for doer in doers] == [0, 0]
    hub.settle()
    assert hub.bytes_served > LARGE.size, "they did not overlap, so nothing was tried"
    assert broken(root, hub) == []
    assert shown(root, TINY) == {"model.safetensors": LARGE.data(), "config.json": SMALL}
    assert list((root / "incoming").iterdir()) == []
