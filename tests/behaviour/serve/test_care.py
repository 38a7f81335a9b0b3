"""A server that proves its store again by itself, and keeps to a quota."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from tests.behaviour.serve.lab import PART, Lab, resolve, serve, wait_until
from tests.behaviour.test_store import damage
from tests.simulator import HubSimulator, Made

if TYPE_CHECKING:
    from pathlib import Path

LARGE = Made(2 * PART, seed=90)


def test_damage_is_found_in_the_background_and_mended_on_demand(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/tiny", {"model.bin": LARGE, "config.json": b"{}"})
    lab.run("pull", "acme/tiny")
    digest = hub.stored("acme/tiny", "model.bin").digest
    damage(lab.objects()[str(digest)])
    with serve(lab, "--verify-every", "0s") as mirror:
        wait_until(lambda: f"damaged: {digest}" in mirror.said)
        assert mirror.ask("/readyz").status == 200
        assert (lab.root / "quarantine" / f"sha256-{digest.hex}.txt").exists()
        assert mirror.ask(resolve("acme/tiny", "model.bin")).body == LARGE.data()
        wait_until(lambda: str(digest) in lab.objects())
        assert mirror.ask("/readyz").status == 200
    lab.assert_objects_sound()


def idle_since(lab: Lab, repo: str, days: float) -> None:
    (path,) = (lab.root / "pins" / f"models--{repo.replace('/', '--')}").iterdir()
    used = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * 86_400))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"used": used}))


def objects(lab: Lab) -> dict[str, Path]:
    return {name: path for name, path in lab.objects().items() if path.stat().st_size > PART}


def test_a_server_makes_room_for_what_is_asked_for(hub: HubSimulator, lab: Lab) -> None:
    for number in range(3):
        hub.add(f"acme/m{number}", {"model.bin": Made(2 * PART, seed=70 + number)})
    quota = {"HFMIRROR_QUOTA": "5M"}
    with serve(lab, settings=quota) as mirror:
        for number in range(2):
            assert mirror.ask(resolve(f"acme/m{number}", "model.bin")).status == 200
        wait_until(lambda: len(objects(lab)) == 2)
    idle_since(lab, "acme/m0", 2)
    idle_since(lab, "acme/m1", 9)
    with serve(lab, settings=quota) as mirror:
        assert mirror.ask(resolve("acme/m2", "model.bin")).status == 200
        wait_until(lambda: str(hub.stored("acme/m2", "model.bin").digest) in lab.objects())
    assert set(objects(lab)) == {str(hub.stored(f"acme/m{number}", "model.bin").digest) for number in (0, 2)}


def test_a_server_that_may_take_no_more_says_so_and_goes_on(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/tiny", {"model.bin": LARGE, "config.json": b"{}"})
    with serve(lab, settings={"HFMIRROR_QUOTA": "1M"}) as mirror:
        assert mirror.ask(resolve("acme/tiny", "model.bin")).status == 503
        wait_until(lambda: "quota of 1 MB" in mirror.said)  # by the fill, which the client does not wait for
        assert mirror.ask(resolve("acme/tiny", "config.json")).body == b"{}"
