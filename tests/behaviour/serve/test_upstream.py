"""Faults between the mirror and the Hub while clients read (issue, "Tests it must bring")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.behaviour.serve.lab import PART, Lab, all_at_once, resolve, serve, wait_until
from tests.behaviour.serve.stage import Stage, staged
from tests.simulator import Faults, HubSimulator, Made

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 6 * PART + 123
FILE = "model.safetensors"
CONNECTIONS = 8  # of one fill, at most

ONCE = {
    "reset at the start": Faults(reset_after=0, where="cdn", times=1),
    "reset in the middle": Faults(reset_after=700_000, where="cdn", times=1),
    "resets": Faults(reset_after=0, every=2 * PART, where="cdn", times=3),
    "short": Faults(cut_after=700_000, where="cdn", times=1),
    "stall": Faults(stall_after=700_000, stall_s=60, where="cdn", times=1),
    "503": Faults(status=503, where="cdn", times=1),
    "503 of the hub": Faults(status=503, where="resolve", times=1),
    "500s": Faults(status=500, where="cdn", times=2),
    "429": Faults(status=429, retry_after_s=1, where="resolve", times=1),
    "403": Faults(status=403, where="cdn", times=1),
    "no answer": Faults(close_without_answer=True, where="cdn", times=1),
    "a login page": Faults(html_200=True, where="cdn", times=1),
    "packed": Faults(gzip_anyway=True, where="cdn", times=1),
    "bytes off by one": Faults(wrong_range="both", where="cdn", times=1),
    "without length": Faults(no_length=True, where="cdn"),
    "other etags": Faults(etag_changes=True),
    "expired addresses": Faults(expire_after_uses=1),
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One mirror for this module, less patient than usual."""
    settings = {"HF_HUB_DOWNLOAD_TIMEOUT": "2"}
    with staged(tmp_path_factory.mktemp("upstream"), settings=settings) as stage:
        yield stage


@pytest.mark.parametrize("name", ONCE)
def test_readers_do_not_notice(stage: Stage, name: str) -> None:
    """Each gets the whole file in one answer, and a fault costs at most the parts in flight."""
    repo = stage.publish(SIZE)
    fields = {field: getattr(ONCE[name], field) for field in ONCE[name].__dataclass_fields__}
    with stage.hub.failing(Faults(**{**fields, "repo": repo.name})) as armed:
        got = all_at_once(stage.ask, [repo.target()] * 3)
        assert armed.strikes
    assert [answer.whole == repo.data for answer in got] == [True] * 3
    assert stage.bytes_of(repo) <= repo.size * 1.02 + 2 * PART


def test_a_hub_that_knows_no_ranges_is_good_enough(stage: Stage) -> None:
    repo = stage.publish(SIZE)
    with stage.hub.failing(ignore_range=True, where="cdn", repo=repo.name):
        got = all_at_once(stage.ask, [repo.target()] * 3)
    assert [answer.whole == repo.data for answer in got] == [True] * 3


def test_a_bit_that_fell_over_once_costs_one_answer_at_most(stage: Stage) -> None:
    """Field notes B11: it was cached under the true name and served for ever."""
    repo = stage.publish(SIZE)
    with stage.hub.failing(garbage_at=PART, where="cdn", repo=repo.name, times=1) as armed:
        got = stage.ask(repo.target())
        assert armed.strikes == 1
    assert got.broke or got.body == repo.data
    for _ in range(2):
        assert stage.ask(repo.target()).whole == repo.data


def test_a_repo_that_vanishes_in_a_fill_ends_its_readers(stage: Stage) -> None:
    """They hear of it: no hang, no whole answer."""
    repo = stage.publish(SIZE)
    with stage.hub.failing(hold_from=PART, where="cdn", repo=repo.name) as held, stage.mirror.line(60) as line:
        line.send(repo.target())
        head = line.head()
        wait_until(lambda: held.strikes > 0)
        gone = Faults(status=404, error_code="RepoNotFound", where="resolve", repo=repo.name)
        with stage.hub.failing(gone), stage.hub.failing(status=403, where="cdn", repo=repo.name):
            body = line.rest()
    assert head.status != 200 or len(body) < repo.size
    assert not stage.holds(repo.digest)


@pytest.mark.parametrize("deaths", [1, 3])
def test_killed_in_a_fill_it_fetches_again_what_was_in_flight(hub: HubSimulator, lab: Lab, deaths: int) -> None:
    """Issue: kill -9 and restart: at most the parts in flight, each time."""
    size = 24 * PART + 5
    content = Made(size, seed=5)
    hub.add("acme/tiny", {FILE: content})
    target = resolve("acme/tiny", FILE)
    with hub.failing(slow_rate=6 * PART, where="cdn"):
        for death in range(1, deaths + 1):
            with serve(lab) as mirror, mirror.line() as line:
                line.send(target)
                assert line.head().status == 200
                wait_until(lambda goal=death * size // (deaths + 1): hub.bytes_served >= goal)  # type: ignore[misc]
                mirror.kill()
            hub.settle()
        with serve(lab) as mirror:
            assert mirror.ask(target).whole == content.data()
    hub.settle()
    assert hub.bytes_served <= size + deaths * CONNECTIONS * PART
    lab.assert_objects_sound()


def test_two_servers_and_a_pull_on_one_root_share_the_work(hub: HubSimulator, lab: Lab) -> None:
    """Each client gets right bytes; a lock is a courtesy, so that a byte may come twice and never wrong."""
    content = Made(8 * PART + 5, seed=6)
    hub.add("acme/tiny", {FILE: content, "config.json": b"{}"})
    target = resolve("acme/tiny", FILE)
    with serve(lab) as one, serve(lab) as two:
        with hub.failing(slow_rate=4 * PART, where="cdn"):
            pull = lab.start("pull", "acme/tiny")
            got = all_at_once(lambda mirror: mirror.ask(target, timeout_s=60), [one, two] * 3)
            lab.finish(pull)
        assert [answer.whole == content.data() for answer in got] == [True] * 6
        assert two.ask(resolve("acme/tiny", "config.json")).whole == b"{}"
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()
    hub.settle()
    assert hub.bytes_served <= 3 * content.size + 10
