"""One number for all processes of a store, whatever becomes of the file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from hfmirror.store.layout import Layout
from hfmirror.store.line import SharedLine
from hfmirror.transfer.bucket import CREDIT_S
from hfmirror.transfer.budget import SLICE_S

if TYPE_CHECKING:
    from pathlib import Path

RATE, EACH, PROCESSES = 64 * 2**20, 32 * 2**20, 3  # bytes a second; bytes each process spends
SPENDER = """
import sys
from pathlib import Path
from hfmirror.store.layout import Layout
from hfmirror.store.line import SharedLine
from hfmirror.timetable import Timetable
from hfmirror.transfer.budget import Budget

budget = Budget(Timetable.parse(sys.argv[2], "the test"), SharedLine(Layout(Path(sys.argv[1]))))
left = int(sys.argv[3])
print(flush=True)
input()
while left:
    left -= budget.spend(left)
"""


def add_one(number: float) -> float:
    return number + 1


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "store")


def line(layout: Layout) -> SharedLine:
    layout.root.mkdir(exist_ok=True)
    return SharedLine(layout)


def test_all_see_what_one_changed(layout: Layout) -> None:
    one, other = line(layout), line(layout)
    one.change(lambda _: 1763863636.25)
    assert other.change(add_one) == 1763863637.25
    assert one.change(add_one) == 1763863638.25


@pytest.mark.parametrize("garbage", [b"", b"\xff" * 300, b"what?", b"1" * 100, b"0x10", b"\0" * 21])
def test_garbage_in_the_file_costs_nothing_but_itself(layout: Layout, garbage: bytes) -> None:
    one, other = line(layout), line(layout)
    one.change(lambda _: 1000.0)
    layout.line.write_bytes(garbage)
    one.change(lambda _: 2000.0)
    assert other.change(add_one) == 2001.0


def test_a_number_as_long_as_any_leaves_nothing_behind(layout: Layout) -> None:
    one = line(layout)
    one.change(lambda _: 1e300)
    one.change(lambda _: 5.0)
    assert line(layout).change(add_one) == 6.0


def test_where_nothing_can_be_written_one_goes_by_ones_own_memory(layout: Layout) -> None:
    one = line(layout)
    layout.line.mkdir(parents=True)  # so it cannot be a file
    one.change(lambda _: 1000.0)
    assert one.change(add_one) == 1001.0


def test_a_root_that_is_not_there_is_no_fault(layout: Layout) -> None:
    layout.root.write_text("a file, so that no folder can be made")
    one = SharedLine(layout)
    one.change(lambda _: 1000.0)
    assert one.change(add_one) == 1001.0


def test_one_who_holds_the_lock_for_ever_is_not_waited_for(layout: Layout) -> None:
    one = line(layout)
    one.change(lambda _: 1000.0)
    with FileLock(layout.locks / "line.lock"):
        assert one.change(add_one) == 1001.0


def test_several_processes_spend_no_more_than_one_might(layout: Layout) -> None:
    """Every byte stands for its part of the line, and the number tells how much of the line is gone."""
    layout.root.mkdir()
    words = [sys.executable, "-c", SPENDER, str(layout.root), str(RATE), str(EACH)]
    spenders = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    for spender in spenders:
        assert spender.stdout is not None
        assert spender.stdout.readline() == "\n"
    began = time.time()
    for spender in spenders:
        spender.communicate("\n", timeout=60)
        assert spender.returncode == 0
    gone = float(layout.line.read_text()) - began
    beyond = PROCESSES * SLICE_S[1]  # what each may have spent beyond its last lease
    assert gone >= PROCESSES * EACH / RATE - CREDIT_S - beyond


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process that holds a lease, by its number")
def test_one_who_is_killed_leaves_the_line_to_the_others(layout: Layout) -> None:
    layout.root.mkdir()
    words = [sys.executable, "-c", SPENDER, str(layout.root), str(RATE), str(10**12)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as spender:
        assert spender.stdin is not None
        spender.stdin.write("\n")
        spender.stdin.flush()
        deadline = time.monotonic() + 20
        while not layout.line.exists() or not layout.line.read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        spender.kill()
    done = subprocess.run([*words[:-1], str(EACH)], input="\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
