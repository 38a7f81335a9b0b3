"""The examples do what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.lab import PART
from tests.docs.pages import EXAMPLES, PROJECT, read
from tests.docs.stage import MEGABYTES_3, Stage, hub_of_the_pages
from tests.simulator import HubSimulator, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 4_194_427  # bytes of owner/name

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stage is a POSIX shell's")


@pytest.fixture
def hub() -> HubSimulator:
    """The Hub of the pages."""
    return hub_of_the_pages()


@pytest.fixture
def stage(hub: HubSimulator, tmp_path: Path) -> Iterator[Stage]:
    """A machine with that Hub in reach."""
    with served(hub) as site:
        yield Stage(tmp_path, site.endpoint)


def run(stage: Stage, example: str, *words: str, code: int = 0) -> tuple[str, str]:
    """What an example printed on stdout and stderr."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / example), *words],
        cwd=stage.work,
        env=stage.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def test_pull_and_load_shows_its_own_progress_and_what_came(stage: Stage) -> None:
    said, _ = run(stage, "pull_and_load.py", "owner/name", "*.json", "*.safetensors")
    lines = said.splitlines()
    assert lines[0].startswith("owner/name: ")
    assert "100 %" in lines
    assert "proven: model.safetensors" in lines
    assert [line.split()[-1] for line in lines[-3:]] == ["config.json", "model.safetensors", "tokenizer_config.json"]
    again, _ = run(stage, "pull_and_load.py", "owner/name", "*.json", "*.safetensors")
    assert again.startswith("owner/name: 0 B to fetch")
    _, complaint = run(stage, "pull_and_load.py", "owner/nome", code=3)
    assert "spelling" in complaint


def test_an_offline_notebook_loads_what_is_here_and_says_what_is_not(stage: Stage, hub: HubSimulator) -> None:
    _, complaint = run(stage, "offline_notebook.py", "owner/name", "config.json", code=6)
    assert "hfmirror pull owner/name" in complaint
    assert not hub.requests, "offline means that nobody is asked"
    run(stage, "pull_and_load.py", "owner/name")
    hub.reset_counts()
    said, _ = run(stage, "offline_notebook.py", "owner/name", "model.safetensors")
    assert (stage.work / said.strip()).read_bytes() == MEGABYTES_3.data()
    assert not hub.requests


def test_keep_a_list_tries_every_repo_and_tells_cron(stage: Stage) -> None:
    (stage.work / "good.txt").write_text("# mine\nowner/name\n\ndatasets/owner/data  # rows\n", encoding="utf-8")
    said, complaint = run(stage, "keep_a_list.py", "good.txt")
    assert [line.split()[-1] for line in said.splitlines()[1:]] == ["here", "here"]
    assert complaint == ""
    (stage.work / "bad.txt").write_text("owner/nome\nowner/name\nno such name\n", encoding="utf-8")
    said, _ = run(stage, "keep_a_list.py", "bad.txt", code=2)
    rows = [line.split()[-1] for line in said.splitlines()[1:]]
    assert rows[1] == "here"
    assert said.count("failed: ") == 2


def test_a_lab_fetches_each_file_once(stage: Stage, hub: HubSimulator) -> None:
    said, _ = run(stage, "lab_mirror.py", "owner/name")
    first, second = (line.split() for line in said.splitlines()[-2:])
    assert (first[:2], first[-2:]) == (["first", "4.19"], ["0", "B"])
    assert (second[:3], second[-2:]) == (["second", "0", "B"], ["4.19", "MB"])
    assert "mirror/hub/models--owner--name/snapshots" in said, "the pull in between"
    hub.settle()
    assert hub.bytes_served <= SIZE * 1.02 + PART, "once, for two machines and a pull"


def test_every_example_is_run_by_a_test() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    tested = (
        read(PROJECT / "tests" / "docs" / "test_examples.py")
        + read(PROJECT / ".ci" / "run")
        + read(PROJECT / "README.md")
    )
    assert {script for script in scripts if script not in tested} == set()
