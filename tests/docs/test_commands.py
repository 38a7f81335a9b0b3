"""What the pages show to type is typed, and what they show to come of it comes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.docs import made
from tests.docs.pages import PROJECT, blocks, name, pages
from tests.docs.stage import Stage, as_shown, hub_of_the_pages
from tests.simulator import served

if TYPE_CHECKING:
    from pathlib import Path

    from tests.docs.pages import Block

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the pages speak to a POSIX shell")

SERVES = "runs until it is stopped: tests/behaviour/serve starts it so; the pages' clients use one beside them"
TORCH = "needs torch: tests/conformance/test_convert.py converts with it, and loads what came of it"

# What is not run here, by page and first line, and why.
NOT_RUN = {
    ("README.md", "pip install hfmirror-cli            # the command and the Python package are called hfmirror"): (
        "installs from the network"
    ),
    ("README.md", "from transformers import AutoModelForSequenceClassification, AutoTokenizer"): (
        "needs torch and transformers: tests/conformance/test_chinese.py runs these lines"
    ),
    ("docs/tutorial.md", "python3 -m venv .venv"): "installs from the network",
    ("docs/tutorial.md", "from transformers import AutoModelForSequenceClassification, AutoTokenizer"): (
        "needs torch and transformers: tests/conformance/test_chinese.py runs these lines"
    ),
    ("docs/contributing.md", "python3 -m venv .venv"): "installs from the network",
    ("docs/contributing.md", "python -m tests.docs.write"): "rewrites the pages; a test says when it has to be run",
    ("docs/contributing.md", "ruff check"): "the checks of this project are no subject of its tests",
    ("docs/measurements.md", "python -m tests.bench"): "takes an hour, and needs its peers installed",
    ("docs/how-to/bad-network.md", "HF_ENDPOINT=https://hf-mirror.example hfmirror pull owner/name"): (
        "that host is an example"
    ),
    ("docs/how-to/adopt-files.md", "hfmirror import ~/.cache/huggingface/hub"): (
        "needs a client's cache: tests/behaviour/test_import_caches.py makes some and imports them"
    ),
    ("docs/how-to/old-checkpoints.md", "pip install 'hfmirror-cli[convert]'"): "installs from the network",
    ("docs/how-to/old-checkpoints.md", "hfmirror convert owner/old"): TORCH,
    ("docs/how-to/old-checkpoints.md", "from transformers import AutoModel"): TORCH,
    ("docs/how-to/old-checkpoints.md", "HFMIRROR_PICKLES=refuse hfmirror serve --lan"): SERVES,
    ("README.md", "hfmirror serve --lan"): SERVES,
    ("docs/how-to/lan-mirror.md", "hfmirror serve --lan"): SERVES,
    ("docs/how-to/lan-mirror.md", "hfmirror serve --lan --tls-cert lab-box.pem --tls-key lab-box.key"): SERVES,
    ("docs/how-to/lan-mirror.md", "hfmirror serve --lan --offline"): SERVES,
    ("docs/how-to/keep-it-sound.md", "hfmirror serve --lan --verify-every 30d"): SERVES,
    ("docs/how-to/lan-mirror.md", "hfmirror serve --prefix /hf --tls-cert lab-box.pem --tls-key lab-box.key"): SERVES,
    ("docs/how-to/lan-mirror.md", "hfmirror serve --lan --upstream https://faculty-box:8090"): SERVES,
    ("docs/reference/clients.md", "python -m tests.conformance.table"): "installs the clients, and writes this page",
    ("docs/how-to/behind-a-proxy.md", "pip install 'hfmirror-cli[socks]'"): "installs from the network",
    ("docs/reference/faults.md", "python -m tests.faults"): (
        "takes minutes, and writes this page: tests/faults/test_matrix.py tries a part of it"
    ),
}
SHELLS = {"sh", "python"}


def to_run(page: Path) -> list[Block]:
    """The blocks of a page that are typed here."""
    found = [block for block in blocks(page) if block.language in SHELLS and not block.marker]
    return [block for block in found if (name(page), block.first) not in NOT_RUN]


PLAYED = [page for page in pages() if to_run(page)]


@pytest.mark.parametrize("page", PLAYED, ids=map(name, PLAYED))
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    expected = {
        before.line: after.text
        for before, after in zip(blocks(page), blocks(page)[1:], strict=False)
        if after.language == "text"
    }
    with served(hub_of_the_pages()) as site:
        outcomes = Stage(tmp_path, site.endpoint).play(to_run(page))
    for outcome in outcomes:
        where = f"{name(page)}, line {outcome.block.line}"
        assert not outcome.code, f"{where}: exit code {outcome.code}\n{outcome.said}"
        assert "Traceback" not in outcome.said, f"{where}\n{outcome.said}"
        if outcome.block.line in expected:
            shown = expected[outcome.block.line]
            assert as_shown(shown, outcome.said), f"{where} shows\n{shown}\n\nand this came\n{outcome.said}"
    assert len(outcomes) == len(to_run(page))


def test_what_is_not_run_is_still_there() -> None:
    there = {(name(page), block.first) for page in pages() for block in blocks(page)}
    assert set(NOT_RUN) - there == set()


def test_the_two_commands_that_set_everything_up_are_marked() -> None:
    marked = {block.marker: block.text for block in blocks(PROJECT / "README.md") if block.marker}
    assert set(marked) == {"quickstart", "test"}
    assert marked["quickstart"].endswith("python examples/quickstart.py")
    assert marked["test"].endswith("python -m pytest")
    assert all("\n" not in text for text in marked.values())


def test_the_five_lines_are_those_that_the_conformance_tests_run() -> None:
    tried = (PROJECT / "tests/conformance/inside/chinese.py").read_text(encoding="utf-8")
    for page in ("README.md", "docs/tutorial.md"):
        shown = [b.text for b in blocks(PROJECT / page) if b.language == "python" and "from_pretrained" in b.text]
        lines = [
            line for line in "\n".join(shown).replace('"techthiyanes/chinese_sentiment"', "repo").splitlines() if line
        ]
        body = [line for line in lines if not line.startswith(("from ", "print("))]
        assert len(body) == 5, page
        assert "\n".join(body) in tried, page


def typed_commands() -> list[tuple[str, list[str]]]:
    """Every `hfmirror …` in a block of any page, run here or not."""
    found = []
    for page in pages():
        for block in blocks(page):
            if block.language == "sh":
                lines = block.text.replace("\\\n", " ").splitlines()
                found += [(f"{name(page)}: {line}", line.split()) for line in lines if line.startswith("hfmirror ")]
    return found


def test_every_command_and_option_that_is_shown_exists() -> None:
    known = made.commands()
    for where, words in typed_commands():
        if words[1].startswith("-"):
            continue
        command = known.get(words[1]) or known.get(" ".join(words[1:3]))
        assert command is not None, where
        spelled = {name for option in made.options(command) for name in option.opts} | {"--help", "--"}
        own = words[2 : words.index("--")] if "--" in words else words[2:]
        end = next((at for at, word in enumerate(own) if word in {"#", "|", "||", ">"}), len(own))
        unknown = [word for word in own[:end] if word.startswith("-") and word not in spelled]
        assert not unknown, where
