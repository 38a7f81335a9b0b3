"""What every `Source` does. Inherit, and say in a fixture `source` how to make one that holds `scene.FILES`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import NotFound, NotHere
from hfmirror.model import PART, CommitId, Entry, Kind, Manifest, RepoId, Selection, Span, is_commit
from tests.contracts.scene import FILES, TINY, data_of, entry, read

if TYPE_CHECKING:
    from hfmirror.ports import Source


def listing_of(source: Source, selection: Selection | None = None) -> Manifest:
    """The commit under main."""
    return source.manifest(TINY, source.resolve(TINY, "main").commit, selection or Selection())


def entry_of(listing: Manifest, path: str) -> Entry:
    """A file that must be there."""
    found = listing.get(path)
    assert found is not None
    return found


class SourceContract:
    """Names to manifests, digests to bytes."""

    def test_it_has_a_name_for_sentences(self, source: Source) -> None:
        assert source.name.strip()

    def test_a_branch_leads_to_a_commit_and_the_commit_to_itself(self, source: Source) -> None:
        commit = source.resolve(TINY, "main").commit
        assert is_commit(commit)
        assert source.resolve(TINY, commit).commit == commit
        assert source.resolve(TINY, commit[:8]).commit == commit

    def test_what_does_not_exist_is_not_found_or_not_here(self, source: Source) -> None:
        with pytest.raises((NotFound, NotHere)):
            source.resolve(TINY, "no-such-branch")
        with pytest.raises((NotFound, NotHere)):
            source.resolve(RepoId(Kind.MODEL, "acme/none"), "main")
        with pytest.raises((NotFound, NotHere)):
            source.manifest(TINY, CommitId("0" * 40), Selection())

    def test_the_listing_is_whole_sorted_and_right(self, source: Source) -> None:
        listing = listing_of(source)
        assert listing.repo == TINY
        assert [found.path for found in listing.entries] == sorted(FILES)
        for found in listing.entries:
            data = data_of(FILES[found.path])
            assert found == entry(data, found.path, found.digest.algorithm)

    def test_a_listing_covers_at_least_what_is_selected(self, source: Source) -> None:
        selection = Selection(("sub/*",))
        listing = listing_of(source, selection)
        assert [found.path for found in selection.of(listing)] == ["sub/copy.json", "sub/deep/notes one.txt"]
        assert listing.reach.includes(selection.reach())

    @pytest.mark.parametrize("path", [path for path in FILES if FILES[path]])
    def test_every_file_comes_with_the_bytes_its_digest_names(self, source: Source, path: str) -> None:
        listing = listing_of(source)
        assert read(source, listing, entry_of(listing, path)) == data_of(FILES[path])

    @pytest.mark.parametrize(
        "span", [Span(0, 1), Span(5, 70_000), Span(PART, 2 * PART), Span(3 * PART, 3 * PART + 1234)]
    )
    def test_a_span_starts_where_it_was_asked_for(self, source: Source, span: Span) -> None:
        listing = listing_of(source)
        whole = data_of(FILES["model.safetensors"])
        wanted = entry_of(listing, "model.safetensors")
        assert read(source, listing, wanted, span) == whole[span.start : span.stop]

    def test_a_stream_may_be_left_in_the_middle(self, source: Source) -> None:
        listing = listing_of(source)
        wanted = entry_of(listing, "model.safetensors")
        for _ in range(3):
            with source.open(listing, wanted, Span(0, wanted.size)) as stream:
                first = bytes(next(iter(stream)))
            assert first == data_of(FILES["model.safetensors"])[: len(first)] != b""

    def test_two_streams_side_by_side_do_not_mix(self, source: Source) -> None:
        listing = listing_of(source)
        wanted, whole = entry_of(listing, "model.safetensors"), data_of(FILES["model.safetensors"])
        with (
            source.open(listing, wanted, Span(0, PART)) as first,
            source.open(listing, wanted, Span(PART, 2 * PART)) as second,
        ):
            one, other = next(iter(first)), next(iter(second))
            assert bytes(one) == whole[: len(one)]
            assert bytes(other) == whole[PART : PART + len(other)]

    def test_a_file_the_commit_does_not_hold_is_refused(self, source: Source) -> None:
        listing = listing_of(source)
        with pytest.raises((NotFound, NotHere)):
            read(source, listing, entry(b"nowhere", "nowhere.txt"))
