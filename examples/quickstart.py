#!/usr/bin/env python3
"""hfmirror's main job, end to end on this machine, without any internet: real processes, no mocks.

    python examples/quickstart.py                       # needs nothing but hfmirror
    python examples/quickstart.py --python PATH         # loads with the transformers of that Python
    python examples/quickstart.py --with-transformers   # installs torch and transformers for it first
    python examples/quickstart.py --model FOLDER        # your own model instead of the small Chinese one

A model becomes a repo of one store, which `hfmirror serve` publishes on the loopback. Over a line that is
slow and reset again and again, `hfmirror pull` brings it into a second store, is killed with SIGKILL half way,
pulls again, and proves every byte. Then everything else is gone, and the model is loaded by its name, offline.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parent.parent
MATERIAL = PROJECT / "tests" / "material.py"
REPO = "techthiyanes/chinese_sentiment"
SENTENCE = "今天天气真不错"  # the weather is really nice today
IDS = [[101, 791, 1921, 1921, 3698, 4696, 679, 7231, 102]]  # what the Hub's own tokenizer makes of it
TORCH = ("torch==2.13.0", "transformers==5.23.0")
CONNECTIONS = 4
RATE = 1_000_000  # bytes per second and connection, so that there is a half way to be killed at
LONGEST_S = 20  # that the line may take for a model; for a large one it is faster
RESET_EVERY = 1_500_000  # bytes
BLOCK = 2**14  # bytes that the line carries at once
LIMIT_S = 300  # seconds for one command

WITH_TRANSFORMERS = """
import sys, transformers
repo, sentence, head = sys.argv[1:]
tokenizer = transformers.AutoTokenizer.from_pretrained(repo)
model = getattr(transformers, head).from_pretrained(repo)
inputs = tokenizer(sentence, return_tensors="pt")
print("ids", inputs["input_ids"].tolist())
if head.endswith("SequenceClassification"):
    print("label", model.config.id2label[model(**inputs).logits.argmax().item()])
"""

WITHOUT_TRANSFORMERS = """
import json, sys
from pathlib import Path
from huggingface_hub import snapshot_download
repo, sentence, _ = sys.argv[1:]
folder = Path(snapshot_download(repo))
for weights in sorted(folder.glob("*.safetensors")):
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    print("tensors", len(header) - ("__metadata__" in header))
vocab = folder / "vocab.txt"
if vocab.is_file():
    place = {word: at for at, word in enumerate(vocab.read_text(encoding="utf-8").split("\\n"))}
    words = ["[CLS]", *sentence, "[SEP]"]
    print("ids", [[place.get(word, place.get("[UNK]", 0)) for word in words]])
