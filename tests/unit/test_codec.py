"""The written forms: parsing what was written gives what was meant."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfmirror import codec
from hfmirror.errors import BadManifest, MirrorError, StoreTooNew, UnsafePath
from hfmirror.model import Algorithm, CommitId, Digest, Entry, Kind, Manifest, Pin, Reach, RepoId, Selection, entry_path
from tests.contracts.scene import COMMIT, TINY, entry, manifest, pin_of
from tests.simulator.content import Held
from tests.simulator.repos import Stored

NOW = "2026-01-01T00:00:00Z"


def _safe(text: str) -> bool:
    try:
        return bool(entry_path(text))
    except UnsafePath:
        return False


texts = st.text(max_size=20).filter(lambda text: text.isprintable())
paths = st.text(min_size=1, max_size=20).filter(_safe)
digests = st.one_of(
    st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda text: Digest(Algorithm.SHA256, text)),
    st.text("0123456789abcdef", min_size=40, max_size=40).map(lambda text: Digest(Algorithm.GIT_SHA1, text)),
)
repos = st.builds(RepoId, st.sampled_from(Kind), st.sampled_from(["gpt2", "acme/tiny", "a/b.c_d"]))
commits = st.text("0123456789abcdef", min_size=40, max_size=40).map(CommitId)
entries = st.builds(Entry, paths, st.integers(0, 2**60), digests)
reaches = st.builds(Reach, st.lists(paths, max_size=3).map(tuple), st.lists(paths, max_size=3).map(tuple))
manifests = st.builds(
    Manifest.of,
    repos,
    commits,
    st.lists(entries, max_size=6, unique_by=lambda one: one.path),
    st.one_of(st.just(Reach()), reaches),
)
selections = st.builds(Selection, st.lists(texts, max_size=3).map(tuple), st.lists(texts, max_size=3).map(tuple))


@given(manifests)
def test_a_manifest_reads_back(listing: Manifest) -> None:
    text = codec.manifest_text(listing)
    assert codec.manifest_of(text, "here") == listing
    assert text == codec.manifest_text(codec.manifest_of(text, "here"))


@given(manifests)
def test_a_written_form_is_one_line_feed_ended_text_of_sorted_json(listing: Manifest) -> None:
    text = codec.manifest_text(listing)
    document = json.loads(text)
    assert text.endswith("}\n")
    assert "\r" not in text
    assert list(document) == sorted(document)
    assert document["format"] == codec.FORMAT


@given(repos, commits, st.lists(st.tuples(texts, selections), min_size=1, max_size=4))
def test_pins_read_back_each_once_in_the_order_they_were_first_asked_for(
    repo: RepoId, commit: CommitId, wishes: list[tuple[str, Selection]]
) -> None:
    document = None
    for revision, selection in wishes:
        document = codec.with_pin(document, Pin(repo, commit, revision, selection), NOW)
        document = codec.load(codec.dump(document), "here")
    assert document is not None
    expected = dict.fromkeys(Pin(repo, commit, revision, selection) for revision, selection in wishes)
    assert codec.pins_of(document, "here") == list(expected)


@given(commits, texts)
def test_a_ref_reads_back(commit: CommitId, authority: str) -> None:
    assert codec.ref_of(codec.ref_text(commit, NOW, authority), "here") == commit


@given(st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable()))
def test_a_revision_reads_back_from_a_file_name_any_system_takes(revision: str) -> None:
    name = codec.file_name(revision)
    assert codec.revision_of(name) == revision
    assert not set(name) & set('/\\:*?"<>|')


@given(repos)
def test_a_repo_reads_back(repo: RepoId) -> None:
    assert codec.repo_of(codec.repo_text(repo)) == repo


def test_fields_nobody_knows_are_kept_on_rewrite() -> None:
    document = codec.with_pin(None, pin_of(manifest([])), NOW) | {"colour": "blue"}
    document["asked"][0]["why"] = "thesis"
    again = codec.with_pin(document, pin_of(manifest([]), "v1"), NOW)
    assert again["colour"] == "blue"
    assert again["asked"][0]["why"] == "thesis"


@pytest.mark.parametrize("read", [codec.manifest_of, codec.ref_of, codec.load])
def test_a_later_format_is_refused_with_its_number(read: object) -> None:
    text = codec.manifest_text(manifest([])).replace('"format": 1', '"format": 7')
    with pytest.raises(StoreTooNew) as caught:
        read(text, "here")  # type: ignore[operator]
    assert caught.value.version == 7


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"format": "1"}', "{", '{"format": 1}', '{"format": true}'])
def test_what_is_no_document_is_called_so(text: str) -> None:
    with pytest.raises(BadManifest):
        codec.manifest_of(text, "here")


mangled = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@given(st.sampled_from(["repo", "commit", "entries", "reach", "origin", "format"]), mangled)
def test_a_garbled_manifest_is_refused_in_hfmirrors_words(field: str, value: object) -> None:
    document = json.loads(codec.manifest_text(manifest([entry(b"a", "a")]))) | {field: value}
    try:
        listing = codec.manifest_of(json.dumps(document), "here")
    except MirrorError:
        return
    assert codec.manifest_of(codec.manifest_text(listing), "here") == listing


@pytest.mark.parametrize(
    "row",
    [
        {"path": "../x", "size": 1, "digest": "sha256:" + "0" * 64},
        {"path": "x", "size": -1, "digest": "sha256:" + "0" * 64},
        {"path": "x", "size": 1.5, "digest": "sha256:" + "0" * 64},
        {"path": "x", "size": 1, "digest": "sha1:" + "0" * 40},
        {"path": 7, "size": 1, "digest": "sha256:" + "0" * 64},
        {"path": "x", "size": 1},
    ],
)
def test_a_row_that_cannot_be_is_refused(row: dict[str, object]) -> None:
    document = json.loads(codec.manifest_text(manifest([]))) | {"entries": [row]}
    with pytest.raises((BadManifest, UnsafePath)):
        codec.manifest_of(json.dumps(document), "here")


def test_a_path_that_is_listed_twice_is_refused() -> None:
    row = {"path": "x", "size": 1, "digest": "sha256:" + "0" * 64}
    document = json.loads(codec.manifest_text(manifest([]))) | {"entries": [row, row]}
    with pytest.raises(BadManifest):
        codec.manifest_of(json.dumps(document), "here")


@pytest.mark.parametrize("word", ["\ud83d", "\u2028", "\x00", "中文", "\ufffe"])
def test_whatever_the_hub_says_of_a_repo_can_be_written_to_a_file(word: str) -> None:
    heard = json.loads(json.dumps({"cardData": {"title": word}}))
    text = codec.dump(heard)
    assert codec.document_of(text.encode("utf-8").decode("utf-8"), "here") == heard


# -- facts nobody here made up --------------------------------------------------------------------


def test_the_git_id_of_a_large_file_is_that_of_its_pointer() -> None:
    one = entry(b"some weights", "w.bin")
    assert codec.pointer(one) == (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + one.digest.hex.encode() + b"\nsize 12\n"
    )
    assert codec.pointer_oid(one) == Stored("w.bin", Held(b"some weights"), large=True).oid
    assert (
        codec.pointer_oid(entry(b"x", algorithm=Algorithm.GIT_SHA1))
        == entry(b"x", algorithm=Algorithm.GIT_SHA1).digest.hex
    )


def test_the_clients_record_of_a_tree_has_what_the_client_reads() -> None:
    large, small = entry(b"some weights", "w.bin"), entry(b"{}", "c.json", Algorithm.GIT_SHA1)
    record = json.loads(codec.tree_cache_text(manifest([large, small])))
    assert record["format_version"] == 1
    assert record["files"]["c.json"] == {"size": 2, "blob_id": small.digest.hex}
    assert record["files"]["w.bin"] == {
        "size": 12,
        "blob_id": codec.pointer_oid(large),
        "lfs_sha256": large.digest.hex,
        "lfs_size": 12,
    }


def test_a_description_of_a_repo_is_read_as_it_was_written() -> None:
    assert codec.manifest_of(codec.manifest_text(manifest([], TINY, COMMIT)), "here").repo == TINY
