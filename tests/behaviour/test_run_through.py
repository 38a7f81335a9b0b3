"""`hfmirror run --through`: a private mirror for the life of one command."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.behaviour.lab import PART, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.behaviour.lab import Done, Lab

CLIENT = """
import sys
from huggingface_hub import hf_hub_download, snapshot_download
if sys.argv[1:] == ["everything"]:
    print(snapshot_download("acme/tiny"))
    raise SystemExit
for file in sys.argv[1:]:
    print(hf_hub_download("acme/tiny", file))
"""


def through(lab: Lab, *files: str, options: Sequence[str] = ("--through",), code: int = 0) -> Done:
    """The official client, behind the private mirror."""
    return lab.run("run", *options, "--", sys.executable, "-c", CLIENT, *files, code=code)


def test_a_client_gets_what_it_asks_for_and_its_copy_takes_no_second_room(lab: Lab) -> None:
    done = through(lab, "model.safetensors", "config.json")
    for path in done.out.splitlines():
        blob = os.path.realpath(path)
        assert blob.startswith(str(lab.folder / "home"))
        held = lab.objects().values()
        assert any(os.path.samefile(blob, other) for other in held)
    assert "2 files of the client's cache are links now" in done.err


def test_what_came_through_loads_offline_afterwards_and_is_not_fetched_again(lab: Lab) -> None:
    through(lab, "model.safetensors")
    lab.hub.reset_counts()
    done = through(lab, "model.safetensors", options=())
    assert done.out.startswith(str(lab.cache))
    assert lab.hub.count() == 0
    lab.run("pull", "acme/tiny", "--include", "model.safetensors")
    assert lab.hub.bytes_served < PART


def test_a_snapshot_that_came_through_loads_offline_by_its_name(lab: Lab) -> None:
    through(lab, "everything")
    assert through(lab, "everything", options=()).out.startswith(str(lab.cache))


def test_a_line_that_breaks_is_no_concern_of_the_client(lab: Lab) -> None:
    with lab.hub.failing(cut_after=PART, where="cdn"):
        done = through(lab, "model.safetensors")
    assert Path(done.out.strip()).exists()


def test_the_commands_own_exit_code_and_signals(lab: Lab) -> None:
    assert lab.run("run", "--through", "--", sys.executable, "-c", "raise SystemExit(7)", code=7).out == ""
    told = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(60)"
    running = lab.start("run", "--through", "--", sys.executable, "-c", told)
    assert running.stdout is not None
    child = int(running.stdout.readline())
    running.send_signal(signal.SIGTERM)
    lab.finish(running, 128 + signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{child}").exists())


def test_a_command_that_is_not_there_is_said(lab: Lab) -> None:
    assert "there is no command" in lab.run("run", "--through", "--", "no-such-command", code=2).err
