"""Which client works in which state: runs the clients, and writes docs/reference/clients.md from what came.

python -m tests.conformance.table            # some minutes; further words go to pytest
"""

from __future__ import annotations

import datetime
import platform
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from hfmirror import __version__
from tests.conformance.clients import RECIPES
from tests.conformance.scenes import STATES

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "reference" / "clients.md"

# What was asked of a client, by the first word of its name; also the order of the rows.
ASKED = {
    "huggingface_hub": "files by every form of revision, snapshots, lists, refs, search, ranges, errors; offline",
    "hf": "`download` into the cache and into a folder, `models info`, `cache verify`",
    "transformers": "the five-line example, `pipeline`, weights in shards, a pickle; again offline",
    "sentence-transformers": "all-MiniLM-L6-v2",
    "datasets": "parquet, csv, jsonl, with a card and without, `streaming=True`, an `hf://` pattern",
    "diffusers": "a Stable Diffusion pipeline: `download`, `from_pretrained`, one step",
    "@huggingface/hub": "files, pieces of files, snapshot, listings, search",
    "@huggingface/transformers": "configuration, tokenizer, an ONNX pipeline",
    "curl": "whole files, `-C -`, ranges, `HEAD`, `--etag-compare`",
    "wget": "`-c`",
    "aria2c": "`-x4 -s4`, `-c`",
    "hfmirror": "`pull` from a mirror; a mirror whose Hub is a mirror",
}

HEAD = """# Clients

Real clients, each in an environment of its own, with `hfmirror serve` as their Hub. They were told one thing:
`HF_ENDPOINT=http://mirror:port` (in Node: `hubUrl`, `env.remoteHost`). Every answer that they got was also held
against the rules of the Hub's protocol. Made on {date} with

```sh
python -m tests.conformance.table
```

on {system}, with hfmirror {version}, Python {python} and Node {node}.

- **warm**: the mirror had all of it; the Hub was there. No content came from it.
- **cold**: the mirror had nothing. Every content came from the Hub once, however often it was asked for.
- **offline**: the mirror had all of it and ran with `--offline`; the Hub was gone, and nothing was dialled.

| Client | {states} | What was asked of it |
|---|{dashes}|---|
"""

TAIL = """
What a mirror cannot help:

- `datasets` counts loads of csv and json files at a host of its own, and waits up to 3 s for it:
  `HF_UPDATE_DOWNLOAD_COUNTS=0` turns that off. It also looks for a `datasets-server.` beside the mirror's name, and
  goes on when there is none.
- `@huggingface/hub` puts names of files into addresses as they are, so it cannot ask for one with `%`, `?` or `#` in
  its name.
"""


class Seen:
    """What became of each client in each state. A plugin of pytest."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], list[str]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how the test ended, in whichever of its phases."""
        told = dict(report.user_properties)
        if {"client", "state"} <= told.keys() and (report.when == "call" or not report.passed):
            self.outcomes[str(told["client"]), str(told["state"])].append(report.outcome)

    def cell(self, client: str, state: str) -> str:
        """One word."""
        outcomes = set(self.outcomes[client, state])
        if "failed" in outcomes:
            return "**no**"
        return "yes" if outcomes == {"passed"} else "not run"


def page(seen: Seen) -> str:
    """The whole page."""
    order = [*ASKED]
    clients = sorted({client for client, _ in seen.outcomes}, key=lambda name: (order.index(word_of(name)), name))
    words = {
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "version": __version__,
        "python": platform.python_version(),
        "node": RECIPES["node"].client.split()[1],
        "states": " | ".join(STATES),
        "dashes": "|".join(["---"] * len(STATES)),
    }
    rows = [
        f"| {client} | {' | '.join(seen.cell(client, state) for state in STATES)} | {ASKED[word_of(client)]} |\n"
        for client in clients
    ]
    return HEAD.format(**words) + "".join(rows) + TAIL


def word_of(client: str) -> str:
    """The name without its version."""
    return client.partition(" ")[0]


def main(words: list[str]) -> int:
    """Run, write, and say by the exit code whether all of it worked."""
    seen = Seen()
    tests = [str(path) for path in sorted(HERE.glob("test_serve_*.py"))]
    code = pytest.main(["-m", "conformance", *words, *tests], plugins=[seen])
    if not seen.outcomes:
        sys.stderr.write("nothing was run, so nothing is written\n")
        return 1
    PAGE.write_text(page(seen), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(HERE.parents[1])}")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
