"""The hub in memory: contents, commits, refs, access, and the port it implements."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from hfmirror import errors
from hfmirror.model import Algorithm, Digest, Entry, Kind, Manifest, RepoId, Selection, Span
from tests.simulator import HubSimulator, Made, Zeros

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.ports import Source
    from tests.simulator.content import Given

TINY = RepoId(Kind.MODEL, "acme/tiny")
WEIGHTS = Made(300_000, seed=1)
CONFIG = b'{"model_type":"bert"}'
FILES: dict[str, Given] = {
    "config.json": CONFIG,
    "model.safetensors": WEIGHTS,
    "sub/a b.txt": b"x",
    "empty.txt": b"",
}


@pytest.fixture
def hub() -> HubSimulator:
    """A hub with one small model."""
    hub = HubSimulator()
    hub.add(TINY, FILES, tags=("v1.0",), refs=("refs/pr/1", "refs/convert/parquet"))
    return hub


def manifest_of(source: Source, repo: RepoId = TINY, revision: str = "main") -> Manifest:
    """What a revision holds, asked as `pull` asks."""
    return source.manifest(repo, source.resolve(repo, revision).commit, Selection())


def entry_of(manifest: Manifest, path: str) -> Entry:
    """An entry that is there."""
    entry = manifest.get(path)
    assert entry is not None
    return entry


def read(source: Source, path: str, start: int = 0, stop: int | None = None) -> bytes:
    """A span of a file."""
    manifest = manifest_of(source)
    entry = entry_of(manifest, path)
    with source.open(manifest, entry, Span(start, entry.size if stop is None else stop)) as chunks:
        return b"".join(chunks)


def collect(source: Source, path: str, into: bytearray) -> None:
    """Chunks of a file, kept even when it breaks off."""
    manifest = manifest_of(source)
    entry = entry_of(manifest, path)
    with source.open(manifest, entry, Span(0, entry.size)) as chunks:
        for chunk in chunks:
            into += chunk


# Contents


def test_made_content_is_the_same_from_any_offset() -> None:
    made = Made(3_000_000, seed=5)
    whole = made.data()
    assert len(whole) == made.size
    for start, stop in ((0, 10), (3, 9), (2**20 - 3, 2**20 + 12), (2**21 + 4, 3_000_000), (7, 7)):
        assert b"".join(made.read(start, stop)) == whole[start:stop]
    assert whole[: 2**20] != whole[2**20 : 2**21]
    assert Made(100, seed=6).data() != Made(100, seed=5).data()


def test_zeros_of_any_size_cost_nothing_when_the_digest_is_given() -> None:
    known = Digest(Algorithm.SHA256, "ab" * 32)
    hub = HubSimulator()
    hub.add("acme/giant", {"model.safetensors": Zeros(60 * 10**9, known)})
    repo = RepoId(Kind.MODEL, "acme/giant")
    manifest = manifest_of(hub, repo)
    assert manifest.entries == (Entry("model.safetensors", 60 * 10**9, known),)
    with hub.open(manifest, manifest.entries[0], Span(59 * 10**9, 59 * 10**9 + 10)) as chunks:
        assert b"".join(chunks) == b"\0" * 10


def test_small_files_are_named_by_git_and_large_ones_by_sha256(hub: HubSimulator) -> None:
    manifest = manifest_of(hub)
    assert entry_of(manifest, "empty.txt").digest.hex == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    weights = entry_of(manifest, "model.safetensors")
    assert weights.digest == Digest(Algorithm.SHA256, hashlib.sha256(WEIGHTS.data()).hexdigest())
    stored = hub.stored(TINY, "model.safetensors")
    assert stored.pointer.splitlines()[2] == b"size 300000"
    assert stored.oid != stored.digest.hex


def test_a_rule_says_which_files_are_large() -> None:
    hub = HubSimulator()
    hub.add(TINY, {"a.txt": b"1", "b.bin": b"2"}, large=lambda path, size: path == "a.txt")
    algorithms = [entry.digest.algorithm for entry in manifest_of(hub).entries]
    assert algorithms == [Algorithm.SHA256, Algorithm.GIT_SHA1]


def test_files_on_disk_are_published_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "f.bin").write_bytes(WEIGHTS.data())
    hub = HubSimulator()
    hub.add(TINY, {"f.bin": tmp_path / "f.bin"})
    assert read(hub, "f.bin", 10, 2000) == WEIGHTS.data()[10:2000]


# Revisions


@pytest.mark.parametrize("revision", ["main", "HEAD", "v1.0", "refs/heads/main", "refs/pr/1", "refs/convert/parquet"])
def test_every_form_of_revision_is_understood(hub: HubSimulator, revision: str) -> None:
    commit = hub.resolve(TINY, "main").commit
    assert hub.resolve(TINY, revision).commit == commit
    assert hub.resolve(TINY, commit[:7]).commit == commit
    assert hub.resolve(TINY, commit).commit == commit


def test_the_branch_moves_and_the_old_commit_stays(hub: HubSimulator) -> None:
    old = hub.resolve(TINY, "main").commit
    new = hub.add(TINY, {"config.json": b"{}"})
    assert hub.resolve(TINY, "main").commit == new != old
    assert hub.resolve(TINY, "v1.0").commit == old
    assert len(hub.manifest(TINY, old, Selection()).entries) == len(FILES)


def test_the_same_files_are_the_same_commit(hub: HubSimulator) -> None:
    old = hub.resolve(TINY, "main").commit
    assert hub.add(TINY, FILES, branch="feature/x") == old
    assert hub.resolve(TINY, "feature/x").commit == old
    assert hub.add("acme/other", FILES) != old


def test_a_renamed_repo_is_found_by_its_old_name_in_any_case(hub: HubSimulator) -> None:
    commit = hub.resolve(TINY, "main").commit
    hub.rename(TINY, "newco/tiny")
    assert hub.resolve(RepoId(Kind.MODEL, "Acme/Tiny"), "main").commit == commit
    assert hub.resolve(TINY, "main").about["id"] == "newco/tiny"


# Access


def test_what_is_missing_is_said_to_be_missing(hub: HubSimulator) -> None:
    with pytest.raises(errors.RepoNotFound):
        hub.resolve(RepoId(Kind.DATASET, "acme/tiny"), "main")
    with pytest.raises(errors.RevisionNotFound):
        hub.resolve(TINY, "nope")
    manifest = manifest_of(hub)
    gone = Entry("gone.txt", 3, manifest.entries[0].digest)
    with pytest.raises(errors.EntryNotFound), hub.open(manifest, gone, Span(0, 3)):
        pass


def test_a_private_repo_is_hidden_from_all_but_its_readers(hub: HubSimulator) -> None:
    hub.restrict(TINY, private=True, token="hf_reader")
    hub.login("hf_stranger")
    with pytest.raises(errors.RepoNotFound):
        hub.resolve(TINY, "main")
    with pytest.raises(errors.RepoNotFound):
        hub.seen_by("hf_stranger").resolve(TINY, "main")
    with pytest.raises(errors.BadToken):
        hub.seen_by("hf_unknown").resolve(TINY, "main")
    assert read(hub.seen_by("hf_reader"), "config.json") == CONFIG
    hub.forbid(TINY, "hf_reader")
    with pytest.raises(errors.RepoNotFound):
        hub.seen_by("hf_reader").resolve(TINY, "main")


def test_a_gated_repo_shows_its_names_and_keeps_its_bytes(hub: HubSimulator) -> None:
    hub.restrict(TINY, gated="manual", token="hf_reader")
    with pytest.raises(errors.GatedRepo):
        read(hub, "config.json")
    assert hub.resolve(TINY, "main").about["gated"] == "manual"
    assert read(hub.seen_by("hf_reader"), "empty.txt") == b""


def test_a_disabled_repo_is_refused(hub: HubSimulator) -> None:
    hub.restrict(TINY, disabled=True)
    with pytest.raises(errors.DisabledRepo):
        hub.resolve(TINY, "main")


# Counts


def test_memory_counts_the_requests_a_socket_would_see(hub: HubSimulator) -> None:
    assert read(hub, "model.safetensors", 100, 300) == WEIGHTS.data()[100:300]
    assert read(hub, "config.json") == CONFIG
    kinds = [record.kind for record in hub.requests]
    assert kinds == ["revision", "tree", "resolve", "cdn", "revision", "tree", "resolve", "resolve-cache"]
    assert hub.bytes_served == 200 + len(CONFIG)
    assert [r.status for r in hub.ledger.select(kind="cdn")] == [206]
    hub.reset_counts()
    assert hub.count() == hub.bytes_served == 0


def test_a_tree_of_many_rows_takes_as_many_pages() -> None:
    hub = HubSimulator(page_size=10)
    commit = hub.add(TINY, {f"{n:03}.txt": b"x" for n in range(95)})
    assert len(hub.manifest(TINY, commit, Selection()).entries) == 95
    assert hub.count("tree") == 10


def test_of_a_giant_commit_only_what_was_asked_for_is_listed() -> None:
    hub = HubSimulator(page_size=2)
    commit = hub.add(TINY, {**{f"many/{n:03}.txt": b"x" for n in range(50)}, "a.json": b"", "few/b.json": b""})
    manifest = hub.manifest(TINY, commit, Selection(include=("few/*", "a.json")))
    assert [entry.path for entry in manifest.entries] == ["a.json", "few/b.json"]
    assert not manifest.reach.everything
    assert (hub.count("tree"), hub.count("paths-info")) == (1, 1)


# Faults without a socket


def test_a_cut_breaks_off_at_the_byte(hub: HubSimulator) -> None:
    got = bytearray()
    with hub.failing(cut_after=70_000) as armed, pytest.raises(errors.Unreachable):
        collect(hub, "model.safetensors", got)
    assert bytes(got) == WEIGHTS.data()[:70_000]
    assert hub.bytes_served == 70_000
    assert armed.strikes == 1
    assert read(hub, "model.safetensors") == WEIGHTS.data()


def test_garbage_is_one_bit_of_the_file_whatever_the_range(hub: HubSimulator) -> None:
    with hub.failing(garbage_at=200_000):
        got = read(hub, "model.safetensors", 150_000, 250_000)
        assert read(hub, "model.safetensors", 0, 150_000) == WEIGHTS.data()[:150_000]
    wrong = [at for at, (a, b) in enumerate(zip(got, WEIGHTS.data()[150_000:], strict=False)) if a != b]
    assert wrong == [50_000]


def test_a_source_without_ranges_starts_at_the_first_byte_only(hub: HubSimulator) -> None:
    with hub.failing(ignore_range=True, where="files"):
        assert read(hub, "model.safetensors", 0, 100) == WEIGHTS.data()
        with pytest.raises(errors.RangesIgnored):
            read(hub, "model.safetensors", 100, 200)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 503}, errors.Unavailable),
        ({"status": 429, "retry_after_s": 3}, errors.RateLimited),
        ({"status": 403, "where": "cdn"}, errors.LinkExpired),
        ({"expire_s": 0, "where": "cdn"}, errors.LinkExpired),
        ({"status": 403}, errors.AccessDenied),
        ({"status": 404, "error_code": "EntryNotFound", "where": "resolve"}, errors.EntryNotFound),
        ({"status": 404, "error_code": "RepoNotFound"}, errors.RepoNotFound),
        ({"html_200": True}, errors.Intercepted),
        ({"json_error_200": True}, errors.ProtocolError),
        ({"close_without_answer": True}, errors.Unreachable),
        ({"refuse": True}, errors.Unreachable),
        ({"stall_after": 10, "stall_s": 60}, errors.TimedOut),
        ({"reset_after": 0}, errors.Unreachable),
    ],
)
def test_each_fault_is_an_error_of_the_port(
    hub: HubSimulator, fault: dict[str, Any], error: type[errors.MirrorError]
) -> None:
    with hub.failing(**fault), pytest.raises(error):
        read(hub, "model.safetensors")


def test_a_fault_can_strike_so_many_times_and_no_more(hub: HubSimulator) -> None:
    with hub.failing(status=503, where="tree", times=2) as armed:
        for _ in range(2):
            with pytest.raises(errors.Unavailable):
                read(hub, "config.json")
        assert read(hub, "config.json") == CONFIG
    assert armed.strikes == 2


def test_a_fault_can_be_meant_for_some_files_only(hub: HubSimulator) -> None:
    with hub.failing(status=503, where="*.safetensors"), hub.failing(status=500, where="resolve:sub/*"):
        assert read(hub, "config.json") == CONFIG
        for path in ("model.safetensors", "sub/a b.txt"):
            with pytest.raises(errors.Unavailable):
                read(hub, path)
