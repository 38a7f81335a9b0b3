"""A part that several connections fill: each brings its own stretch in order, and they take turns in any order."""

from __future__ import annotations

import os
import tempfile
import threading
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hfmirror.model import PART
from hfmirror.store.disk import DiskStore
from tests.contracts.scene import entry

DATA = os.urandom(2 * PART + 4_321)
WANTED = entry(DATA)
CUTS = st.sets(st.integers(1, len(DATA) - 1), max_size=8)


def stretches(cuts: set[int]) -> list[tuple[int, int]]:
    """The file, cut into stretches."""
    edges = [0, *sorted(cuts), len(DATA)]
    return list(pairwise(edges))


@settings(max_examples=60, deadline=None)
@given(cuts=CUTS, turns=st.lists(st.integers(0, 8), max_size=60), block=st.integers(1_000, 300_000), stop=st.booleans())
def test_whoever_brings_which_stretch_the_object_is_the_same(
    cuts: set[int], turns: list[int], block: int, stop: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = DiskStore(Path(folder))
        at = {start: (start, end) for start, end in stretches(cuts)}
        written: list[tuple[int, int]] = []
        with store.receive(WANTED) as intake:
            order = [*turns, *([] if stop else [0] * (len(DATA) // block + 10 + len(at)))]
            for turn in order:
                left = [key for key, (here, end) in at.items() if here < end]
                if not left:
                    break
                key = left[turn % len(left)]
                here, end = at[key]
                after = min(here + block, end)
                intake.write(here, DATA[here:after])
                written.append((here, after))
                at[key] = (after, end)
            come = {part for part in range(3) if whole(written, part)}
            assert {span.start // PART + n for span in intake.missing() for n in range(-(-span.size // PART))} == (
                set(range(3)) - come
            )
        with store.receive(WANTED) as intake:
            for span in intake.missing():
                intake.write(span.start, DATA[span.start : span.stop])
            intake.seal()
        assert store.has(WANTED.digest)


def whole(written: list[tuple[int, int]], part: int) -> bool:
    """Whether every byte of a part was written."""
    start, stop = part * PART, min((part + 1) * PART, len(DATA))
    return sum(max(0, min(end, stop) - max(begin, start)) for begin, end in written) == stop - start


def test_many_threads_fill_one_file_from_all_sides(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    store.prepare()
    with store.receive(WANTED) as intake:

        def bring(start: int, stop: int) -> None:
            for at in range(start, stop, 10_000):
                intake.write(at, DATA[at : min(at + 10_000, stop)])

        cuts = set(range(50_000, len(DATA), 50_000))
        threads = [threading.Thread(target=bring, args=ends) for ends in stretches(cuts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert intake.missing() == []
        intake.seal()
    assert store.has(WANTED.digest)
