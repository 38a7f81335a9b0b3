"""`--local-dir`: ordinary files in a folder of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.conftest import CHINESE
from tests.conformance.publishing import odd_files, publish
from tests.material import SENTENCE_IDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conformance.clients import Client
    from tests.conformance.machine import Machine
    from tests.simulator import HubSimulator

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]


def test_the_folder_holds_real_files_and_nothing_is_fetched_twice(
    hub: HubSimulator, machine: Machine, tmp_path: Path
) -> None:
    files = odd_files("local")
    hub.add("acme/odd", files)
    folder = tmp_path / "my models" / "odd"
    machine.hfmirror("pull", "acme/odd", "--local-dir", str(folder))
    for path, data in files.items():
        assert (folder / path).is_file(), path
        assert not (folder / path).is_symlink(), path
        assert (folder / path).read_bytes() == data, path

    hub.reset_counts()
    (folder / "config.json").unlink()
    machine.hfmirror("pull", "acme/odd", "--local-dir", str(folder))
    assert (folder / "config.json").read_bytes() == files["config.json"]
    assert hub.bytes_served == 0


def test_editing_a_file_there_does_not_touch_the_store(hub: HubSimulator, machine: Machine, tmp_path: Path) -> None:
    hub.add("acme/odd", odd_files("local"))
    folder = tmp_path / "odd"
    machine.hfmirror("pull", "acme/odd", "--local-dir", str(folder))
    with (folder / "config.json").open("r+b") as mine:
        mine.write(b"mine now")
    machine.hfmirror("verify")


def test_transformers_loads_the_folder(
    hub: HubSimulator, machine: Machine, tmp_path: Path, chinese: Path, client: Callable[[str], Client]
) -> None:
    publish(hub, CHINESE, chinese)
    folder = tmp_path / "sentiment"
    machine.hfmirror("pull", CHINESE, "--local-dir", str(folder))
    said = machine.offline(client("transformers-5"), "chinese.py", str(folder), str(chinese))
    assert said["ids"] == SENTENCE_IDS
    assert said["equal"]
