#!/usr/bin/env python3
"""Two machines of a lab and one mirror: what the first one fetched costs the second one nothing upstream.

    python examples/lab_mirror.py owner/name

Both machines run the real `huggingface_hub`, each with a cache of its own, and know nothing of hfmirror but
its address. The Hub behind the mirror is the one that HF_ENDPOINT names, or the usual one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror.errors import human

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT = "import sys; from huggingface_hub import snapshot_download; snapshot_download(sys.argv[1])"
LIMIT_S = 3600  # for one client
STOP_S = 60  # for the mirror to finish what is running


@dataclass(frozen=True)
class Given:
    """What the mirror gave to one machine."""

    fresh: int  # bytes that came from the Hub meanwhile
    held: int  # bytes that were here


@contextmanager
def serving(root: Path, log: Path) -> Iterator[str]:
    """A mirror on a free port; gives its address."""
    words = ["serve", "--root", str(root), "--port", "0", "--json", "--quiet", "--log-json", str(log)]
    server = subprocess.Popen([sys.executable, "-m", "hfmirror", *words], stdout=subprocess.PIPE, encoding="utf-8")
    try:
        line = server.stdout.readline() if server.stdout else ""
        yield json.loads(line)["addresses"][0]
    finally:
        server.terminate()
        server.communicate(timeout=STOP_S)


def machine(repo: str, home: Path, root: Path) -> Given:
    """A machine whose only Hub is the mirror downloads a repo."""
    log = home.with_suffix(".jsonl")
    with serving(root, log) as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
        subprocess.run([sys.executable, "-c", CLIENT, repo], env=environment, timeout=LIMIT_S, check=True)
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return Given(*(sum(row["sent"] for row in rows if row["from"] == word) for word in ("live", "held")))


def main(words: list[str]) -> int:
    """One machine after the other; 0 when the second one cost the Hub nothing."""
    if len(words) != 1:
        print("usage: lab_mirror.py REPO", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="hfmirror-lab-") as folder:
        root = Path(folder, "mirror")
        first = machine(words[0], Path(folder, "first"), root)
        # The owner of the mirror may pull the same: what clients brought is not fetched again.
        subprocess.run([sys.executable, "-m", "hfmirror", "pull", words[0], "--root", str(root)], check=True)
        second = machine(words[0], Path(folder, "second"), root)
    print(f"{'MACHINE':8} {'FROM THE HUB':>14} {'FROM THE MIRROR':>16}")
    for name, given in (("first", first), ("second", second)):
        print(f"{name:8} {human(given.fresh):>14} {human(given.held):>16}")
    return 1 if second.fresh else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
