"""Where the commands of a page are run: a shell with a Hub on the loopback and a home of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests import pickled
from tests.simulator import HubSimulator, Made

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.docs.pages import Block
    from tests.simulator.content import Given

MARK = "\x1e"  # printed before each block, so that its output can be told apart
LONGEST_S = 60
LAB = "http://lab-box:8090"  # what the pages call a mirror; here it is one on a free port
MEGABYTES_3 = Made(3 * 2**20 + 77, seed=11)
OLD = pickled.torch_zip(pickled.harmless())
ARGUMENTS = b"\x80\x02ctransformers.training_args\nTrainingArguments\n."

# The program that a reader is supposed to have.
CHAT = 'from huggingface_hub import hf_hub_download\n\nprint(hf_hub_download("owner/name", "config.json"))\n'


def hub_of_the_pages() -> HubSimulator:
    """A Hub with every repo that the pages pull."""
    hub = HubSimulator()
    model: dict[str, Given] = {
        "config.json": '{"model_type": "bert"}',
        "vocab.txt": "[PAD]\n[UNK]\n",
        "README.md": "# a model\n",
    }
    files: dict[str, Given] = {**model, "tokenizer_config.json": "{}", "model.safetensors": MEGABYTES_3}
    hub.add("techthiyanes/chinese_sentiment", {**files, "pytorch_model.bin": Made(2**20 + 5, seed=12)})
    hub.add("owner/name", {**files, "onnx/model.onnx": Made(2**20, seed=13)}, tags=("v1.0",))
    hub.add("owner/other", files)
    hub.add("owner/old", {**model, "pytorch_model.bin": OLD, "training_args.bin": ARGUMENTS})
    hub.add("datasets/owner/data", {"train.parquet": Made(2**20, seed=14), "README.md": "# data\n"})
    return hub


@dataclass(frozen=True)
class Outcome:
    """What a block printed, and how the shell ended if it ended there."""

    block: Block
    said: str
    code: int | None  # None: it went on to the next block


class Stage:
    """A folder in which the blocks of one page are typed, one after the other, into one shell."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder, self.endpoint = folder, endpoint
        self.work, self.bin = folder / "work", folder / "bin"
        for made in (self.work, self.bin, folder / "home"):
            made.mkdir()
        self._put("hfmirror", "-m hfmirror")
        self._put("python", "")
        (self.work / "chat.py").write_text(CHAT, encoding="utf-8")
        self._bring()

    def _bring(self) -> None:
        """What a reader has downloaded by hand, and a model of their own."""
        rows = {
            "downloads/config (1).json": b'{"model_type": "bert"}',
            "downloads/weights.bin": MEGABYTES_3.data(),
            "downloads/holiday.jpg": b"\xff\xd8",
            "by-hand/tokenizer_config (1).json": b"{}",
            "our-model/config.json": b'{"model_type": "ours"}',
        }
        for name, data in rows.items():
            place = self.work / name
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(data)

    def _put(self, command: str, words: str) -> None:
        """A command of this name, whatever else is installed."""
        script = self.bin / command
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n', encoding="utf-8")
        script.chmod(0o755)

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """A student's machine, as far as variables go."""
        return {
            "PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.folder / "home"),
            "HFMIRROR_HOME": str(self.folder / "mirror"),
            "HF_ENDPOINT": self.endpoint,
            "NO_PROXY": "127.0.0.1",
            "LANG": "C.UTF-8",
            "PYTHONUTF8": "1",
            **(more or {}),
        }

    def play(self, blocks: Sequence[Block]) -> list[Outcome]:
        """Type them all; stops where one fails."""
        if any(LAB in block.text for block in blocks):
            with self._lab_mirror() as address:
                return self._typed(blocks, address)
        return self._typed(blocks, LAB)

    @contextmanager
    def _lab_mirror(self) -> Iterator[str]:
        """The mirror that a page speaks of, on the store of this machine; gives its address."""
        server = subprocess.Popen(
            [sys.executable, "-m", "hfmirror", "serve", "--port", "0", "--json", "--quiet"],
            env=self.environment(),
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            line = server.stdout.readline() if server.stdout else ""
            yield json.loads(line)["addresses"][0]
        finally:
            server.terminate()
            server.communicate(timeout=LONGEST_S)

    def _typed(self, blocks: Sequence[Block], lab: str) -> list[Outcome]:
        script = ["set -eu", "exec 2>&1"]
        for number, block in enumerate(blocks):
            script.append(f"printf '{MARK}'")
            text = block.text.replace(LAB, lab)
            if block.language == "python":
                (self.work / f".cell{number}.py").write_text(text, encoding="utf-8")
                script.append(f"python .cell{number}.py")
            else:
                script.append(text)
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=self.work,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            timeout=LONGEST_S,
            check=False,
        )
        said = done.stdout.split(MARK)[1:]
        codes = [None] * (len(said) - 1) + [done.returncode]
        return [Outcome(*row) for row in zip(blocks, said, codes, strict=False)]


def as_shown(shown: str, said: str) -> bool:
    """Whether a page's output is what came.

    `…` stands for anything, alone on a line for any lines; how wide a gap is does not matter.
    """
    pattern = ""
    for line in map(_squeezed, shown.splitlines()):
        pattern += r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"
    text = "".join(f"{_squeezed(line)}\n" for line in said.splitlines())
    return re.fullmatch(pattern, text) is not None


def _squeezed(line: str) -> str:
    return " ".join(line.split())
