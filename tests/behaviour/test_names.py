"""Every way to write a repo and a revision; what a listing costs; names that may do harm."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from tests.behaviour.lab import Lab, digests
from tests.simulator import HubSimulator, Made, served

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"config.json": b"{}", "model.safetensors": b"w" * 5000}


@pytest.mark.parametrize(
    ("repo", "folder"),
    [
        ("gpt2", "models--gpt2"),
        ("acme/model", "models--acme--model"),
        ("datasets/acme/data", "datasets--acme--data"),
        ("datasets/squad", "datasets--squad"),
        ("spaces/acme/app", "spaces--acme--app"),
        ("Acme.Lab/M_1.5-b", "models--Acme.Lab--M_1.5-b"),
    ],
)
def test_kinds_and_ids(hub: HubSimulator, lab: Lab, repo: str, folder: str) -> None:
    commit = hub.add(repo, FILES)
    lab.run("pull", repo)
    snapshot = lab.cache / folder / "snapshots" / commit
    assert digests(snapshot) == lab.expected(repo)
    assert lab.snapshot(repo) == snapshot
    lab.run("verify", repo)
    lab.run("rm", repo)
    assert not snapshot.exists()


@pytest.mark.parametrize(
    ("text", "revision"),
    [
        ("acme/r", "main"),
        ("acme/r@v1.0", "v1.0"),
        ("acme/r@refs/pr/1", "refs/pr/1"),
        ("acme/r@feature/x", "feature/x"),
        ("hf://acme/r", "main"),
        ("hf://acme/r@v1.0", "v1.0"),
        ("hf://models/acme/r@v1.0", "v1.0"),
        ("https://huggingface.co/acme/r", "main"),
        ("https://huggingface.co/acme/r/", "main"),
        ("https://huggingface.co/acme/r/tree/main", "main"),
        ("https://huggingface.co/acme/r/tree/v1.0", "v1.0"),
        ("https://huggingface.co/acme/r/tree/feature%2Fx", "feature/x"),
        ("https://hf.co/acme/r", "main"),
        ("https://hf-mirror.com/acme/r", "main"),
        ("https://huggingface.co/acme/r?library=transformers#use", "main"),
        ("{endpoint}/acme/r", "main"),
        ("{endpoint}/acme/r/tree/v1.0", "v1.0"),
        ("  acme/r  ", "main"),
    ],
)
def test_a_repo_as_people_paste_it(hub: HubSimulator, lab: Lab, text: str, revision: str) -> None:
    for number, branch in enumerate(("main", "feature/x", "other")):
        extra = {"tags": ("v1.0",), "refs": ("refs/pr/1",)} if branch == "other" else {}
        hub.add("acme/r", {"config.json": b"%d" % number}, branch=branch, **extra)  # type: ignore[arg-type]
    done = lab.run("pull", text.replace("{endpoint}", lab.endpoint))
    commit = hub.repos[next(r for r in hub.repos if r.name == "acme/r")].commit(revision).id
    assert commit in done.out
    assert (lab.cache / "models--acme--r" / "refs" / revision).read_bytes() == commit.encode()


@pytest.mark.parametrize("text", ["hf://datasets/acme/d", "https://huggingface.co/datasets/acme/d/tree/main"])
def test_a_dataset_as_people_paste_it(hub: HubSimulator, lab: Lab, text: str) -> None:
    hub.add("datasets/acme/d", FILES)
    lab.run("pull", text)
    lab.assert_same(lab.snapshot("datasets/acme/d"), "datasets/acme/d")


def test_revisions(hub: HubSimulator, lab: Lab) -> None:
    first = hub.add("acme/r", {"config.json": b"1"}, tags=("v1.0",), refs=("refs/pr/1",))
    second = hub.add("acme/r", {"config.json": b"2"}, branch="feature/x", refs=("refs/convert/parquet",))
    assert first != second
    wanted = {
        "v1.0": first,
        "refs/pr/1": first,
        "feature/x": second,
        "refs/convert/parquet": second,
        second[:7]: second,
        first: first,
    }
    for revision, commit in wanted.items():
        assert commit in lab.run("pull", "acme/r", "--revision", revision).out
        assert lab.snapshot("acme/r", "--revision", revision).name == commit
        if revision != commit:
            assert (lab.cache / "models--acme--r" / "refs" / revision).read_bytes() == commit.encode()


def test_a_renamed_repo_is_kept_under_the_name_that_was_asked_for(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/old", FILES)
    hub.rename("acme/old", "acme/new")
    lab.run("pull", "acme/old")
    assert digests(lab.snapshot("acme/old")) == lab.expected("acme/new")
    hub.add("bert", FILES)
    hub.rename("bert", "acme/bert")
    lab.run("pull", "bert")
    assert digests(lab.snapshot("bert")) == lab.expected("acme/bert")


def test_a_name_in_other_letters_is_followed(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "Acme/Tiny")
    assert digests(lab.snapshot("Acme/Tiny")) == lab.expected("acme/tiny")


# Listings


@pytest.fixture
def giant(tmp_path: Path) -> HubSimulator:
    """A repo whose listing has many pages."""
    hub = HubSimulator(page_size=50)
    files = {f"part{f:02}/sub/{n:03}.txt": b"%d %d" % (f, n) for f in range(30) for n in range(20)}
    hub.add("acme/giant", {**files, "README.md": b"# giant"})
    return hub


def test_a_listing_of_many_pages(giant: HubSimulator, tmp_path: Path) -> None:
    with served(giant) as site:
        lab = Lab(giant, site.endpoint, tmp_path)
        lab.run("pull", "acme/giant", "--exclude", "part[012]*/*")
        assert giant.count("tree") == -(-(601 + 60) // 50)
        assert set(digests(lab.snapshot("acme/giant"))) == {"README.md"}
        giant.reset_counts()
        lab.run("pull", "acme/giant", "--include", "part07/*")
        assert giant.count("tree") == 0  # a commit does not change, and its whole listing is known
        assert len(digests(lab.snapshot("acme/giant"))) == 21


@pytest.mark.parametrize(
    ("patterns", "files"),
    [
        (["part07/*"], 20),
        (["part07/sub/00*.txt"], 10),
        (["part07/sub/003.txt"], 1),
        (["part07/"], 20),
        (["part07/*", "part11/sub/*"], 40),
        (["README.md"], 1),
    ],
)
def test_patterns_list_only_what_they_can_match(
    giant: HubSimulator, tmp_path: Path, patterns: list[str], files: int
) -> None:
    with served(giant) as site:
        lab = Lab(giant, site.endpoint, tmp_path)
        lab.run("pull", "acme/giant", *(word for p in patterns for word in ("--include", p)))
        for record in giant.ledger.select(kind="tree"):
            listed = unquote(record.path.partition("?")[0].partition("/tree/")[2].partition("/")[2])
            assert listed.partition("/")[0] in {"", *(p.partition("/")[0] for p in patterns)}
            assert listed or "cursor" not in record.path  # of everything the first page, to see that there are more
        assert giant.count("tree") + giant.count("paths-info") <= 1 + 2 * len(patterns)
        assert len(digests(lab.snapshot("acme/giant"))) == files
        lab.run("pull", "acme/giant")  # a partial listing is not taken for the whole
        assert len(digests(lab.snapshot("acme/giant"))) == 601
        assert giant.bytes_served == sum(map(len, everything(giant)))  # each file once


def everything(hub: HubSimulator) -> list[bytes]:
    """The content of each file."""
    (repo,) = hub.repos.values()
    return [hub.content(repo.id, path) for path in repo.commit("main").files]


# Names that may do harm

HOSTILE = [
    "../outside.txt",
    "a/../../outside.txt",
    "/outside.txt",
    "a//b.txt",
    "a/./b.txt",
    "./b.txt",
    "..",
    "a\\b.txt",
    "..\\outside.txt",
    "C:\\outside.txt",
    "C:outside.txt",
    "CON.txt",
    "sub/nul",
    "com1.bin",
    "aux/b.txt",
    "new\nline.txt",
    "bell\x07.txt",
    "colour\x1b[31m.txt",
    "zero\x00.txt",
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_name_is_refused_before_anything_is_written(hub: HubSimulator, lab: Lab, name: str) -> None:
    hub.add("acme/evil", {"config.json": b"{}", name: b"evil", "model.bin": Made(5000)})
    above = {p for p in lab.folder.parent.iterdir() if p != lab.folder}
    done = lab.run("pull", "acme/evil", "--local-dir", str(lab.folder / "target"), code=7)
    for piece in re.findall(r"[a-zA-Z.]{2,}", name.replace("[31m", "")):
        assert piece in done.err, "the name is in the message"
    assert not set(done.said) & set("\x07\x1b\x00"), "and it does nothing to the terminal"
    assert hub.bytes_served == 0
    assert not [p for p in lab.folder.rglob("*") if p.is_file() and p.read_bytes() == b"evil"]
    assert {p for p in lab.folder.parent.iterdir() if p != lab.folder} == above
    assert not (lab.cache / "models--acme--evil" / "snapshots").exists()


@pytest.mark.parametrize("names", [("Model.bin", "model.BIN"), ("a/X.txt", "A/x.txt"), ("a", "a/b.txt")])
def test_names_that_clash_never_overwrite_each_other(hub: HubSimulator, lab: Lab, names: tuple[str, str]) -> None:
    hub.add("acme/clash", {name: name.encode() for name in names})
    done = lab.run("pull", "acme/clash", code=None)
    if done.code == 0:
        lab.assert_same(lab.snapshot("acme/clash"), "acme/clash")
    else:
        assert done.code == 7
        assert any(name in done.err for name in names)


def test_odd_but_honest_names(hub: HubSimulator, lab: Lab) -> None:
    names = [
        "a b+c%20d.txt",
        "é ü.txt",
        "权重/模型 (1).bin",
        "q?.txt",
        "h#.txt",
        "x=1&y=2;z.txt",
        "'quote\".txt",
        "...txt",
        "~",
        "-rf",
    ]
    hub.add("acme/odd", {name: name.encode() for name in names})
    done = lab.run("pull", "acme/odd", "--local-dir", str(lab.folder / "target"), code=None)
    if done.code == 7:  # what another system could not hold may be refused, by name
        assert '"' in done.err or "?" in done.err
        hub.add("acme/odd", {name: name.encode() for name in names if not set(name) & set('?"')})
        lab.run("pull", "acme/odd", "--local-dir", str(lab.folder / "target"))
    lab.assert_same(lab.snapshot("acme/odd"), "acme/odd")
    assert lab.expected("acme/odd").items() <= digests(lab.folder / "target").items()
