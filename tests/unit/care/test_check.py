"""What a check reads, what it notes, and how it goes on; samples, rates, reports, and rounds in the background."""

from __future__ import annotations

import errno
import os
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hfmirror.care import check as checks
from hfmirror.care import proofs, rounds, throttle, verify
from hfmirror.care.check import Check, Manner
from hfmirror.care.proofs import Proofs, Record
from hfmirror.care.throttle import Stopped, Throttle
from hfmirror.errors import UsageError
from hfmirror.mirror import Mirror
from hfmirror.model import PART
from hfmirror.settings import Settings
from hfmirror.timetable import Timetable
from tests.contracts.scene import entry, head_of, manifest, pin_of
from tests.simulator import Made

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from hfmirror.care.verify import Finding
    from hfmirror.model import Entry, RepoId

LARGE_DATA = Made(5 * PART + 99, seed=3).data()
LARGE, SMALL, OTHER = entry(LARGE_DATA, "large.safetensors"), entry(b"small", "small.txt"), entry(b"other", "other.txt")
LISTING = manifest([LARGE, SMALL, OTHER])


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """A mirror with one large object, whose parts are known, and two small ones."""
    mirror = Mirror(Settings(tmp_path / "mirror", pickles="off"))  # nobody else reads the files
    mirror.store.keep(pin_of(LISTING), LISTING)
    with mirror.store.receive(LARGE) as intake:
        intake.write(0, LARGE_DATA)
        intake.seal()
    with mirror.store.batch() as batch:
        batch.add(SMALL, b"small")
        batch.add(OTHER, b"other")
    mirror.store.publish(pin_of(LISTING), head_of(LISTING))
    mirror.view.show(pin_of(LISTING), LISTING, LISTING.entries)
    return mirror


def flip(mirror: Mirror, one: Entry, offset: int) -> None:
    path = mirror.store.path(one.digest)
    assert path is not None
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(bytes(data))


def read(findings: Sequence[Finding]) -> int:
    return sum(finding.size if finding.read is None else finding.read for finding in findings)


# Going on


def test_all_that_is_sound_is_noted(mirror: Mirror) -> None:
    before = int(time.time())
    assert all(finding.sound for finding in mirror.verify())
    record = mirror.proofs.read()
    assert set(record.proven) == {str(one.digest) for one in LISTING.entries}
    assert min(record.proven.values()) >= before
    assert record.begun == {}
    assert mirror.plan_check().looks, "the next check reads all of it again"


def test_a_check_that_was_broken_off_goes_on(mirror: Mirror) -> None:
    findings = mirror.check(mirror.plan_check(), Throttle(Timetable((0,), (2**30,))))  # one thread: a known order
    first = next(findings)
    findings.close()
    again = mirror.plan_check()
    assert (again.resumed, again.skipped) == (True, 1)
    assert first.digest not in {look.digest for look in again.looks}
    assert len(list(mirror.check(again, Throttle()))) == 2
    assert not mirror.plan_check().resumed


def test_a_check_of_one_repo_does_not_go_on_with_one_of_all(mirror: Mirror) -> None:
    findings = mirror.check(mirror.plan_check(), Throttle())
    next(findings)
    findings.close()
    assert not mirror.plan_check([LISTING.repo]).resumed
    assert mirror.plan_check().resumed


def test_what_was_broken_off_long_ago_begins_anew(mirror: Mirror) -> None:
    with mirror.proofs.noting("all", int(time.time() - proofs.RESUMED_S - 10)) as note:
        note(SMALL.digest)
    text = mirror.proofs._path.read_text()
    mirror.proofs._path.write_text(text.replace("end all\n", ""))
    assert mirror.proofs.read().begun
    assert not mirror.plan_check().resumed


def test_only_what_was_not_proven_for_so_long(mirror: Mirror) -> None:
    path = mirror.store.path(SMALL.digest)
    assert path is not None
    os.utime(path, (1e9, 1e9))
    check = mirror.plan_check((), Manner(older_than_s=3600))
    assert ([look.digest for look in check.looks], check.skipped) == ([SMALL.digest], 2)
    assert [finding.sound for finding in mirror.check(check, Throttle())] == [True]
    assert mirror.plan_check((), Manner(older_than_s=3600)).looks == ()


def test_what_was_noted_in_the_future_is_not_believed(mirror: Mirror) -> None:
    mirror.proofs._path.write_text(f"hfmirror-proven 1\n{int(time.time()) + 9999} {SMALL.digest}\n")
    check = mirror.plan_check((), Manner(older_than_s=3600))
    assert [look.digest for look in check.looks] == [SMALL.digest]
    mirror.proofs._path.write_text(f"hfmirror-proven 1\nbegin {int(time.time()) + 9999} all\n")
    assert not mirror.plan_check().resumed


