"""How other programs find what is here: shells, processes, Python, the real client."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys

import pytest

from tests.behaviour.lab import PART, Done, Lab, digests, wait_until
from tests.simulator import HubSimulator, Made

ODD = 'it\'s a "root" with $HOME `date` \\ & %PATH% 模型'
NOWHERE = "http://127.0.0.1:9"  # nobody listens there
VARIABLES = ("HF_HUB_CACHE", "HF_HUB_OFFLINE")


def python(lab: Lab, code: str, *words: str, settings: dict[str, str] | None = None, exit_code: int | None = 0) -> Done:
    """Run a Python program in the lab's environment, with the Hub out of reach."""
    process = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=lab.environment({"HF_ENDPOINT": NOWHERE} | (settings or {})),
        cwd=lab.folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert exit_code is None or process.returncode == exit_code, process.stderr
    return Done(process.returncode, process.stdout, process.stderr)


# Shells


def test_env_in_the_syntax_of_each_shell(lab: Lab) -> None:
    forms = {
        "bash": "export HF_HUB_CACHE=",
        "zsh": "export HF_HUB_CACHE=",
        "fish": "set -gx HF_HUB_CACHE ",
        "powershell": "$env:HF_HUB_CACHE = ",
        "cmd": "set ",
    }
    for shell, form in forms.items():
        out = lab.run("env", "--shell", shell).out
        lines = out.splitlines()
        assert any(line.replace("$Env:", "$env:").startswith(form) for line in lines), (shell, out)
        assert str(lab.cache) in out
        assert "HF_HUB_OFFLINE" in out
    (told,) = lab.run("env", "--json").lines
    assert told["HF_HUB_CACHE"] == str(lab.cache)


def test_env_of_the_shell_one_uses(lab: Lab) -> None:
    assert "set -gx" in lab.run("env", settings={"SHELL": "/usr/bin/fish"}).out
    assert "export " in lab.run("env", settings={"SHELL": "/bin/bash"}).out


