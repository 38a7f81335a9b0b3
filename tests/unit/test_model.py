"""The values: what cannot be written down wrong."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from huggingface_hub.utils._paths import filter_repo_objects
from hypothesis import example, given
from hypothesis import strategies as st

from hfmirror.errors import BadManifest, UnsafePath, UsageError
from hfmirror.model import (
    Algorithm,
    Digest,
    Kind,
    Manifest,
    Reach,
    RepoId,
    Selection,
    case_clash,
    commit_id,
    entry_path,
    is_commit,
    path_of,
    pattern_of,
    unholdable,
)
from tests.contracts.scene import COMMIT, TINY, entry
from tests.material import MINILM_GOLDEN

# -- paths --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc/passwd",
        "a//b",
        "a/",
        "..",
        "../x",
        "a/../b",
        "a/..",
        ".",
        "./a",
        "a/.",
        "a\\b",
        "..\\x",
        "a\x00b",
        "\n",
        "a\x7fb",
        chr(0xD800),
    ],
)
def test_paths_that_could_leave_their_folder_or_are_no_text_are_refused(path: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        entry_path(path)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "path", ["a", ".gitattributes", "a/b/c.txt", "...", "a..b", "..a/b..", "中文/文件 名.txt", "a b+c%20"]
)
def test_ordinary_paths_are_taken_as_they_are(path: str) -> None:
    assert entry_path(path) == path


words = st.text(st.sampled_from("abAB.-_ :/\\~$*?%é中\0\n"), max_size=12)


@given(words)
@example("C:/x")
@example("C:x")
@example("a/D:x")
def test_no_path_that_is_taken_leads_out_of_its_folder_on_any_system(text: str) -> None:
    try:
        path = entry_path(text)
    except UnsafePath:
        return
    if unholdable(path):
        return
    for home in (PurePosixPath("/home/me/store"), PureWindowsPath("D:/me/store")):
        place = home / path
        assert place.is_relative_to(home)
        assert ".." not in place.parts


@pytest.mark.parametrize("path", ["con", "CON", "a/nul.txt", "prn.tar.gz", "com1", "LPT¹.txt", "aux .txt", "x/aux/y"])
def test_names_of_devices_are_told(path: str) -> None:
    assert unholdable(path)


@pytest.mark.parametrize("path", ["console", "nullable.py", "com", "com10", "lpt", "auxiliary/x", "my.con"])
def test_names_that_only_look_like_devices_are_not(path: str) -> None:
    assert not unholdable(path)


@given(st.lists(st.text(st.sampled_from("aAbBß/"), min_size=1, max_size=5), max_size=6))
def test_a_clash_is_told_exactly_when_folding_loses_a_name(paths: list[str]) -> None:
    names = {path[:at] for path in paths for at in range(1, len(path) + 1) if at == len(path) or path[at] == "/"}
    assert (case_clash(paths) is not None) == (len({name.casefold() for name in names}) < len(names))


# -- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "acme/tiny", "a", "A-b_c.d/e.f-g", "x" * 96, "acme/_x"])
def test_a_repo_is_the_inverse_of_its_folder(name: str) -> None:
    for kind in Kind:
        repo = RepoId.of(kind, name)
        assert RepoId.of_folder(repo.folder) == repo


@pytest.mark.parametrize(
    "name",
    ["", "/", "a/", "/a", "a/b/c", "a--b", "a..b", ".a", "a.", "-a", "a-", "a b", "a/b.git", "é", "x" * 97, "a\n"],
)
def test_what_the_hub_would_not_take_for_a_repo_is_none(name: str) -> None:
    with pytest.raises(UsageError):
        RepoId.of(Kind.MODEL, name)


@pytest.mark.parametrize("text", ["", "a" * 39, "a" * 41, "A" * 40, "g" * 40, "a" * 40 + "\n"])
def test_a_commit_is_forty_hex_digits(text: str) -> None:
    assert not is_commit(text)
    with pytest.raises(BadManifest):
        commit_id(text)


# -- digests ------------------------------------------------------------------------------------


def test_git_names_contents_as_the_protocol_says() -> None:
    assert Digest.of(Algorithm.GIT_SHA1, b"").hex == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert Digest.of(Algorithm.GIT_SHA1, b"hello world\n").hex == "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"


@given(st.binary(max_size=1000))
def test_a_running_hash_ends_at_the_digest(data: bytes) -> None:
    for algorithm in Algorithm:
        digest = Digest.of(algorithm, data)
        hasher = digest.hasher(len(data))
        for at in range(0, len(data), 7):
            hasher.update(data[at : at + 7])
        assert hasher.hexdigest() == digest.hex
    assert Digest.of(Algorithm.SHA256, data).hex == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("text", MINILM_GOLDEN.values())
def test_published_digests_parse_to_themselves(text: str) -> None:
    assert str(Digest.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "sha256:", "md5:" + "0" * 32, "sha256:" + "0" * 40, "git-sha1:" + "A" * 40, "0" * 64]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(BadManifest):
        Digest.parse(text)


# -- selections ---------------------------------------------------------------------------------

paths = st.text(st.sampled_from("ab.-/[]"), min_size=1, max_size=8)
patterns = st.lists(st.text(st.sampled_from("ab.-/*?[]!"), min_size=1, max_size=6), max_size=3).map(tuple)


@given(paths, patterns, patterns)
@example("data/x", ("data/",), ())
@example("a[b", ("a[b",), ())
def test_a_selection_takes_what_the_official_client_takes(
    path: str, include: tuple[str, ...], exclude: tuple[str, ...]
) -> None:
    theirs = filter_repo_objects([path], allow_patterns=list(include) or None, ignore_patterns=list(exclude) or None)
    assert Selection(include, exclude).takes(path) == bool(list(theirs))


@given(paths, patterns, patterns)
def test_whatever_a_selection_takes_is_within_its_reach(
    path: str, include: tuple[str, ...], exclude: tuple[str, ...]
) -> None:
    selection = Selection(include, exclude)
    if selection.takes(path):
        assert selection.reach().covers(path)


@given(patterns, patterns)
def test_a_listing_made_for_a_selection_answers_for_it(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    one, two = Selection(first).reach(), Selection(second).reach()
    assert one.includes(one)
    assert Reach().includes(one)
    both = Manifest.of(TINY, COMMIT, [], one).joined(Manifest.of(TINY, COMMIT, [], two)).reach
    assert both.includes(one)
    assert both.includes(two)


@given(patterns, patterns, paths)
def test_a_listing_that_includes_another_covers_all_that_it_covers(
    first: tuple[str, ...], second: tuple[str, ...], path: str
) -> None:
    one, two = Selection(first).reach(), Selection(second).reach()
    if one.includes(two) and two.covers(path):
        assert one.covers(path)


def test_only_what_a_listing_covers_is_denied() -> None:
    listing = Manifest.of(TINY, COMMIT, [entry(b"x", "data/x")], Reach(("data",), ("README.md",)))
    assert [path for path in ("data/x", "data/y", "README.md", "other") if listing.denies(path)] == [
        "data/y",
        "README.md",
    ]


@pytest.mark.parametrize(
    ("include", "folders", "files"),
    [
        (("*.json",), ("",), ()),
        (("data/*.parquet",), ("data",), ()),
        (("data/train/",), ("data/train",), ()),
        (("config.json", "a/b.txt"), (), ("a/b.txt", "config.json")),
        (("data/x*", "config.json"), ("data",), ("config.json",)),
        ((), ("",), ()),
    ],
)
def test_the_reach_is_the_least_that_must_be_listed(
    include: tuple[str, ...], folders: tuple[str, ...], files: tuple[str, ...]
) -> None:
    assert Selection(include).reach() == Reach(folders, files)


# -- patterns that are just paths -----------------------------------------------------------------


@given(st.text(st.sampled_from("ab/[]*?!.-1"), min_size=1, max_size=12))
@example("[1](2)'!*.txt")
@example("[[]")
def test_any_path_can_be_written_as_a_pattern_that_takes_it_alone(text: str) -> None:
    try:
        path = entry_path(text)
    except UnsafePath:
        return
    pattern = pattern_of(path)
    assert path_of(pattern) == path
    assert Selection((pattern,)).reach() == Reach((), (path,))
    others = {path.replace("*", "x"), path.replace("?", "x"), path.replace("[", ""), f"{path}x", f"x/{path}"} - {path}
    assert Selection((pattern,)).takes(path)
    assert not any(Selection((pattern,)).takes(other) for other in others)


@pytest.mark.parametrize("pattern", ["*.json", "a?", "[ab].txt", "[!a]", "a/", "a/[[]/*", "[", "[*"])
def test_what_may_take_several_is_no_path(pattern: str) -> None:
    assert path_of(pattern) is None


@pytest.mark.parametrize(("one", "two"), [("a", "A"), ("a", "a."), ("x/b ", "x/b"), ("é", "e\u0301"), ("d./f", "d/f")])
def test_names_that_a_blind_disk_takes_for_one_are_told(one: str, two: str) -> None:
    assert case_clash([one, "other", two]) is not None


@pytest.mark.parametrize(("one", "two"), [("a.b", "ab"), ("..a", "a"), ("...", "other."), (" a", "a")])
def test_names_that_every_disk_tells_apart_are_not(one: str, two: str) -> None:
    assert case_clash([one, two]) is None
