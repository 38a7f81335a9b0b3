"""Every fault of a bad line, at the first, a middle and the last part of a large file."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import SIZE
from tests.behaviour.lab import PART, Lab, digests, failing_from, place_faults, wait_until
from tests.simulator import Faults, HubSimulator, Made, served

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = SIZE + 36  # bytes of all files
PLACES = {"first": 0, "middle": 3 * PART, "last": SIZE - 100_000}  # where the line breaks, in bytes sent
IN_BODY = {
    "reset": Faults(reset_after=0, where="cdn"),
    "short body": Faults(cut_after=0, where="cdn"),
}
AT_START = {
    "503": Faults(status=503, where="cdn"),
    "503 of the hub": Faults(status=503, where="resolve"),
    "500": Faults(status=500, where="cdn"),
    "429 alone": Faults(status=429, where="resolve"),
    "429 with Retry-After": Faults(status=429, retry_after_s=1, where="resolve"),
    "429 with RateLimit": Faults(status=429, rate_limit_s=1, where="resolve"),
    "429 of the CDN": Faults(status=429, retry_after_s=1, where="cdn"),
    "200 instead of 206": Faults(ignore_range=True, where="cdn"),
    "Content-Range off by one": Faults(wrong_range="header", where="cdn"),
    "bytes off by one": Faults(wrong_range="both", where="cdn"),
    "gzip anyway": Faults(gzip_anyway=True, where="cdn"),
    "a login page": Faults(html_200=True, where="cdn"),
    "a login page of the hub": Faults(html_200=True, where="resolve"),
    "a short answer": Faults(short_length=70_000, where="cdn"),
    "no answer": Faults(close_without_answer=True, where="cdn"),
    "403": Faults(status=403, where="cdn"),
}
ENTIRE = "200 instead of 206"  # the only answer that is right as far as it goes
STEADY = Faults(slow_rate=24 * PART, where="cdn")  # so that little is in the network's own buffers when a line breaks
WAITING = {  # these take seconds: each at one place
    "429 alone": ("default", "last"),
    "429 with Retry-After": ("default", "middle"),
    "429 with RateLimit": ("requests", "last"),
    "429 of the CDN": ("default", "first"),
}
CASES = [
    (engine, name, place)
    for name in AT_START
    for engine, place in (("default", "first"), ("default", "middle"), ("default", "last"), ("requests", "last"))
    if WAITING.get(name, (engine, place)) == (engine, place)
]


def once(faults: Faults, **changes: object) -> Faults:
    """The same fault, one time."""
    return replace(faults, times=1, **changes)  # type: ignore[arg-type]


@pytest.fixture(params=["default", "requests"])
def engine(request: pytest.FixtureRequest, lab: Lab) -> str:
    """With what is installed, and with the faster engine hidden."""
    return choose(lab, str(request.param))


def choose(lab: Lab, engine: str) -> str:
    """Hide the faster engine, or do not."""
    if engine == "requests":
        hidden = lab.folder / "hidden"
        hidden.mkdir()
        (hidden / "pycurl.py").write_text("raise ImportError('hidden by a test')\n")
        lab.settings["PYTHONPATH"] = str(hidden)
    return engine


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", IN_BODY)
def test_a_line_that_breaks_costs_a_part(hub: HubSimulator, lab: Lab, engine: str, name: str, place: str) -> None:
    with hub.failing(once(IN_BODY[name], every=max(1, PLACES[place]))) as armed:
        lab.run("pull", "acme/tiny")
        assert armed.strikes == 1
    hub.settle()
    assert hub.bytes_served <= WHOLE * 1.02 + PART
    lab.assert_same(lab.snapshot())


@pytest.mark.parametrize(("engine", "name", "place"), CASES)
def test_a_wrong_answer_costs_a_part(hub: HubSimulator, lab: Lab, engine: str, name: str, place: str) -> None:
    choose(lab, engine)
    with contextlib.ExitStack() as stack:
        stack.enter_context(hub.failing(STEADY))
        low = 0
        if place != "first":  # the line breaks there, and the answer to the next request is the wrong one
            stack.enter_context(hub.failing(once(IN_BODY["reset"], every=PLACES[place])))
            low = PLACES[place] - PART
        if low and AT_START[name].where == "resolve":  # the hub is asked again where an address has expired
            stack.enter_context(failing_from(hub, low, once(AT_START["403"])))
        armed = stack.enter_context(failing_from(hub, low, once(AT_START[name])))
        lab.run("pull", "acme/tiny", "--connections", "1")  # so that the next request is for what the break left
        assert armed.strikes == 1
    hub.settle()
    if name != ENTIRE:
        assert hub.bytes_served <= WHOLE * 1.02 + 2 * PART
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()


@pytest.mark.parametrize("uses", [1, 2])
def test_a_signed_address_that_expires_is_asked_for_again(hub: HubSimulator, lab: Lab, engine: str, uses: int) -> None:
    with hub.failing(expire_after_uses=uses):
        lab.run("pull", "acme/tiny")
    lab.assert_same(lab.snapshot())
    assert hub.bytes_served <= WHOLE * 1.02 + PART


def test_a_stall_is_noticed(tmp_path: Path) -> None:
    """With both engines and at all places at once: noticing takes its time."""
    with contextlib.ExitStack() as stack:
        under_way = []
        for engine in ("default", "requests"):
            for place, sent in PLACES.items():
                hub, folder = HubSimulator(), tmp_path / f"{engine} {place}"
                folder.mkdir()
                hub.add("acme/tiny", {"config.json": b"{}", "model.safetensors": Made(SIZE, seed=3)})
                lab = Lab(hub, stack.enter_context(served(hub)).endpoint, folder)
                choose(lab, engine)
                stalling = Faults(stall_after=0, stall_s=600, every=max(1, sent), times=1, where="cdn")
                armed = stack.enter_context(hub.failing(stalling))
                under_way.append((lab, armed, lab.start("pull", "acme/tiny")))
        for lab, armed, process in under_way:
            lab.finish(process)
            assert armed.strikes == 1
            lab.hub.settle()
            assert lab.hub.bytes_served <= WHOLE * 1.02 + PART
            lab.assert_same(lab.snapshot())


def test_a_line_that_breaks_again_and_again_is_lived_with(hub: HubSimulator, lab: Lab, engine: str) -> None:
    with hub.failing(reset_after=0, every=400_000, where="cdn") as armed:
        lab.run("pull", "acme/tiny")
    assert armed.strikes >= 10
    lab.assert_same(lab.snapshot())
    assert hub.bytes_served <= WHOLE * 1.02 + armed.strikes * 2**17


SMALL_ANSWERS = {
    "503": Faults(status=503, times=2, where="api"),
    "429 with Retry-After": Faults(status=429, retry_after_s=1, times=1, where="api"),
    "no answer": Faults(close_without_answer=True, times=2, where="api"),
    "short": Faults(cut_after=40, times=2, where="api"),
    "reset": Faults(reset_after=40, times=2, where="api"),
    "gzip": Faults(gzip_anyway=True, where="api"),
    "no length": Faults(no_length=True, where="*"),
    "a login page": Faults(html_200=True, times=1, where="api"),
    "a login page for a listing": Faults(html_200=True, times=1, where="tree"),
    "an error with status 200": Faults(json_error_200=True, times=1, where="api"),
    "503 for a small file": Faults(status=503, times=2, where="resolve-cache"),
    "a small file cut short": Faults(cut_after=3, times=2, where="resolve-cache"),
    "a login page for a small file": Faults(html_200=True, times=1, where="resolve-cache"),
    "gzip for small files": Faults(gzip_anyway=True, where="resolve-cache"),
    "other ETags": Faults(etag_changes=True, where="files"),
}


@pytest.mark.parametrize("name", SMALL_ANSWERS)
def test_the_small_answers_may_fail_too(hub: HubSimulator, lab: Lab, name: str) -> None:
    with hub.failing(SMALL_ANSWERS[name]) as armed:
        lab.run("pull", "acme/tiny")
        assert armed.strikes
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()


def test_a_branch_that_moves_in_mid_pull_changes_nothing(hub: HubSimulator, lab: Lab) -> None:
    before = lab.expected()
    commit = hub.repos[next(iter(hub.repos))].commit("main").id
    with hub.failing(slow_rate=4 * PART, where="cdn"):
        process = lab.start("pull", "acme/tiny")
        wait_until(lambda: hub.bytes_served > PART)
        hub.add("acme/tiny", {"config.json": b"{}", "model.safetensors": Made(SIZE, seed=77)})
        done = lab.finish(process)
    snapshot = lab.cache / "models--acme--tiny" / "snapshots" / commit
    assert str(snapshot) in done.out
    assert digests(snapshot) == before
    assert (lab.cache / "models--acme--tiny" / "refs" / "main").read_bytes() == commit.encode()


def test_a_hub_that_goes_away_for_a_while_is_waited_for(hub: HubSimulator, lab: Lab, engine: str) -> None:
    with hub.failing(slow_rate=4 * PART, where="cdn"):
        process = lab.start("pull", "acme/tiny")
        wait_until(lambda: hub.bytes_served > PART)
        with hub.failing(refuse=True):
            time.sleep(1.5)
        lab.finish(process)
    lab.assert_same(lab.snapshot())
    assert hub.bytes_served <= WHOLE * 1.02 + 8 * PART


def test_a_hub_that_is_not_there_yet_is_waited_for(hub: HubSimulator, lab: Lab) -> None:
    gone = hub.failing(refuse=True)
    gone.__enter__()
    timer = threading.Timer(2.0, gone.__exit__, (None, None, None))
    process = lab.start("pull", "acme/tiny")
    timer.start()
    lab.finish(process)
    timer.join()
    lab.assert_same(lab.snapshot())


FOR_EVER = {
    "reset": Faults(reset_after=0, where="cdn"),
    "short body": Faults(cut_after=0, where="cdn"),
    "stall": Faults(stall_after=0, stall_s=600, where="cdn"),
    "503": Faults(status=503, where="cdn"),
    "429 alone": Faults(status=429, where="resolve"),
    "429 for an hour": Faults(status=429, retry_after_s=3600, where="resolve"),
    "Content-Range off by one": Faults(wrong_range="header", where="cdn"),
    "a login page": Faults(html_200=True, where="cdn"),
    "403": Faults(status=403, where="cdn"),
    "refused": Faults(refuse=True, where="cdn"),
}
GIVES_UP_S = 15.0  # more than enough for somebody who asked for two


def test_what_never_ends_is_given_up_with_everything_kept(tmp_path: Path) -> None:
    """All at once: each waits until its patience is over. The first part has come before."""
    wrong = []
    with contextlib.ExitStack() as stack:
        under_way = {}
        for name, faults in FOR_EVER.items():
            hub, folder = HubSimulator(), tmp_path / name
            place_faults(hub)
            folder.mkdir()
            hub.add("acme/tiny", {"model.safetensors": Made(SIZE, seed=3), "config.json": b"{}"})
            lab = Lab(hub, stack.enter_context(served(hub)).endpoint, folder)
            begun = stack.enter_context(contextlib.ExitStack())
            begun.enter_context(hub.failing(STEADY))
            begun.enter_context(hub.failing(cut_after=PART + PART // 4, where="cdn", times=2))
            begun.enter_context(failing_from(hub, PART, Faults(status=503, where="cdn")))
            lab.run("pull", "acme/tiny", "--patience", "0.1", code=5)
            begun.close()
            hub.settle()
            before = hub.bytes_served
            assert before >= PART
            outage = stack.enter_context(contextlib.ExitStack())
            armed = outage.enter_context(hub.failing(faults))
            outage.enter_context(hub.failing(slow_rate=PART / 4, where="cdn"))  # of what is thrown away, little comes
            process = lab.start("pull", "acme/tiny", "--patience", "2")
            under_way[name] = (lab, armed, outage, process, time.monotonic(), before)
        for name, (lab, armed, outage, process, start, before) in under_way.items():
            try:
                done = lab.finish(process, code=5, longest_s=max(0.1, start + GIVES_UP_S - time.monotonic()))
                assert "kept" in done.err, done.err
                outage.close()
                lab.hub.settle()
                lab.hub.reset_counts()
                lab.run("pull", "acme/tiny")
                lab.hub.settle()
                assert lab.hub.bytes_served <= WHOLE - before + PART
                lab.assert_same(lab.snapshot())
                assert armed.strikes or name == "refused"
            except AssertionError as problem:
                wrong.append(f"{name}: {problem}")
    assert not wrong, "\n\n".join(wrong)
