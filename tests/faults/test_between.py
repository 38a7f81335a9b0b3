"""A mirror between a pull and the Hub: what goes wrong behind it passes, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.model import PART
from tests.behaviour.lab import Lab, wait_until
from tests.behaviour.serve.lab import serve
from tests.simulator import HubSimulator, Made, served

if TYPE_CHECKING:
    from pathlib import Path

REPO = "acme/tiny"


def test_a_pull_through_a_mirror_outlives_a_hub_that_is_away(tmp_path: Path) -> None:
    hub = HubSimulator()
    hub.add(REPO, {"model.safetensors": Made(3 * PART, seed=5), "config.json": b"{}"})
    with served(hub) as site, hub.failing(status=503) as armed:
        for name in ("mirror", "lab"):
            (tmp_path / name).mkdir()
        with serve(Lab(hub, site.endpoint, tmp_path / "mirror")) as mirror:
            lab = Lab(hub, mirror.base, tmp_path / "lab")
            process = lab.start("pull", REPO, "--json")
            wait_until(lambda: " miss\n" in mirror.said)
            hub.weather.remove(armed)
            done = lab.finish(process)
    assert armed.strikes
    assert any(line["event"] == "waiting" and "this mirror does not have it" in str(line) for line in done.lines)
    lab.assert_same(lab.snapshot(REPO), REPO)


def test_a_mirror_that_is_stopped_as_soon_as_it_serves_ends_well(tmp_path: Path) -> None:
    hub = HubSimulator()
    with served(hub) as site:
        for _ in range(3):
            with serve(Lab(hub, site.endpoint, tmp_path)) as mirror:
                assert mirror.end() == 0


def test_what_a_mirror_that_asks_nobody_lacks_is_not_waited_for(tmp_path: Path) -> None:
    hub = HubSimulator()
    hub.add(REPO, {"config.json": b"{}"})
    with served(hub) as site, serve(Lab(hub, site.endpoint, tmp_path), "--offline") as mirror:
        done = Lab(hub, mirror.base, tmp_path).run("pull", REPO, code=9)
    assert "this mirror does not have it" in done.err