@pytest.mark.parametrize("shell", ["bash", "zsh", "sh", "fish", "pwsh"])
def test_a_shell_reads_it_back_whatever_the_root_is_called(lab: Lab, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    lab.settings["HFMIRROR_HOME"] = root = str(lab.folder / ODD)
    name = {"pwsh": "powershell", "sh": "bash"}.get(shell, shell)
    text = lab.run("env", "--shell", name).out
    show = {"fish": 'printf "%s\\n" "$HF_HUB_CACHE"', "pwsh": "Write-Output $env:HF_HUB_CACHE"}
    script = text + "\n" + show.get(shell, 'printf "%s\\n" "$HF_HUB_CACHE"')
    done = subprocess.run([shell, "-c", script], env=lab.environment(), capture_output=True, text=True, check=True)
    assert done.stdout.removesuffix("\n") == f"{root}/hub"


def test_eval_in_bash(lab: Lab) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    lab.settings["HFMIRROR_HOME"] = root = str(lab.folder / ODD)
    script = f'eval "$({sys.executable} -m hfmirror env)" && printf "%s|%s" "$HF_HUB_CACHE" "$HF_HUB_OFFLINE"'
    done = subprocess.run(["bash", "-c", script], env=lab.environment(), capture_output=True, text=True, check=True)
    assert done.stdout == f"{root}/hub|1"


def test_values_are_quoted_for_powershell_and_cmd(lab: Lab) -> None:
    lab.settings["HFMIRROR_HOME"] = root = str(lab.folder / "it's here")
    assert "'" + root.replace("'", "''") + "/hub'" in lab.run("env", "--shell", "powershell").out
    lab.settings["HFMIRROR_HOME"] = root = str(lab.folder / "a & b")
    assert f'set "HF_HUB_CACHE={root}/hub"' in lab.run("env", "--shell", "cmd").out


def test_path_for_scripts(hub: HubSimulator, lab: Lab) -> None:
    lab.settings["HFMIRROR_HOME"] = root = str(lab.folder / ODD)
    assert lab.run("path").out == f"{root}/hub\n"
    lab.run("pull", "acme/tiny")
    hub.reset_counts()
    snapshot = lab.run("path", "acme/tiny").out
    assert snapshot.startswith(f"{root}/hub/models--acme--tiny/snapshots/")
    assert lab.run("path", "acme/tiny", "sub/vocab.txt").out == f"{snapshot.strip()}/sub/vocab.txt\n"
    lab.run("path", "acme/tiny", "nothing.txt", code=3 if hub.count() else None)
    assert lab.run("path", "acme/tiny", "nothing.txt", code=None).code in {3, 6}
    assert lab.run("path", "acme/tiny", "../../../../format.json", code=None).code in {2, 3, 6, 7}
    assert hub.count() == 0


# Processes


def test_run_sets_the_variables_and_passes_everything_on(lab: Lab) -> None:
    show = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
    words = ["a b", "", "--json", "-h", "--", "$HOME", "模型"]
    done = lab.run("run", "--", sys.executable, "-c", show, *words)
    given, environment = json.loads(done.out)
    assert given == words
    assert environment["HF_HUB_CACHE"] == str(lab.cache)
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert done.err == ""


@pytest.mark.parametrize("code", [0, 1, 7, 130, 255])
def test_run_passes_the_exit_code(lab: Lab, code: int) -> None:
    lab.run("run", "--", sys.executable, "-c", f"raise SystemExit({code})", code=code)


def test_run_passes_input_and_output(lab: Lab) -> None:
    words = [sys.executable, "-m", "hfmirror", "run", "--", "cat"]
    done = subprocess.run(words, input=b"\0\xff\n", env=lab.environment(), capture_output=True, check=True)
    assert done.stdout == b"\0\xff\n"


def test_run_passes_signals(lab: Lab) -> None:
    mark = lab.folder / "ready"
    waits = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))\n"
        f"pathlib.Path({str(mark)!r}).touch()\n"
        "time.sleep(60)\n"
    )
    process = lab.start("run", "--", sys.executable, "-c", waits)
    wait_until(mark.exists)
    process.send_signal(signal.SIGTERM)
    lab.finish(process, code=42, longest_s=10)


def test_run_ends_as_its_command_was_ended(lab: Lab) -> None:
    done = lab.run("run", "--", "sh", "-c", "kill -KILL $$", code=None)
    assert done.code in {-signal.SIGKILL, 128 + signal.SIGKILL}


def test_run_of_what_is_not_there(lab: Lab) -> None:
    done = lab.run("run", "--", "no-such-command-here", code=None)
    assert done.code in {2, 127}
    assert "no-such-command-here" in done.err
    assert done.err.startswith("hfmirror: ")


# The real client


CLIENT = """
import json, sys, warnings
warnings.simplefilter("error")
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
info = scan_cache_dir()
print(json.dumps({
    "file": hf_hub_download("acme/tiny", "config.json"),
    "folder": snapshot_download("acme/tiny"),
    "warnings": [str(w) for w in info.warnings],
    "repos": sorted(r.repo_id for r in info.repos),
    "sizes": [r.size_on_disk for r in info.repos],
}))
"""
PARTIAL = """
from huggingface_hub import hf_hub_download, snapshot_download
print(hf_hub_download("acme/tiny", "config.json"))
try:
    snapshot_download("acme/tiny")
except Exception as problem:
    print(type(problem).__name__)
"""


@pytest.mark.parametrize("offline", ["", "1"])
def test_one_variable_is_enough_for_the_real_client(hub: HubSimulator, lab: Lab, offline: str) -> None:
    lab.run("pull", "acme/tiny")
    settings = {"HF_HUB_CACHE": lab.run("path").out.strip(), "HF_HUB_OFFLINE": offline}
    told = json.loads(python(lab, CLIENT, settings=settings).out)
    assert told["file"] == str(lab.snapshot() / "config.json")
    assert told["folder"] == str(lab.snapshot())
    assert (told["warnings"], told["repos"]) == ([], ["acme/tiny"])
    before = digests(lab.snapshot())
    assert before == lab.expected()