"""


class Failed(Exception):
    """The quickstart cannot go on."""


@dataclass(frozen=True)
class Model:
    """What is published."""

    repo: str
    folder: Path
    own: bool  # given by the user, not made here

    @property
    def sizes(self) -> list[int]:
        """Bytes of each file."""
        return [path.stat().st_size for path in self.folder.rglob("*") if path.is_file()]


# -- a bad line -------------------------------------------------------------------------------


class Line(socketserver.ThreadingTCPServer):
    """A line to an endpoint, with an address of its own at the near end."""

    daemon_threads = True

    def __init__(self, endpoint: str, rate: float) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        host, _, port = endpoint.partition("://")[2].partition(":")
        self.far, self.rate = (host, int(port)), rate
        self.carried, self.lock = 0, threading.Lock()  # bytes that came from the far end

    @property
    def address(self) -> str:
        """The near end, as an endpoint."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def open(self) -> Iterator[Line]:
        """The line, while the block runs."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()

    def count(self, size: int) -> None:
        """Bytes came from the far end."""
        with self.lock:
            self.carried += size


class Connection(socketserver.BaseRequestHandler):
    """One connection over the line: slow, and reset after a while."""

    server: Line
    request: socket.socket

    def handle(self) -> None:
        """Carry bytes both ways until one end has enough, or the line has."""
        with socket.create_connection(self.server.far) as far, suppress(OSError):
            left = RESET_EVERY
            while left > 0:
                for end in select.select([self.request, far], [], [])[0]:
                    piece = end.recv(min(BLOCK, left))
                    if not piece:
                        return
                    if end is self.request:
                        far.sendall(piece)
                        continue
                    self.request.sendall(piece)
                    self.server.count(len(piece))
                    left -= len(piece)
                    time.sleep(len(piece) / self.server.rate)
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()  # with a reset, not with a proper end


# -- processes ----------------------------------------------------------------------------------


@contextmanager
def serving(root: Path, log: Path, environment: dict[str, str]) -> Iterator[str]:
    """`hfmirror serve` of a store, in a process of its own; gives its address. Raises Failed."""
    words = ["serve", "--root", str(root), "--offline", "--port", "0", "--json", "--quiet", "--log-json", str(log)]
    process = subprocess.Popen(hfmirror(*words), env=environment, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise Failed("hfmirror serve did not start")
        yield json.loads(line)["addresses"][0]
    finally:
        process.terminate()
        process.communicate(timeout=LIMIT_S)


def requests_in(log: Path) -> int:
    """How many requests the server has answered."""
    return len(log.read_text(encoding="utf-8").splitlines())


def hfmirror(*words: str) -> list[str]:
    """The command, as this Python has it."""
    return [sys.executable, "-m", "hfmirror", *words]


def finished(command: list[str], what: str, environment: dict[str, str] | None = None) -> str:
    """Run a command to its end; what it printed. Raises Failed."""
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{what}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def killed_half_way(repo: str, environment: dict[str, str], size: int) -> int:
    """Start a pull, end it with SIGKILL in the middle; the bytes it had counted by then."""
    process = subprocess.Popen(
        hfmirror("pull", repo, "--connections", str(CONNECTIONS), "--json"),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    fetched = 0
    for line in process.stdout or ():
        fetched = max(fetched, json.loads(line).get("fetched", 0))
        if fetched > size * 2 // 5:
            process.kill()
            break
    _, complaint = process.communicate(timeout=LIMIT_S)
    if process.returncode != -getattr(signal, "SIGKILL", 9):
        raise Failed(f"the pull ended by itself ({process.returncode}), after {fetched} bytes\n{complaint[-4000:]}")
    return fetched


def pulled(repo: str, environment: dict[str, str]) -> dict[str, Any]:
    """A pull to its end; the last object it printed."""
    lines = finished(
        hfmirror("pull", repo, "--connections", str(CONNECTIONS), "--json"), "hfmirror pull", environment
    ).splitlines()
    last: dict[str, Any] = json.loads(lines[-1])
    return last


# -- what is said -------------------------------------------------------------------------------


def step(title: str) -> None:
    """A headline."""
    print(f"\n== {title}", flush=True)


def note(words: str) -> None:
    """A line below it."""
    print(f"   {words}", flush=True)


def typed(command: str) -> None:
    """A command as a person would type it."""
    print(f"   $ {command}", flush=True)


def mb(size: float) -> str:
    """Bytes, for people."""
    return f"{size / 1e6:.1f} MB"


# -- the story ----------------------------------------------------------------------------------


def tell(options: argparse.Namespace, scratch: Path) -> None:
    """All of it. Raises Failed."""
    python = python_with_transformers(options, scratch)
    model = model_of(options, python, scratch)
    size = sum(model.sizes)
    environment = clean_environment(scratch)

    step("published from one store, over a line that is reset again and again")
    first, log = scratch / "first", scratch / "served.jsonl"
    words = ["--repo", model.repo, "--local", "--public", "--offline"]
    typed(f"hfmirror import {model.folder.name} {' '.join(words)} --root first")
    finished(hfmirror("import", str(model.folder), *words, "--root", str(first)), "hfmirror import", environment)
    typed("hfmirror serve --root first --offline")
    rate = max(RATE, size / CONNECTIONS / LONGEST_S)
    with serving(first, log, environment) as mirror, Line(mirror, rate).open() as line:
        environment["HF_ENDPOINT"] = line.address
        note(f"{line.address}, a reset every {mb(RESET_EVERY)}, {mb(rate)}/s a connection")
        step("pulled into a second store, killed with SIGKILL half way")
        typed(f"hfmirror pull {model.repo} --connections {CONNECTIONS}")
        before = killed_half_way(model.repo, environment, size)
        note(f"killed after {mb(before)} of {mb(size)}")
        step("the same command again")
        typed(f"hfmirror pull {model.repo} --connections {CONNECTIONS}")
        asked = requests_in(log)
        last = pulled(model.repo, environment)
        carried = line.carried
    note(f"{mb(last['kept'])} kept from before, {mb(last['fetched'])} fetched in {requests_in(log) - asked} requests")
    note(f"over both runs the line carried {mb(carried)} for {mb(size)}: {carried / size:.2f} times the size")
    if not last["kept"]:
        raise Failed("nothing was kept from the run that was killed")
    del environment["HF_ENDPOINT"]

    step("every byte on disk, proven once more")
    typed("hfmirror verify")
    note(finished(hfmirror("verify"), "hfmirror verify", environment).strip() or "all sound")
    load(model, python, environment)


def model_of(options: argparse.Namespace, python: Path | None, scratch: Path) -> Model:
    """The user's folder, or the small Chinese sentiment model. Raises Failed."""
    step("a model")
    if options.model is not None:
        name = re.sub(r"[^A-Za-z0-9]+", "-", options.model.resolve().name).strip("-") or "model"
        model = Model(f"me/{name}", options.model, own=True)
        maker = str(options.model)
    else:
        model = Model(REPO, scratch / "model", own=False)
        maker = "made by transformers, random weights" if python else "made without transformers, random weights"
        if python:
            vocab = finished([sys.executable, str(MATERIAL), "vocab"], "fetching the vocabulary").strip()
            finished([str(python), str(MATERIAL), "sentiment", str(model.folder), vocab], "making the model")
        else:
            finished([sys.executable, str(MATERIAL), "by-hand", str(model.folder)], "making the model")
    if not sum(model.sizes):
        raise Failed(f"{model.folder} holds no files")
    note(f"{model.repo}: {len(model.sizes)} files, {mb(sum(model.sizes))} ({maker})")
    return model


