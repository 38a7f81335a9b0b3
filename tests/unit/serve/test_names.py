"""What is remembered, what is asked, and what is said when upstream does not answer."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from hfmirror.errors import MirrorError, NotHere, RepoNotFound, Unavailable
from hfmirror.model import Kind, RepoId, Selection
from hfmirror.serve import names as room
from hfmirror.serve.access import Access
from hfmirror.serve.askers import Askers
from hfmirror.serve.names import Names
from hfmirror.store.disk import DiskStore
from tests.contracts.scene import TINY, publish
from tests.simulator import HubSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from hfmirror.model import CommitId, Head, Manifest
    from hfmirror.serve.names import Authority, Known

NOBODY = RepoId(Kind.MODEL, "acme/nobody")


class Upstream:
    """A hub in memory that can go away, and hesitate."""

    takes_tokens = True

    def __init__(self, hub: HubSimulator) -> None:
        self.hub, self.asked, self.gone = hub, [], False  # type: ignore[var-annotated]
        self.gate = threading.Event()
        self.gate.set()
        self.yes: set[str] = set()
        self._token: str | None = None

    name = "the hub"

    def seen_by(self, token: str | None) -> Authority:
        self._token = token
        return self  # type: ignore[return-value]

    def _answer(self, question: str, answer: Callable[[], Any]) -> Any:
        self.asked.append(question)
        self.gate.wait(20)
        if self.gone:
            raise Unavailable("the hub", "gone")
        return answer()

    def resolve(self, repo: RepoId, revision: str) -> Head:
        found: Head = self._answer("resolve", lambda: self.hub.resolve(repo, revision))
        return found

    def manifest(self, repo: RepoId, commit: CommitId, selection: Selection) -> Manifest:
        listed: Manifest = self._answer("manifest", lambda: self.hub.manifest(repo, commit, selection))
        return listed

    def document(self, repo: RepoId, question: str) -> Any:
        return self._answer("document", lambda: [str(repo), question])

    def admits(self, repo: RepoId) -> bool:
        return bool(self._answer("admits", lambda: self._token in self.yes))


@pytest.fixture
def upstream(hub: HubSimulator) -> Upstream:
    publish(hub)
    return Upstream(hub)


@pytest.fixture
def names(store: DiskStore, upstream: Upstream) -> Iterator[Names]:
    with Askers(8) as askers:
        yield Names(store, upstream, askers)
        upstream.gate.set()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that is good for a minute be old."""
    monkeypatch.setattr(room, "FRESH_S", -1.0)


def test_many_questions_at_once_are_one_question_upstream(names: Names, upstream: Upstream) -> None:
    async def ask() -> list[Known]:
        return list(await asyncio.gather(*(names.resolve(TINY, "main") for _ in range(20))))

    answers = run(ask())
    assert upstream.asked == ["resolve"]
    assert len({known.commit for known in answers}) == 1
    assert run(names.resolve(TINY, "main")) == names.fresh(TINY, "main") == answers[0]
    assert upstream.asked == ["resolve"]