def test_what_came_in_the_future_is_not_proven(mirror: Mirror) -> None:
    path = mirror.store.path(SMALL.digest)
    assert path is not None
    os.utime(path, (time.time() + 9999, time.time() + 9999))
    assert checks.came_at(mirror.store, SMALL.digest) == 0.0


@pytest.mark.parametrize(
    "torn", ["", "hfmirror-proven 2\n1 sha256:aa\n", "hfmirror-proven 1\n17", "\xff\n", "x\ny\nz\n"]
)
def test_a_record_that_cannot_be_read_is_as_good_as_none(tmp_path: Path, mirror: Mirror, torn: str) -> None:
    record = Proofs(tmp_path / "proven", mirror.store.drafts)
    (tmp_path / "proven").write_bytes(torn.encode("latin-1"))
    assert record.read() == Record()
    with record.noting("all", 5) as note:
        note(SMALL.digest)
    if torn.startswith("hfmirror-proven 1"):
        assert set(record.read().proven) == {str(SMALL.digest)}


def test_a_disk_that_cannot_be_written_is_checked_all_the_same(mirror: Mirror) -> None:
    mirror.proofs._path.mkdir()
    assert len([finding for finding in mirror.verify() if finding.sound]) == 3


def test_a_full_disk_is_checked_all_the_same(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Proofs, "_opened", lambda _: Full())
    assert len([finding for finding in mirror.verify() if finding.sound]) == 3


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a file that is always full")  # noqa: PTH110 - one word
def test_what_cannot_be_noted_is_forgotten(mirror: Mirror) -> None:
    with Proofs(Path("/dev/full"), mirror.store.drafts).noting("all", 5) as note:
        note(SMALL.digest)
        note(LARGE.digest)


def test_the_record_keeps_only_what_is_here(mirror: Mirror) -> None:
    list(mirror.verify())
    mirror.store.discard(OTHER.digest)
    list(mirror.verify())
    assert set(mirror.proofs.read().proven) == {str(LARGE.digest), str(SMALL.digest)}
    assert len(mirror.proofs._path.read_text().splitlines()) == 3


def test_an_empty_store_stays_as_it_is(tmp_path: Path) -> None:
    mirror = Mirror(Settings(tmp_path / "nothing"))
    assert list(mirror.verify()) == []
    assert not (tmp_path / "nothing").exists()


# Samples


def test_a_sample_reads_about_its_share_and_proves_nothing(mirror: Mirror) -> None:
    sizes = [read(list(mirror.verify((), Manner(share=0.5)))) for _ in range(20)]
    assert min(sizes) < LARGE.size
    assert any(0 < size < LARGE.size for size in sizes), "parts, not whole files"
    assert str(LARGE.digest) not in mirror.proofs.read().proven


def test_a_small_sample_is_not_nothing(mirror: Mirror) -> None:
    assert all(len(mirror.plan_check((), Manner(share=1e-9)).looks) == 1 for _ in range(10))


def test_a_sample_of_everything_finds_every_flip_and_says_where(mirror: Mirror) -> None:
    flip(mirror, LARGE, 3 * PART + 5)
    (bad,) = [finding for finding in mirror.verify((), Manner(share=1.0)) if not finding.sound]
    assert bad.digest == LARGE.digest
    assert [(span.start, span.stop) for span in bad.wrong or ()] == [(3 * PART, 4 * PART)]
    assert not mirror.store.has(LARGE.digest)


def test_a_sample_of_a_file_that_was_cut_finds_it(mirror: Mirror) -> None:
    path = mirror.store.path(LARGE.digest)
    assert path is not None
    path.chmod(0o644)
    os.truncate(path, PART)
    look = verify.Look(LARGE.digest, (0,))
    (finding,) = verify.verify(mirror.store, [look], Throttle())
    assert not finding.sound


def test_wrong_digests_of_parts_are_no_finding(mirror: Mirror) -> None:
    path = mirror.store.layout.part_digests(LARGE.digest)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "0" * 16, *lines[2:], ""]))
    (finding,) = verify.verify(mirror.store, [verify.Look(LARGE.digest, (0,))], Throttle())
    assert finding.sound
    assert finding.read is None, "all of it was read in the end"


# Damage


def test_a_report_lies_beside_what_was_set_aside(mirror: Mirror) -> None:
    flip(mirror, LARGE, PART)
    list(mirror.verify())
    text = mirror.store.layout.report(LARGE.digest).read_text()
    for word in (str(LARGE.digest), f"bytes {PART} to {2 * PART - 1}", "large.safetensors", "hfmirror repair"):
        assert word in text
    assert mirror.store.damaged() == [LARGE.digest]
    mirror.store.forget_damaged(LARGE.digest)
    assert list(mirror.store.layout.quarantine.iterdir()) == []


