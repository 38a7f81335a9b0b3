"""What every `Store` does. Inherit, and say in a fixture `store` how to make an empty one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import BadManifest, DigestMismatch, DiskFull, NotHere, StoreLocked
from hfmirror.model import PART, Algorithm, CommitId, Entry, Manifest, Pin, Reach, Selection, Span
from tests.contracts.scene import COMMIT, TINY, entry, head_of, manifest, pin_of, read

if TYPE_CHECKING:
    from hfmirror.ports import Store

LARGE = bytes(range(256)) * 4096 * 2 + b"tail"  # two parts and a bit


def fill(store: Store, wanted: Entry, data: bytes) -> None:
    """Bring one object in, as a transfer would."""
    with store.receive(wanted) as intake:
        for span in intake.missing():
            intake.write(span.start, data[span.start : span.stop])
        intake.seal()


class StoreContract:
    """Names and bytes in, the same out."""

    # -- bytes --------------------------------------------------------------------------------

    @pytest.mark.parametrize("algorithm", list(Algorithm))
    def test_what_was_sealed_is_here_and_reads_back(self, store: Store, algorithm: Algorithm) -> None:
        wanted = entry(LARGE, algorithm=algorithm)
        assert not store.has(wanted.digest)
        fill(store, wanted, LARGE)
        assert store.has(wanted.digest)
        assert list(store.objects()) == [wanted.digest]
        assert read(store, manifest([wanted]), wanted) == LARGE

    def test_what_is_not_here_cannot_be_opened(self, store: Store) -> None:
        wanted = entry(LARGE)
        with pytest.raises(NotHere):
            read(store, manifest([wanted]), wanted)

    def test_a_batch_names_all_that_was_added_when_it_closes(self, store: Store) -> None:
        files = {entry(data, f"{n}.txt", Algorithm.GIT_SHA1): data for n, data in enumerate([b"", b"a", b"bb" * 999])}
        with store.batch() as batch:
            for wanted, data in files.items():
                batch.add(wanted, data)
        assert set(store.objects()) == {wanted.digest for wanted in files}
        for wanted, data in files.items():
            assert read(store, manifest(files), wanted) == data

    def test_a_batch_takes_nothing_that_is_not_what_it_claims(self, store: Store) -> None:
        good, bad = entry(b"good", "good"), entry(b"bad", "bad")
        with store.batch() as batch:
            batch.add(good, b"good")
            with pytest.raises(DigestMismatch) as caught:
                batch.add(bad, b"evil")
        assert caught.value.path == "bad"
        assert list(store.objects()) == [good.digest]

    def test_a_batch_that_is_broken_off_keeps_what_it_has(self, store: Store) -> None:
        wanted = entry(b"kept")
        with pytest.raises(KeyboardInterrupt), store.batch() as batch:
            batch.add(wanted, b"kept")
            raise KeyboardInterrupt
        assert store.has(wanted.digest)

    def test_more_files_than_a_group_holds_are_all_taken_in(self, store: Store) -> None:
        files = [b"%d" % number for number in range(600)]
        with store.batch() as batch:
            for data in files:
                batch.add(entry(data), data)
        assert len(list(store.objects())) == 600

    def test_the_same_content_twice_is_one_object(self, store: Store) -> None:
        with store.batch() as batch:
            batch.add(entry(b"same", "a"), b"same")
            batch.add(entry(b"same", "b"), b"same")
        fill(store, entry(LARGE, "c"), LARGE)
        fill(store, entry(LARGE, "d"), LARGE)
        assert len(list(store.objects())) == 2

    def test_discarding_removes_one_object_and_no_other(self, store: Store) -> None:
        one, two = entry(b"one"), entry(b"two")
        with store.batch() as batch:
            batch.add(one, b"one")
            batch.add(two, b"two")
        store.discard(one.digest)
        assert list(store.objects()) == [two.digest]

    def test_room_is_refused_for_more_than_the_disk_holds(self, store: Store) -> None:
        store.room_for([entry(LARGE)])
        monster = Entry("monster.bin", 2**62, entry(b"").digest)
        with pytest.raises(DiskFull) as caught:
            store.room_for([monster])
        assert caught.value.needed >= 2**62 > caught.value.free

    # -- an object on its way in ----------------------------------------------------------------

    def test_a_new_intake_lacks_everything(self, store: Store) -> None:
        with store.receive(entry(LARGE)) as intake:
            assert [(span.start, span.stop) for span in intake.missing()] == [(0, len(LARGE))]

    def test_a_part_is_missing_until_its_last_byte_is_in(self, store: Store) -> None:
        with store.receive(entry(LARGE)) as intake:
            intake.write(PART, LARGE[PART : 2 * PART - 1])
            assert [(span.start, span.stop) for span in intake.missing()] == [(0, len(LARGE))]
            intake.write(2 * PART - 1, LARGE[2 * PART - 1 : 2 * PART])
            assert [(span.start, span.stop) for span in intake.missing()] == [(0, PART), (2 * PART, len(LARGE))]

    def test_what_was_written_can_be_read_before_the_part_is_whole(self, store: Store) -> None:
        with store.receive(entry(LARGE)) as intake:
            assert intake.reach(0) == 0
            intake.write(0, LARGE[:100])
            intake.write(PART, LARGE[PART : 2 * PART])
            assert (intake.reach(0), intake.reach(100), intake.reach(PART + 5)) == (100, 100, 2 * PART)
            fd = intake.reader()
            try:
                assert os.pread(fd, 100, 0) == LARGE[:100]
                intake.write(100, LARGE[100:PART])
                assert intake.reach(7) == 2 * PART
                intake.write(2 * PART, LARGE[2 * PART :])
                assert intake.reach(0) == intake.reach(len(LARGE)) == len(LARGE)
                intake.seal()
                assert os.pread(fd, 4, len(LARGE) - 4) == b"tail"
            finally:
                os.close(fd)

    def test_a_content_can_be_proven_before_it_is_named(self, store: Store) -> None:
        wanted = entry(LARGE)
        with store.receive(wanted) as intake:
            intake.write(0, LARGE)
            intake.prove()
            assert not store.has(wanted.digest)
            intake.seal()
        assert store.has(wanted.digest)

    def test_a_proof_that_fails_keeps_the_bytes_until_they_are_doubted_or_forgotten(self, store: Store) -> None:
        wanted = entry(LARGE)
        with store.receive(wanted) as intake:
            intake.write(0, LARGE[:PART] + b"?" + LARGE[PART + 1 :])
            with pytest.raises(DigestMismatch):
                intake.prove()
            assert intake.missing() == []
            intake.doubt([Span(PART + 10, PART + 20)])
            assert intake.missing() == [Span(PART, 2 * PART)]
            assert intake.reach(0) == PART
            intake.write(PART, LARGE[PART : 2 * PART])
            intake.prove()
            intake.seal()
        assert read(store, manifest([wanted]), wanted) == LARGE

    def test_what_was_doubted_is_missing_for_who_goes_on(self, store: Store) -> None:
        wanted = entry(LARGE)
        with store.receive(wanted) as intake:
            intake.write(0, LARGE)
            intake.doubt([Span(0, 1)])
        with store.receive(wanted) as intake:
            assert intake.missing() == [Span(0, PART)]

    def test_what_is_forgotten_comes_anew(self, store: Store) -> None:
        wanted = entry(LARGE)
        with store.receive(wanted) as intake:
            intake.write(0, LARGE)
            intake.forget()
        with store.receive(wanted) as intake:
            assert intake.missing() == [Span(0, len(LARGE))]

    def test_nobody_knows_wrong_parts_of_what_was_never_here(self, store: Store) -> None:
        with store.receive(entry(LARGE)) as intake:
            intake.write(0, bytes(len(LARGE)))
            assert intake.wrong_parts() == []

    def test_closing_without_a_seal_keeps_the_finished_parts(self, store: Store) -> None:
        wanted = entry(LARGE)
        with pytest.raises(KeyboardInterrupt), store.receive(wanted) as intake:
            intake.write(PART, LARGE[PART:])
            raise KeyboardInterrupt
        assert not store.has(wanted.digest)
        with store.receive(wanted) as intake:
            assert [(span.start, span.stop) for span in intake.missing()] == [(0, PART)]
            intake.write(0, LARGE[:PART])
            assert intake.missing() == []
            intake.seal()
        assert read(store, manifest([wanted]), wanted) == LARGE

    def test_wrong_bytes_are_never_named_and_are_forgotten(self, store: Store) -> None:
        wanted = entry(LARGE)
        damaged = LARGE[:PART] + b"?" + LARGE[PART + 1 :]
        with pytest.raises(DigestMismatch) as caught:
            fill(store, wanted, damaged)
        assert caught.value.path == wanted.path
        assert not store.has(wanted.digest)
        assert list(store.objects()) == []
        with store.receive(wanted) as intake:
            assert [(span.start, span.stop) for span in intake.missing()] == [(0, len(LARGE))]

    def test_a_writer_in_this_process_keeps_the_next_one_out(self, store: Store) -> None:
        wanted = entry(LARGE)
        with store.receive(wanted) as intake:
            intake.write(0, LARGE)
            with pytest.raises(StoreLocked), store.receive(wanted):
                pass
            intake.seal()
        assert store.has(wanted.digest)

    def test_a_closed_intake_takes_no_more(self, store: Store) -> None:
        with store.receive(entry(LARGE)) as intake:
            pass
        with pytest.raises(StoreLocked):
            intake.write(0, LARGE)

    # -- names --------------------------------------------------------------------------------

    def test_what_is_kept_is_wanted_with_its_listing(self, store: Store) -> None:
        listing = manifest([entry(b"a", "a"), entry(b"b", "b")])
        store.keep(pin_of(listing), listing)
        assert list(store.pins()) == [pin_of(listing)]
        assert store.manifest(TINY, COMMIT, Selection()) == listing

    def test_keeping_twice_is_keeping_once(self, store: Store) -> None:
        listing = manifest([entry(b"a", "a")])
        for _ in range(2):
            store.keep(pin_of(listing), listing)
        other = pin_of(listing, "v1", Selection(("*.json",)))
        store.keep(other, listing)
        assert list(store.pins()) == [pin_of(listing), other]

    def test_a_demand_is_kept_beside_the_wishes(self, store: Store) -> None:
        listing = manifest([entry(b"a", "a"), entry(b"b", "b")])
        demand = Pin(TINY, COMMIT, "main", demand=True)
        for _ in range(2):
            store.keep(demand, listing)
        assert list(store.pins()) == [demand]
        store.keep(pin_of(listing), listing)
        assert list(store.pins()) == [pin_of(listing), demand]

    def test_a_name_leads_somewhere_only_once_it_is_published(self, store: Store) -> None:
        listing = manifest([entry(b"a", "a")])
        store.keep(pin_of(listing, "dev"), listing)
        with pytest.raises(NotHere):
            store.resolve(TINY, "dev")
        store.publish(pin_of(listing, "dev"), head_of(listing))
        assert store.resolve(TINY, "dev").commit == COMMIT
        assert store.resolve(TINY, "dev").about == head_of(listing).about

    def test_a_commit_leads_to_itself_in_full_and_in_short(self, store: Store) -> None:
        listing = manifest([entry(b"a", "a")])
        store.keep(pin_of(listing, COMMIT), listing)
        store.publish(pin_of(listing, COMMIT), head_of(listing))
        for revision in (COMMIT, COMMIT[:7]):
            assert store.resolve(TINY, revision).commit == COMMIT

    def test_a_short_commit_that_fits_two_leads_nowhere(self, store: Store) -> None:
        for ending in "01":
            listing = manifest([entry(b"a", "a")], commit=CommitId("c" * 39 + ending))
            store.keep(pin_of(listing), listing)
        with pytest.raises(NotHere):
            store.resolve(TINY, "ccccccc")

    def test_a_branch_moves(self, store: Store) -> None:
        for digit in "ab":
            listing = manifest([entry(b"a", "a")], commit=CommitId(digit * 40))
            store.keep(pin_of(listing), listing)
            store.publish(pin_of(listing), head_of(listing))
        assert store.resolve(TINY, "main").commit == "b" * 40
        assert {pin.commit for pin in store.pins()} == {"a" * 40, "b" * 40}

    @pytest.mark.parametrize("revision", ["refs/pr/1", "feature/x", "a b%2F", "v1.0", "中文"])
    def test_any_name_the_hub_allows_can_be_kept(self, store: Store, revision: str) -> None:
        listing = manifest([entry(b"a", "a")])
        store.keep(pin_of(listing, revision), listing)
        store.publish(pin_of(listing, revision), head_of(listing))
        assert store.resolve(TINY, revision).commit == COMMIT

    def test_a_partial_listing_answers_for_what_it_covers_and_nothing_else(self, store: Store) -> None:
        reach = Reach(("data",), ("README.md",))
        listing = Manifest.of(TINY, COMMIT, [entry(b"x", "data/x")], reach)
        inside, outside = Selection(("data/*",)), Selection(("other/*",))
        store.keep(pin_of(listing, selection=inside), listing)
        assert store.manifest(TINY, COMMIT, inside) == listing
        for selection in (outside, Selection()):
            with pytest.raises(NotHere):
                store.manifest(TINY, COMMIT, selection)

    def test_partial_listings_add_up_and_give_way_to_the_whole(self, store: Store) -> None:
        first = Manifest.of(TINY, COMMIT, [entry(b"a", "a/x")], Reach(("a",)))
        second = Manifest.of(TINY, COMMIT, [entry(b"b", "b/y")], Reach((), ("b/y", "b/z")))
        whole = manifest([*first.entries, *second.entries, entry(b"c", "c")])
        for listing in (first, second):
            store.keep(pin_of(listing, selection=Selection(("a/*", "b/y"))), listing)
        both = store.manifest(TINY, COMMIT, Selection(("a/*", "b/z")))
        assert both.entries == (*first.entries, *second.entries)
        store.keep(pin_of(whole), whole)
        store.keep(pin_of(first, selection=Selection(("a/*",))), first)
        assert store.manifest(TINY, COMMIT, Selection()) == whole

    def test_an_unknown_commit_has_no_listing_here(self, store: Store) -> None:
        with pytest.raises(NotHere):
            store.manifest(TINY, COMMIT, Selection())

    def test_a_listing_names_no_path_twice(self) -> None:
        with pytest.raises(BadManifest):
            manifest([entry(b"a", "same"), entry(b"b", "same")])
