"""Which commits a list lets go: what it brought itself, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hfmirror.model import CommitId, Kind, Pin, RepoId, Selection, commit_id
from hfmirror.syncing.decide import Standing, Track, claimed, current, followed, is_ours, let_go, settled, without
from hfmirror.syncing.lock import Lock, Made
from hfmirror.syncing.parse import Wish

REPO = RepoId(Kind.MODEL, "owner/name")
A, B, C, D = (commit_id(digit * 40) for digit in "abcd")
THEN, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def pin(commit: CommitId, revision: str = "main", *include: str, demand: bool = False) -> Pin:
    return Pin(REPO, commit, revision, Selection(include), demand)


def made(commit: CommitId, asked: str = THEN, revision: str = "main") -> Made:
    return Made(pin(commit, revision), asked)


def standing(*pins: Pin, asked: str = THEN) -> dict[tuple[RepoId, CommitId], Standing]:
    return {
        (REPO, commit): Standing(frozenset(p for p in pins if p.commit == commit), asked)
        for commit in {p.commit for p in pins}
    }


def track(*commits: CommitId, keep: int | None = 2, target: CommitId | None = None, revision: str = "main") -> Track:
    return Track(Wish(REPO, revision, Selection(), keep), commits, target)


OURS = [made(A), made(B), made(C)]
HERE = standing(pin(A), pin(B), pin(C))


def test_what_is_beyond_keep_goes() -> None:
    assert let_go([track(C, B, A)], OURS, HERE) == ((REPO, A),)
    assert let_go([track(C, B, A, keep=1)], OURS, HERE) == ((REPO, A), (REPO, B))
    assert let_go([track(C, B, A, keep=3)], OURS, HERE) == ()


def test_without_keep_nothing_goes() -> None:
    assert let_go([track(C, B, A, keep=None)], OURS, HERE) == ()
    assert let_go([track(C, keep=None)], OURS, HERE) == ()


def test_what_was_there_before_the_list_stays() -> None:
    assert let_go([track(C, B, A)], [made(B), made(C)], HERE) == ()


def test_what_another_wish_pins_stays() -> None:
    for other in (pin(A, "v1"), pin(A, "main", "*.json"), pin(A, demand=True)):
        assert let_go([track(C, B, A)], OURS, {**HERE, **standing(pin(A), other)}) == ()


def test_what_somebody_has_asked_for_since_stays() -> None:
    assert let_go([track(C, B, A)], OURS, {**HERE, **standing(pin(A), asked=LATER)}) == ()


def test_what_another_wish_of_the_list_keeps_stays() -> None:
    both = [*OURS, made(A, revision="v1")]
    here = {**HERE, **standing(pin(A), pin(A, "v1"))}
    assert let_go([track(C, B, A), track(A, revision="v1")], both, here) == ()
    assert let_go([track(C, B, A), track(D, C, A, revision="v1")], both, here) == ((REPO, A),)
    assert let_go([track(C, B, A), track(A, revision="v1")], OURS, HERE) == (), "though it was not the one to bring it"


def test_what_was_brought_for_a_wish_that_is_listed_no_more_stays() -> None:
    assert let_go([track(C, B, A, revision="dev")], OURS, HERE) == ()


def test_a_commit_on_its_way_stays_and_one_that_never_came_whole_goes() -> None:
    here = {**HERE, **standing(pin(D))}
    assert let_go([track(C, B, target=D)], [made(D, asked="")], here) == ()
    assert let_go([track(C, B)], [made(D, asked="")], here) == ((REPO, D),)


def test_what_the_store_keeps_no_more_is_not_let_go() -> None:
    assert let_go([track(C, B, A)], OURS, {}) == ()


@given(
    keep=st.integers(1, 4),
    order=st.permutations([A, B, C, D]),
    brought=st.sets(st.sampled_from([A, B, C, D])),
    foreign=st.sets(st.sampled_from([A, B, C, D])),
)
def test_what_goes_is_ours_alone_and_never_among_the_kept(
    keep: int, order: list[CommitId], brought: set[CommitId], foreign: set[CommitId]
) -> None:
    here = standing(*(pin(c) for c in order), *(pin(c, "v1") for c in foreign))
    gone = {commit for _, commit in let_go([track(*order, keep=keep)], map(made, brought), here)}
    assert gone == (brought - foreign) - set(order[:keep])


# The record


def test_a_revision_that_moves_back_names_its_old_commit_first() -> None:
    assert followed((), A) == (A,)
    assert followed((B, A), C) == (C, B, A)
    assert followed((C, B, A), A) == (A, C, B)


def test_a_new_pin_is_ours_and_one_that_was_there_is_not() -> None:
    assert claimed(frozenset(), pin(A), None) == {Made(pin(A))}
    assert claimed(frozenset(), pin(A), HERE[REPO, A]) == frozenset()


def test_a_pin_that_is_made_again_stays_ours_unless_somebody_else_came() -> None:
    ours = frozenset({made(A), made(B)})
    assert claimed(ours, pin(A), HERE[REPO, A]) == {Made(pin(A)), made(B)}
    later = Standing(frozenset({pin(A)}), LATER)
    assert claimed(ours, pin(A), later) == {made(B)}


def test_after_a_pull_the_time_is_noted_or_the_claim_dropped() -> None:
    begun = frozenset({Made(pin(A)), made(B)})
    assert settled(begun, pin(A), HERE[REPO, A]) == {made(A), made(B)}
    assert settled(begun, pin(A), None) == {made(B)}
    assert settled(frozenset({made(B)}), pin(A), HERE[REPO, A]) == {made(B)}


def test_the_youngest_of_several_times_counts() -> None:
    pair = [made(A), made(A, LATER, "v1")]
    both = frozenset({pin(A), pin(A, "v1")})
    assert is_ours(pair, Standing(both, LATER))
    assert not is_ours(pair, Standing(both, THEN))
    assert not is_ours([], Standing(frozenset(), THEN))


def test_the_record_forgets_what_is_neither_listed_nor_here() -> None:
    lock = Lock("one", {(REPO, "main"): (C, B, A), (REPO, "dev"): (C,)}, frozenset({made(A), made(C, revision="dev")}))
    wishes = [Wish(REPO, "main", Selection(), 2)]
    found = current(lock, wishes, standing(pin(C), pin(A)))
    assert found.commits == {(REPO, "main"): (C, A)}
    assert found.made == {made(A)}
    assert without(found, [(REPO, A)]) == Lock("one", {(REPO, "main"): (C,)}, frozenset())