def test_reading_is_no_use_of_a_file(mirror: Mirror) -> None:
    path = mirror.store.path(SMALL.digest)
    assert path is not None
    os.utime(path, (1e9, 1e9))
    list(mirror.verify())
    assert path.stat().st_atime == 1e9 or not hasattr(os, "O_NOATIME")


def test_a_file_of_somebody_elses_is_read_all_the_same(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def mine_only(path: str, flags: int, *more: int) -> int:
        if flags & getattr(os, "O_NOATIME", 0):
            raise PermissionError(1, "Operation not permitted")
        return real(path, flags, *more)

    monkeypatch.setattr("hfmirror.store.files.os.open", mine_only)
    assert all(finding.sound for finding in mirror.verify())


def test_what_goes_while_it_is_looked_for_is_no_finding(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    known = mirror.store.part_digests

    def gone(digest: object) -> object:
        mirror.store.discard(SMALL.digest)
        return known(digest)  # type: ignore[arg-type]

    monkeypatch.setattr(mirror.store, "part_digests", gone)
    assert list(verify.verify(mirror.store, [verify.Look(SMALL.digest)], Throttle())) == []


def test_a_fault_in_a_thread_reaches_whoever_asked(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(digest: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(mirror.store, "part_digests", stumble)
    with pytest.raises(ZeroDivisionError):
        list(mirror.verify())
    assert not [thread for thread in threading.enumerate() if thread.name == "hfmirror-verify"]


# Throttle


def test_a_pace_that_was_stopped_lets_nobody_on(mirror: Mirror) -> None:
    slow = Throttle()
    slow.stop()
    with pytest.raises(Stopped):
        slow.take(1)
    assert list(mirror.check(mirror.plan_check(), slow)) == []


def test_a_pace_waits_while_somebody_wants_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "GLANCE_S", 0.001)
    answers = iter([False, False, True])
    asked = []

    def idle() -> bool:
        asked.append(1)
        return next(answers)

    Throttle(None, idle).take(5)
    assert len(asked) == 3


def test_a_rate_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    paid = []

    class Slow:
        def spend(self, most: int) -> int:
            paid.append(min(most, 400))
            return paid[-1]

    limited = Throttle(Timetable.parse("100K", "--limit-rate"))
    monkeypatch.setattr(limited, "_budget", Slow())
    limited.take(1000)
    assert paid == [400, 400, 200]
    assert limited.limited


# Rounds


class Proving:
    """A prover that finds one object damaged, and then has nothing to do."""

    def __init__(self, bad: Finding | Exception) -> None:
        self.bad, self.manners, self.done = bad, [], threading.Event()  # type: ignore[var-annotated]

    def plan_check(self, repos: Sequence[RepoId], manner: Manner) -> Check:
        self.manners.append(manner)
        return Check((), 0, "all", None)

    def check(self, check: Check, throttle: Throttle) -> Generator[Finding, None, None]:
        self.done.set()
        if isinstance(self.bad, Exception):
            raise self.bad
        yield self.bad


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (verify.Finding(SMALL.digest, 5, "00"), f"damaged: {SMALL.digest}"),
        (verify.Finding(SMALL.digest, 5, "", "Input/output error"), "Input/output error"),
        (UsageError("no such thing"), "no such thing"),
        (ZeroDivisionError("oh"), "ZeroDivisionError: oh"),
    ],
)
def test_rounds_tell_what_they_find_and_go_on(
    monkeypatch: pytest.MonkeyPatch, bad: Finding | Exception, word: str
) -> None:
    monkeypatch.setattr(rounds, "QUIET_S", 0.01)
    proving, told, heard = Proving(bad), [], threading.Event()

    def tell(sentence: str) -> None:
        told.append(sentence)
        heard.set()

    with rounds.Rounds(proving, 1e6, lambda: True, tell):
        assert heard.wait(20)
    assert word in told[0]
    assert proving.manners[0].older_than_s == 1e6


def test_rounds_wait_until_all_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "QUIET_S", 0.01)
    proving, looked = Proving(verify.Finding(SMALL.digest, 5, "00")), threading.Event()
    answers = [False] * 3

    def quiet() -> bool:
        if answers:
            answers.pop()
            return False
        looked.set()
        return True

    with rounds.Rounds(proving, 1e6, quiet, lambda _: None):
        assert looked.wait(20)
        assert proving.done.wait(20)
    assert answers == []
