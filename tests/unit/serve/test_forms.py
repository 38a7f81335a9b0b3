"""What is answered: the shapes every client reads, from what the store knows."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from huggingface_hub.hf_api import DatasetInfo, ModelInfo, RepoFile, RepoFolder, SpaceInfo
from huggingface_hub.utils._datetime import parse_datetime
from hypothesis import example, given
from hypothesis import strategies as st

from hfmirror import codec
from hfmirror.model import Algorithm, Digest, Entry, Kind, Manifest, RepoId, commit_id
from hfmirror.serve import forms
from hfmirror.serve.grammar.questions import Listing
from tests.contracts.scene import COMMIT, TINY, entry, manifest

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = entry(b"hello world\n", "config.json", Algorithm.GIT_SHA1)
LARGE = entry(b"weights", "model.safetensors")
EMPTY = entry(b"", "sub/empty.txt", Algorithm.GIT_SHA1)
DEEP = entry(b"deep", "sub/deep/a b.bin")
BESIDE = entry(b"beside", "sub-way/x.txt", Algorithm.GIT_SHA1)
HOUSE = manifest([SMALL, LARGE, EMPTY, DEEP, BESIDE])
DATE = "2024-01-02T03:04:05.000Z"

LARGE_OID = codec.pointer_oid(LARGE)
LFS = {"oid": LARGE.digest.hex, "size": 7, "pointerSize": len(codec.pointer(LARGE))}


def paths(rows: list[forms.Row] | None) -> list[str] | None:
    return None if rows is None else [row["path"] for row in rows]


# -- trees (protocol section 4.2) ------------------------------------------------------------------


def test_a_tree_lists_one_level_by_path_from_the_root() -> None:
    assert paths(forms.tree(HOUSE, "")) == ["config.json", "model.safetensors", "sub", "sub-way"]
    assert paths(forms.tree(HOUSE, "sub")) == ["sub/deep", "sub/empty.txt"]
    assert paths(forms.tree(HOUSE, "sub/deep")) == ["sub/deep/a b.bin"]


def test_a_recursive_tree_lists_folders_and_files() -> None:
    whole = ["config.json", "model.safetensors", "sub", "sub-way", "sub-way/x.txt"]
    whole += ["sub/deep", "sub/deep/a b.bin", "sub/empty.txt"]
    assert paths(forms.tree(HOUSE, "", recursive=True)) == whole
    assert paths(forms.tree(HOUSE, "sub", recursive=True)) == ["sub/deep", "sub/deep/a b.bin", "sub/empty.txt"]


@pytest.mark.parametrize("folder", ["nothing", "su", "sub/dee", "config.json", "sub/empty.txt", "sub/", "/", "sub-"])
@pytest.mark.parametrize("recursive", [False, True])
def test_a_folder_that_is_none_has_no_tree(folder: str, recursive: bool) -> None:
    assert forms.tree(HOUSE, folder, recursive=recursive) is None


def test_an_empty_repo_has_an_empty_tree() -> None:
    assert forms.tree(manifest([]), "") == []
    assert forms.tree(manifest([]), "", recursive=True) == []


def test_rows_are_as_the_hub_has_them() -> None:
    small, large, folder, _ = forms.tree(HOUSE, "") or []
    assert small == {"type": "file", "oid": SMALL.digest.hex, "size": 12, "path": "config.json"}
    assert small["oid"] == "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"
    assert large == {"type": "file", "oid": LARGE_OID, "size": 7, "lfs": LFS, "path": "model.safetensors"}
    assert {**folder, "oid": ""} == {"type": "directory", "oid": "", "size": 0, "path": "sub"}
    assert re.fullmatch("[0-9a-f]{40}", folder["oid"])


def test_a_folders_id_is_the_same_every_time_and_no_others() -> None:
    folders = [row for row in forms.tree(HOUSE, "", recursive=True) or [] if row["type"] == "directory"]
    assert len({row["oid"] for row in folders}) == len(folders) == 3
    assert folders == forms.paths_info(HOUSE, ["sub", "sub-way", "sub/deep"])
    other = Manifest.of(TINY, commit_id("d" * 40), HOUSE.entries)
    assert forms.paths_info(other, ["sub"]) != forms.paths_info(HOUSE, ["sub"])


def test_an_expanded_row_names_the_commit_when_its_date_is_known() -> None:
    rows = forms.tree(HOUSE, "", expand=True, date=DATE) or []
    assert [row["lastCommit"] for row in rows] == [{"id": COMMIT, "title": "", "date": DATE}] * 4
    assert [row.get("securityFileStatus", "none") for row in rows] == [None, None, "none", "none"]
    undated = forms.tree(HOUSE, "", expand=True) or []
    assert [row["lastCommit"] for row in undated] == [None] * 4


@pytest.mark.parametrize("date", ["", DATE])
def test_the_official_client_reads_every_row(date: str) -> None:
    for row in forms.tree(HOUSE, "", recursive=True, expand=True, date=date) or []:
        read = (RepoFile if row["type"] == "file" else RepoFolder)(**json.loads(forms.dump(row)))
        assert read.path == row["path"]
        assert (read.last_commit is None) is (date == "")
        if isinstance(read, RepoFile) and read.lfs:
            held = HOUSE.get(read.path)
            assert held is not None
            assert read.lfs.sha256 == held.digest.hex
            assert (read.lfs.size, read.lfs.pointer_size) == (held.size, len(codec.pointer(held)))


names = st.text("ab-/.0é", min_size=1, max_size=9).filter(lambda path: "" not in path.split("/"))


@given(st.lists(names, unique=True, max_size=12), names)
@example(["a/b", "a-b", "a0", "a.b/c"], "a")
def test_a_tree_holds_what_the_paths_say(given_paths: list[str], folder: str) -> None:
    files = [path for path in given_paths if not any(other.startswith(f"{path}/") for other in given_paths)]
    listing = manifest([entry(path.encode(), path) for path in files])
    folders = {path[:at] for path in files for at, char in enumerate(path) if char == "/"}
    everything = sorted({*files, *folders})
    assert paths(forms.tree(listing, "", recursive=True)) == everything
    inside = [path for path in everything if path.startswith(f"{folder}/")]
    assert paths(forms.tree(listing, folder, recursive=True)) == (inside or None)
    direct = [path for path in inside if "/" not in path[len(folder) + 1 :]]
    assert paths(forms.tree(listing, folder)) == (direct or None)
    assert paths(forms.paths_info(listing, [folder])) == ([folder] if folder in everything else [])


# -- paths-info, sizes, pages ----------------------------------------------------------------------


def test_single_paths_are_told_each_once_and_unknown_ones_left_out() -> None:
    asked = ["sub", "nothing", "model.safetensors", "", "sub", "sub/deep/a b.bin", "su", "/"]
    rows = forms.paths_info(HOUSE, asked, expand=True)
    assert paths(rows) == ["sub", "model.safetensors", "sub/deep/a b.bin"]
    assert rows[1]["lfs"] == LFS
    assert rows[1]["lastCommit"] is None


@pytest.mark.parametrize(
    ("path", "size"), [("", 12 + 7 + 0 + 4 + 6), ("sub", 4), ("config.json", 12), ("sub/empty.txt", 0)]
)
def test_a_folder_has_a_size(path: str, size: int) -> None:
    assert forms.tree_size(HOUSE, path) == {"path": f"/{path}", "size": size}


def test_a_folder_that_is_none_has_no_size() -> None:
    assert forms.tree_size(HOUSE, "su") is None
    assert forms.tree_size(manifest([]), "") == {"path": "/", "size": 0}


@given(st.lists(st.integers(), max_size=30), st.integers(1, 10))
def test_pages_put_together_are_the_whole(rows: list[int], limit: int) -> None:
    read: list[int] = []
    cursor = None
    for _ in range(len(rows) + 1):
        some, cursor = forms.page(rows, limit, cursor)
        assert len(some) <= limit
        read += some
        if cursor is None:
            break
    assert read == rows
    assert forms.page(rows, None, None) == (rows, None)


def test_a_page_beyond_the_end_is_empty() -> None:
    _, cursor = forms.page(range(10), 9, None)
    assert forms.page([], 9, cursor) == ([], None)


@pytest.mark.parametrize(
    "cursor", ["x", "!!", "MQ", "LTE=", "MDE=", "é", "MTAwMDA=MTAwMDA=", "A" * 100_000, "IDE=", " "]
)
def test_a_cursor_nobody_gave_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        forms.page([1, 2, 3], 2, cursor)


# -- descriptions (protocol section 4.1) -------------------------------------------------------------

ABOUT: dict[str, Any] = {
    "_id": "65a",
    "id": "Acme/Tiny",
    "modelId": "somebody/else",
    "author": "Acme",
    "sha": "f" * 40,
    "lastModified": DATE,
    "createdAt": "2024-01-01T00:00:00+00:00",
    "private": False,
    "gated": "auto",
    "disabled": False,
    "downloads": 7,
    "likes": 3,
    "tags": ["transformers", "xet", 3, None],
    "pipeline_tag": "fill-mask",
    "library_name": "transformers",
    "xetEnabled": True,
    "config": {"model_type": "bert", "xeter": 1, "deep": [{"xetHash": "ab", "kept": 1}]},
    "cardData": {"license": "mit"},
    "siblings": [{"rfilename": "from-the-hub.txt", "xetHash": "ab"}, {"rfilename": "../../x"}, {}, 3],
    "usedStorage": 5,
    "unheard-of": {"a": [1.5]},
}


def test_a_description_says_what_the_hub_said_and_what_is_known_here() -> None:
    told = forms.repo_info(TINY, COMMIT, ABOUT, HOUSE.entries)
    assert told == {
        **{name: ABOUT[name] for name in ("_id", "author", "lastModified", "private", "gated", "disabled")},
        **{name: ABOUT[name] for name in ("downloads", "likes", "pipeline_tag", "library_name", "cardData")},
        "usedStorage": 5,
        "unheard-of": {"a": [1.5]},
        "id": "Acme/Tiny",
        "modelId": "Acme/Tiny",
        "sha": COMMIT,
        "createdAt": "2024-01-01T00:00:00Z",
        "tags": ["transformers", "xet"],
        "config": {"model_type": "bert", "xeter": 1, "deep": [{"kept": 1}]},
        "siblings": [{"rfilename": held.path} for held in HOUSE.entries],
    }


def test_with_blobs_every_file_has_a_size_and_large_ones_a_sha256() -> None:
    siblings = forms.repo_info(TINY, COMMIT, {}, [SMALL, LARGE], blobs=True)["siblings"]
    assert siblings == [
        {"rfilename": "config.json", "size": 12, "blobId": SMALL.digest.hex},
        {
            "rfilename": "model.safetensors",
            "size": 7,
            "blobId": LARGE_OID,
            "lfs": {"sha256": LARGE.digest.hex, "size": 7, "pointerSize": LFS["pointerSize"]},
        },
    ]


def test_before_the_files_are_listed_the_hubs_own_list_is_told() -> None:
    assert forms.repo_info(TINY, COMMIT, ABOUT, None)["siblings"] == [{"rfilename": "from-the-hub.txt"}]


def test_no_list_of_files_is_made_up() -> None:
    assert "siblings" not in forms.repo_info(TINY, COMMIT, {}, None)
    assert forms.repo_info(TINY, COMMIT, {}, [])["siblings"] == []


@pytest.mark.parametrize(("kind", "has_model_id"), [(Kind.MODEL, True), (Kind.DATASET, False), (Kind.SPACE, False)])
def test_of_a_repo_nothing_is_known_of_the_least_is_told(kind: Kind, has_model_id: bool) -> None:
    told = forms.repo_info(RepoId(kind, "acme/tiny"), COMMIT, {}, [])
    assert told == {
        "id": "acme/tiny",
        **({"modelId": "acme/tiny"} if has_model_id else {}),
        "author": "acme",
        "sha": COMMIT,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": [],
    }
    assert forms.repo_info(RepoId(kind, "tiny"), COMMIT, {}, [])["author"] is None


@pytest.mark.parametrize(
    ("field", "given_value", "told"),
    [
        ("id", "openai-community/gpt2", "openai-community/gpt2"),
        ("id", "../../x", "acme/tiny"),
        ("id", 3, "acme/tiny"),
        ("gated", "manual", "manual"),
        ("gated", True, "manual"),
        ("gated", None, False),
        ("private", True, True),
        ("private", "no", False),
        ("downloads", "many", 0),
        ("likes", None, 0),
        ("likes", True, 0),
        ("tags", "no list", []),
        ("sha", "main", COMMIT),
        ("author", 3, "acme"),
    ],
)
def test_what_clients_rely_on_is_of_the_right_type(field: str, given_value: object, told: object) -> None:
    assert forms.repo_info(TINY, COMMIT, {field: given_value}, [])[field] == told


@pytest.mark.parametrize(
    ("field", "given_value"),
    [
        ("lastModified", "yesterday"),
        ("createdAt", None),
        ("cardData", "text"),
        ("config", [1]),
        ("safetensors", 3),
        ("transformersInfo", "x"),
        ("runtime", "x"),
        ("inferenceProviderMapping", "x"),
        ("evalResults", {}),
    ],
)
def test_what_clients_stumble_over_is_left_out(field: str, given_value: object) -> None:
    assert field not in forms.repo_info(TINY, COMMIT, {field: given_value}, [])


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.one_of(st.sampled_from([*ABOUT, "xetHash", "runtime", "spaces"]), st.text()), json_values))
def test_whatever_the_hub_said_the_official_client_gets_by(about: dict[str, Any]) -> None:
    for kind, read in ((Kind.MODEL, ModelInfo), (Kind.DATASET, DatasetInfo), (Kind.SPACE, SpaceInfo)):
        told = forms.repo_info(RepoId(kind, "acme/tiny"), COMMIT, about, HOUSE.entries, blobs=True)
        document = json.loads(forms.dump(told))
        assert "xetHash" not in document
        shapes = ("cardData", "config", "runtime", "spaces")  # their insides are the Hub's to get right
        info = read(**{name: value for name, value in document.items() if name not in shapes})
        assert info.sha == COMMIT
        assert info.siblings is not None
        assert len(info.siblings) == len(HOUSE.entries)


@given(json_values)
@example([[[[[[[[[[{"xetHash": 1}]]]]]]]]]])
def test_a_document_is_passed_on_without_xet_and_can_always_be_written(document: Any) -> None:
    told = forms.plain(document)
    written = forms.dump(told)
    assert json.loads(written) == told
    assert b'"xetHash"' not in written


@pytest.mark.parametrize(
    "key", ["xetHash", "xet_hash", "xet-hash", "xet", "XetHash", "X-Xet-Hash", "xetEnabled", "XET"]
)
def test_every_spelling_of_xet_is_a_signal(key: str) -> None:
    assert forms.plain([{key: 1, "a": {key: {"b": 1}}}]) == [{"a": {}}]


@pytest.mark.parametrize("key", ["xeter", "axet", "x", "hash"])
def test_other_words_are_none(key: str) -> None:
    assert forms.plain({key: 1}) == {key: 1}


@pytest.mark.parametrize("around", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_a_document_nested_without_end_is_cut_off(around: Callable[[object], object]) -> None:
    deep: object = "bottom"
    for _ in range(5000):
        deep = around(deep)
    assert b"bottom" not in forms.dump(forms.plain(deep))


# -- dates (protocol section 2.10) --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_date", "told"),
    [
        (DATE, DATE),
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05.123456789Z"),
        ("2024-01-02T03:04:05+00:00", "2024-01-02T03:04:05Z"),
        ("2024-01-02T03:04:05.5+00:00", "2024-01-02T03:04:05.5Z"),
        ("2024-01-02T03:04:05+08:00", None),
        ("2024-01-02T03:04:05", None),
        ("2024-01-02", None),
        ("2024-01-02Z", None),
        ("2024-13-02T03:04:05Z", None),
        ("2024-01-02T03:04:05.Z", None),
        ("2024-01-02T03:04:05.1.2Z", None),
        ("2024-01-02T03:04:05.\u0663Z", None),
        ("Z", None),
        ("", None),
        (None, None),
        (1704164645, None),
        (datetime(2024, 1, 2, tzinfo=timezone.utc), None),
    ],
)
def test_a_date_ends_in_z_or_is_none(given_date: object, told: str | None) -> None:
    assert forms.date_of(given_date) == told
    if told is not None:
        assert parse_datetime(told).year == 2024


@given(st.text("0123456789-:.TZ+ ", max_size=30))
@example("2024-1-2T3:4:5Z")
def test_the_official_client_reads_every_date_that_is_told(text: str) -> None:
    told = forms.date_of(text)
    if told is not None:
        assert parse_datetime(told).tzinfo is timezone.utc


# -- refs, history, small answers ---------------------------------------------------------------------


def test_refs_are_told_by_what_they_are() -> None:
    known = {"main": COMMIT, "feature/x": "d" * 40, "refs/pr/1": COMMIT, "refs/convert/parquet": COMMIT}
    known |= {COMMIT: COMMIT, COMMIT[:7]: COMMIT, "c": COMMIT, "refs/other/1": COMMIT}
    told = forms.refs(known, tags={"v1": COMMIT})
    assert told == {
        "branches": [
            {"name": "c", "ref": "refs/heads/c", "targetCommit": COMMIT},
            {"name": "feature/x", "ref": "refs/heads/feature/x", "targetCommit": "d" * 40},
            {"name": "main", "ref": "refs/heads/main", "targetCommit": COMMIT},
        ],
        "converts": [{"name": "parquet", "ref": "refs/convert/parquet", "targetCommit": COMMIT}],
        "tags": [{"name": "v1", "ref": "refs/tags/v1", "targetCommit": COMMIT}],
    }
    told = forms.refs(known, include_prs=True)
    assert told["pullRequests"] == [{"name": "1", "ref": "refs/pr/1", "targetCommit": COMMIT}]
    assert told["tags"] == []


def test_a_history_has_one_commit_with_a_date_the_client_can_read() -> None:
    (row,) = forms.commits(COMMIT, {"author": "acme", "lastModified": DATE})
    assert row == {
        "id": COMMIT,
        "title": "",
        "message": "",
        "date": DATE,
        "authors": [{"user": "acme"}],
        "formatted": {"title": "", "message": ""},
    }
    (row,) = forms.commits(COMMIT, {"author": None, "createdAt": DATE, "lastModified": "x"})
    assert (row["date"], row["authors"]) == (DATE, [])
    (row,) = forms.commits(COMMIT, {})
    assert parse_datetime(row["date"]).year == 1970


def test_the_small_answers_are_what_the_clients_read() -> None:
    me = forms.whoami("lab")
    assert (me["name"], me["type"], me["orgs"]) == ("lab", "user", [])
    assert me["auth"]["accessToken"]["displayName"] == "lab"
    assert me["auth"]["accessToken"]["role"] == "read"
    assert forms.harnesses() == {"standardEnvVars": [], "harnesses": {}}
    assert forms.validate_yaml() == {"errors": [], "warnings": []}


# -- lists of repos (protocol section 4.5) ---------------------------------------------------------------


def _row(name: str, **about: object) -> forms.Row:
    return forms.listed(RepoId(Kind.MODEL, name), COMMIT, about)


REPOS = [
    _row("Acme/Bert-base", downloads=5, likes=9, tags=["en", "license:mit"], lastModified="2024-01-03T00:00:00Z"),
    _row("acme/bert-large", downloads=50, trendingScore=2.5, createdAt="2024-01-01T00:00:00Z"),
    _row("gpt2", downloads=500, pipeline_tag="text-generation", lastModified="2024-01-01T00:00:00Z"),
    _row("other/llama", downloads=5, tags=["EN"], library_name="transformers", trendingScore="x"),
]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (Listing(Kind.MODEL), ["Acme/Bert-base", "acme/bert-large", "gpt2", "other/llama"]),
        (Listing(Kind.MODEL, ("BERT",)), ["Acme/Bert-base", "acme/bert-large"]),
        (Listing(Kind.MODEL, ("bert", "large")), ["acme/bert-large"]),
        (Listing(Kind.MODEL, ("acme/b",)), ["Acme/Bert-base", "acme/bert-large"]),
        (Listing(Kind.MODEL, ("no",)), []),
        (Listing(Kind.MODEL, author="acme"), ["Acme/Bert-base", "acme/bert-large"]),
        (Listing(Kind.MODEL, author="acm"), []),
        (Listing(Kind.MODEL, filters=("en",)), ["Acme/Bert-base", "other/llama"]),
        (Listing(Kind.MODEL, filters=("en", "license:mit")), ["Acme/Bert-base"]),
        (Listing(Kind.MODEL, filters=("text-generation",)), ["gpt2"]),
        (Listing(Kind.MODEL, filters=("transformers",)), ["other/llama"]),
        (Listing(Kind.MODEL, sort="downloads"), ["gpt2", "acme/bert-large", "Acme/Bert-base", "other/llama"]),
        (
            Listing(Kind.MODEL, sort="downloads", descending=False),
            ["Acme/Bert-base", "other/llama", "acme/bert-large", "gpt2"],
        ),
        (Listing(Kind.MODEL, sort="likes", limit=1), ["Acme/Bert-base"]),
        (Listing(Kind.MODEL, sort="lastModified", limit=2), ["Acme/Bert-base", "gpt2"]),
        (Listing(Kind.MODEL, sort="createdAt", limit=1), ["acme/bert-large"]),
        (Listing(Kind.MODEL, sort="trendingScore", limit=1), ["acme/bert-large"]),
    ],
)
def test_a_list_of_repos_is_searched_and_sorted(asked: Listing, names: list[str]) -> None:
    rows, _ = forms.listing(REPOS, asked)
    assert [row["id"] for row in rows] == names


def test_a_list_of_repos_goes_on_at_its_cursor() -> None:
    rows, cursor = forms.listing(REPOS, Listing(Kind.MODEL, limit=3))
    assert (len(rows), cursor is None) == (3, False)
    rows, cursor = forms.listing(REPOS, Listing(Kind.MODEL, limit=3, cursor=cursor))
    assert ([row["id"] for row in rows], cursor) == (["other/llama"], None)
    with pytest.raises(ValueError, match="cursor"):
        forms.listing(REPOS, Listing(Kind.MODEL, cursor="x"))


def test_a_row_of_a_list_is_short_and_the_official_client_reads_it() -> None:
    row = forms.listed(TINY, COMMIT, ABOUT)
    assert not {"siblings", "config", "cardData", "unheard-of", "xetEnabled"} & set(row)
    info = ModelInfo(**json.loads(forms.dump(row)))  # type: ignore[no-untyped-call]
    assert (info.id, info.downloads, info.pipeline_tag) == ("Acme/Tiny", 7, "fill-mask")


# -- text -----------------------------------------------------------------------------------------------


def test_json_is_compact_and_its_letters_are_themselves() -> None:
    assert forms.dump([{"rfilename": "é/中.txt", "size": 1}]) == '[{"rfilename":"é/中.txt","size":1}]'.encode()


@given(st.text(st.characters()))
@example("\ud800")
@example("\\\ud800\\")
@example("\udc80\ud800")
def test_any_text_can_be_written_as_json(text: str) -> None:
    written = forms.dump({"a": text})
    assert json.loads(written.decode())["a"].encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


@pytest.mark.parametrize(
    ("path", "header"),
    [
        (
            "sub/model.safetensors",
            "inline; filename*=UTF-8''model.safetensors; filename=\"model.safetensors\";",
        ),
        ("a b.txt", "inline; filename*=UTF-8''a%20b.txt; filename=\"a b.txt\";"),
        ('a"b\\c', "inline; filename*=UTF-8''a%22b%5Cc; filename=\"a_b_c\";"),
        ("é/中文.txt", "inline; filename*=UTF-8''%E4%B8%AD%E6%96%87.txt; filename=\"__.txt\";"),
        ("a'b(c)*%;", "inline; filename*=UTF-8''a%27b%28c%29%2A%25%3B; filename=\"a'b(c)*%;\";"),
        ("x\r\nSet-Cookie: a", "inline; filename*=UTF-8''x%0D%0ASet-Cookie%3A%20a; filename=\"x__Set-Cookie: a\";"),
    ],
)
def test_a_file_is_called_by_its_name(path: str, header: str) -> None:
    assert forms.content_disposition(path) == header


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda name: "/" not in name))
def test_any_name_comes_through_a_header(name: str) -> None:
    header = forms.content_disposition(f"sub/{name}")
    assert header.isascii()
    assert header.isprintable()
    assert unquote(header.partition("UTF-8''")[2].partition(";")[0]) == name
    assert re.search(r'filename="(?P<filename>.*?)";', header)  # as the official client looks for it


@given(st.text(st.characters()))
@example("a\r\nX-Evil: 1")
@example("\ud800")
def test_any_text_can_stand_in_a_header(text: str) -> None:
    line = forms.printable_latin1(text)
    assert len(line.encode("latin-1")) <= 500
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)


def test_a_header_keeps_what_it_can() -> None:
    assert forms.printable_latin1(" no\ttoken\r\nfor é and 中 ") == "no token for é and ?"


# -- size -------------------------------------------------------------------------------------------------


def test_a_giant_commit_is_no_other_than_a_small_one() -> None:
    entries = [
        Entry(f"{at % 7}/{at % 100}/{at}.bin", at, Digest(Algorithm.SHA256, f"{at:064x}")) for at in range(20_000)
    ]
    giant = manifest(entries)
    rows = forms.tree(giant, "", recursive=True) or []
    assert len(rows) == 20_000 + 7 + 700
    assert paths(rows) == sorted(row["path"] for row in rows)
    found = forms.within(giant, "", recursive=True) or []
    some, cursor = forms.page(found, 1000, None)
    assert forms.rows(giant, some) == rows[:1000]
    assert cursor is not None