def test_a_minute_later_it_is_asked_again(names: Names, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    run(names.resolve(TINY, "main"))
    expire(monkeypatch)
    assert not run(names.resolve(TINY, "main")).stale
    assert upstream.asked == ["resolve", "resolve"]


def test_when_upstream_is_gone_the_last_known_commit_answers(
    names: Names, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = run(names.resolve(TINY, "main"))
    expire(monkeypatch)
    upstream.gone = True
    stale = run(names.resolve(TINY, "main"))
    assert (stale.commit, stale.stale, stale.checked) == (known.commit, True, known.checked)
    assert not names.reachable
    run(names.resolve(TINY, "main"))
    assert upstream.asked == ["resolve", "resolve"]  # in trouble, nobody waits for it again
    with pytest.raises(Unavailable):
        run(names.resolve(NOBODY, "main"))


def test_late_truth_loses_to_a_remembered_answer_and_is_remembered_then(
    names: Names, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(names.resolve(TINY, "main"))
    monkeypatch.setattr(room, "RESOLVE_BUDGET_S", 0.01)
    monkeypatch.setattr(room, "TROUBLE_S", 0.0)

    async def late() -> None:
        monkeypatch.setattr(room, "FRESH_S", -1.0)
        upstream.gate.clear()
        assert (await names.resolve(TINY, "main")).stale
        monkeypatch.setattr(room, "FRESH_S", 60.0)
        before = names._heads[TINY, "main"]
        upstream.gate.set()
        while names._heads[TINY, "main"] is before:
            await asyncio.sleep(0)

    run(late())


def test_a_no_is_repeated_for_a_moment_and_no_longer(
    names: Names, upstream: Upstream, hub: HubSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        with pytest.raises(RepoNotFound):
            run(names.resolve(NOBODY, "main"))
    assert upstream.asked == ["resolve"]
    monkeypatch.setattr(room, "REFUSED_S", -1.0)
    names._refused.clear()
    hub.add(NOBODY, {"x": b"x"})
    assert run(names.resolve(NOBODY, "main")).commit


def test_a_pinned_commit_that_is_held_costs_nothing(names: Names, upstream: Upstream, store: DiskStore) -> None:
    commit = run(names.resolve(TINY, "main")).commit
    run(names.manifest(TINY, "main", commit))
    upstream.asked.clear()
    with Askers(2) as askers:
        again = Names(store, upstream, askers)
        assert run(again.resolve(TINY, commit)).commit == commit
        assert run(again.manifest(TINY, commit, commit, ("config.json",))).get("config.json")
    assert upstream.asked == []


def test_without_an_upstream_only_what_is_held_is_known(names: Names, store: DiskStore) -> None:
    commit = run(names.resolve(TINY, "main")).commit
    with Askers(2) as askers:
        offline = Names(store, None, askers)
        assert run(offline.resolve(TINY, "main")).commit == commit
        for ask in (
            lambda: offline.resolve(NOBODY, "main"),
            lambda: offline.manifest(TINY, "main", commit),
            lambda: offline.document(TINY, "refs", None),
            lambda: offline.admits(TINY, "hf_x"),
        ):
            with pytest.raises(NotHere):
                run(ask())
        with pytest.raises(NotHere):
            offline.seen_by(None)


def test_one_file_of_a_giant_commit_does_not_wait_for_the_others(tmp_path: Path) -> None:
    giant = HubSimulator(page_size=2)
    commit = giant.add(TINY, {f"{n:03}.txt": b"%d" % n for n in range(60)})
    upstream, store = Upstream(giant), DiskStore(tmp_path)
    store.prepare()

    async def ask() -> None:
        with Askers(4) as askers:
            names = Names(store, upstream, askers)
            one = await names.manifest(TINY, "main", commit, ("007.txt",))
            assert not one.reach.everything
            assert one.get("007.txt")
            assert one.denies("007.txt") is one.denies("008.txt") is False
            while not (listed := names.listed(TINY, commit)) or not listed.reach.everything:
                await asyncio.sleep(0)
            assert len(listed.entries) == 60

    run(ask())
    assert len(store.manifest(TINY, commit).entries) == 60


def test_other_answers_are_good_for_a_minute(names: Names, upstream: Upstream) -> None:
    for _ in range(3):
        assert run(names.document(TINY, "refs", None)) == [str(TINY), "refs"]
    assert upstream.asked == ["document"]


# -- who may read what ---------------------------------------------------------------------------


def test_upstreams_yes_is_believed_for_a_while_and_kept_for_worse_days(
    names: Names, upstream: Upstream, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = Access(store.ledger, names)
    upstream.yes = {"hf_a"}
    assert run(access.opens(TINY, "hf_a"))
    assert run(access.opens(TINY, "hf_a"))
    assert not run(access.opens(TINY, "hf_b"))
    assert not run(access.opens(TINY, None))
    assert upstream.asked == ["admits", "admits"]
    monkeypatch.setattr("hfmirror.serve.access.LIVE_S", -1.0)
    upstream.gone = True
    assert run(access.opens(TINY, "hf_a"))
    assert not run(access.opens(NOBODY, "hf_a"))
    monkeypatch.setattr("hfmirror.serve.access.OFFLINE_S", -1.0)
    assert not run(access.opens(TINY, "hf_a"))
    upstream.gone, upstream.yes = False, set()
    assert not run(access.opens(TINY, "hf_a"))
    assert store.ledger.admitted("hf_a", TINY) is None


def test_a_token_of_our_own_is_never_shown_upstream(names: Names, upstream: Upstream, store: DiskStore) -> None:
    token = store.ledger.mint("ward", [str(TINY)], "2026-01-01T00:00:00Z")
    access = Access(store.ledger, names)
    assert access.credential(token) is None
    assert access.credential("hf_other") == "hf_other"
    assert run(access.opens(TINY, token))
    assert not run(access.opens(NOBODY, token))
    assert (access.remembers(TINY, token), access.remembers(TINY, "hf_other")) == (True, False)
    assert upstream.asked == []
    assert issubclass(NotHere, MirrorError)
