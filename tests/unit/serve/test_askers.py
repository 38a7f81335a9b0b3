"""Threads for slow questions."""

from __future__ import annotations

import threading

import pytest

from hfmirror.serve.askers import Askers


def test_answers_and_failures_come_back() -> None:
    with Askers(2) as askers:
        assert list(askers.map(lambda n: n * n, range(20))) == [n * n for n in range(20)]
        with pytest.raises(ZeroDivisionError):
            askers.submit(lambda: 1 // 0).result(10)


def test_no_more_threads_than_are_allowed_or_needed() -> None:
    gate = threading.Event()
    with Askers(3) as askers:
        askers.submit(int).result(10)
        askers.submit(int).result(10)
        assert len(askers._threads) <= 2
        waiting = [askers.submit(gate.wait, 10) for _ in range(9)]
        assert len(askers._threads) == 3
        gate.set()
        assert all(future.result(10) for future in waiting)


def test_one_that_hangs_holds_up_no_end() -> None:
    gate = threading.Event()
    with Askers(1) as askers:
        hanging = askers.submit(gate.wait, 30)
    assert not hanging.done()
    assert all(thread.daemon for thread in askers._threads)
    gate.set()
    assert hanging.result(10)