def load(model: Model, python: Path | None, environment: dict[str, str]) -> None:
    """Load the model by its name under `hfmirror run`. Raises Failed."""
    step("loaded by its name, offline: the server is gone")
    head = "AutoModel" if model.own else "AutoModelForSequenceClassification"
    script = WITHOUT_TRANSFORMERS if python is None else WITH_TRANSFORMERS
    call = "snapshot_download" if python is None else f"{head}.from_pretrained"
    typed(f"hfmirror run -- python -c \"{call}('{model.repo}')\"")
    if python is None:
        note("(no transformers here: `--with-transformers` installs it; the ids are looked up in vocab.txt)")
    command = hfmirror("run", "--", str(python or sys.executable), "-c", script, model.repo, SENTENCE, head)
    said = finished(command, "loading offline", environment).splitlines()
    for line in (SENTENCE, *said):
        note(line)
    if not model.own and f"ids {IDS}" not in said:
        raise Failed(f"the ids should be {IDS}")


def clean_environment(scratch: Path) -> dict[str, str]:
    """This process's variables, less what points at other caches and Hubs; a fresh root and home."""
    unwanted = ("HF_", "HFMIRROR_", "HUGGINGFACE_", "TRANSFORMERS_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    kept |= {"HFMIRROR_HOME": str(scratch / "second"), "HF_HOME": str(scratch / "hf")}
    return kept | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONUTF8": "1"}


def python_with_transformers(options: argparse.Namespace, scratch: Path) -> Path | None:
    """The interpreter that loads the model; None when huggingface_hub has to do. Raises Failed."""
    if options.with_transformers:
        step(f"installing {' and '.join(TORCH)} into a temporary environment")
        python = scratch / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        finished([sys.executable, "-m", "venv", str(scratch / "venv")], "making the environment")
        for requirement in TORCH:  # torch first: another package's wish for it could bring a far larger build
            finished([str(python), "-m", "pip", "install", "-q", requirement], f"installing {requirement}")
        return python
    given: Path | None = options.python
    importable = subprocess.run(
        [str(given or sys.executable), "-c", "import torch, transformers"], capture_output=True, check=False
    )
    if importable.returncode == 0:
        return given or Path(sys.executable)
    if given is not None:
        raise Failed(f"{given} has no torch and transformers")
    return None


def parsed(words: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = os.environ.get("HFMIRROR_QUICKSTART_PYTHON")
    parser.add_argument("--python", type=Path, default=Path(chosen) if chosen else None, help="has transformers")
    parser.add_argument("--with-transformers", action="store_true", help="install torch and transformers first")
    parser.add_argument("--model", type=Path, help="a folder of yours to publish and pull")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Tell the story in a scratch folder; 0 when all of it came true."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    began = time.monotonic()
    print("hfmirror, end to end on this machine: real processes, no internet, no mocks")
    with tempfile.TemporaryDirectory(prefix="hfmirror-quickstart-") as scratch:
        try:
            tell(parsed(words), Path(scratch))
        except (Failed, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as failure:
            print(f"\n== FAILED: {failure}", file=sys.stderr)
            return 1
    print(f"\n== it works ({time.monotonic() - began:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