def test_a_partial_selection_is_seen_as_one(lab: Lab) -> None:
    lab.run("pull", "acme/tiny", "--include", "*.json")
    settings = {"HF_HUB_CACHE": str(lab.cache), "HF_HUB_OFFLINE": "1"}
    assert "IncompleteSnapshotError" in python(lab, PARTIAL, settings=settings).out


def test_what_the_client_deletes_is_not_lost(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    delete = (
        "from huggingface_hub import scan_cache_dir\n"
        "info = scan_cache_dir()\n"
        "info.delete_revisions(*(v.commit_hash for r in info.repos for v in r.revisions)).execute()\n"
    )
    python(lab, delete, settings={"HF_HUB_CACHE": str(lab.cache)})
    assert len(lab.objects()) == 5
    hub.reset_counts()
    lab.run("pull", "acme/tiny")
    assert hub.bytes_served == 0
    lab.assert_same(lab.snapshot())


# Python


def test_enable_points_the_client_here(lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    code = (
        "import hfmirror\n"
        "hfmirror.enable()\n"
        "from huggingface_hub import hf_hub_download\n"
        "print(hf_hub_download('acme/tiny', 'config.json'))\n"
    )
    assert python(lab, code).out.strip() == str(lab.snapshot() / "config.json")


def test_enable_refuses_when_the_client_was_there_before(lab: Lab) -> None:
    code = "import huggingface_hub, hfmirror\nhfmirror.enable()\nprint('enabled')\n"
    done = python(lab, code, exit_code=1)
    assert "enabled" not in done.out
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("hfmirror.errors.")
    assert "huggingface_hub" in last
    assert "already" in last or "before" in last


def test_pull_and_path_in_python(hub: HubSimulator, lab: Lab) -> None:
    code = (
        "import hfmirror\n"
        "where = hfmirror.pull('acme/tiny')\n"
        "print(where)\n"
        "print(hfmirror.path('acme/tiny'))\n"
        "print(hfmirror.path('acme/tiny', 'config.json'))\n"
    )
    done = python(lab, code, settings={"HF_ENDPOINT": lab.endpoint})
    first, second, third = done.out.splitlines()
    assert first == second == str(lab.snapshot())
    assert third == str(lab.snapshot() / "config.json")
    lab.assert_same(lab.snapshot())


def test_pull_in_python_says_what_is_wrong_as_an_error(lab: Lab) -> None:
    code = (
        "import hfmirror\n"
        "from hfmirror.errors import MirrorError\n"
        "for wrong in ('acme/tinny', 'a/b/c/d'):\n"
        "    try:\n"
        "        hfmirror.pull(wrong)\n"
        "    except MirrorError as problem:\n"
        "        print(problem.exit_code, problem)\n"
        "try:\n"
        "    hfmirror.path('acme/tiny')\n"
        "except MirrorError as problem:\n"
        "    print(problem.exit_code, problem)\n"
    )
    done = python(lab, code, settings={"HF_ENDPOINT": lab.endpoint})
    assert [line.split()[0] for line in done.out.splitlines()] == ["3", "2", "6"]


def test_pull_in_a_thread_and_interrupted(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/large", {"model.bin": Made(12 * PART, seed=9)})
    code = "import hfmirror, sys\nhfmirror.pull('acme/large')\n"
    with hub.failing(slow_rate=2 * PART, where="cdn"):
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=lab.environment(),
            cwd=lab.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: hub.bytes_served > 3 * PART)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode
    assert b"KeyboardInterrupt" in err
    lab.run("pull", "acme/large")
    hub.settle()
    assert hub.bytes_served <= 12 * PART * 1.02 + 9 * PART
    lab.assert_same(lab.snapshot("acme/large"), "acme/large")
    assert not list((lab.root / "incoming").iterdir())
