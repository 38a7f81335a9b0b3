"""What is not held comes through: once, at once, in any order, and never wrong (issue, point 2)."""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.behaviour.serve.lab import PART, all_at_once, resolve, wait_until
from tests.behaviour.serve.stage import FILE, Stage, staged
from tests.behaviour.serve.world import ODD
from tests.simulator import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.behaviour.serve.wire import Answer

SIZE = 4 * PART + 77
CLIENT_S = 9.0  # a client waits ten seconds for a byte
STEADY = (
    16 * PART
)  # bytes per second of a connection: so little is under way when one is given up that it does not count
LONG = 24 * PART + 5  # bytes; more than all the buffers of one connection


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One mirror for this module."""
    with staged(tmp_path_factory.mktemp("through")) as stage:
        yield stage


@pytest.mark.parametrize("clients", [8, 64])
def test_many_clients_cost_one_fill(stage: Stage, clients: int) -> None:
    """Trap 30; issue: upstream bytes are 1.00 × the file."""
    repo = stage.publish(SIZE)
    with stage.hub.failing(slow_rate=STEADY, where="cdn"):
        got = all_at_once(stage.ask, [repo.target()] * clients)
    assert {answer.whole for answer in got} == {repo.data}
    assert stage.once(repo)
    assert all(answer["ETag"] == f'"{repo.digest}"' and answer["X-Repo-Commit"] == repo.commit for answer in got)


def test_nobody_hears_a_no_while_another_is_told_yes(stage: Stage) -> None:
    """Clients come one after the other while the Hub is first asked about a repo: none hears "no such repo"."""
    for _ in range(6):
        repo = stage.publish(50_000)

        def come(number: int, target: str = repo.target()) -> Answer:
            time.sleep(number / 500)  # so that somebody comes at every stage of the question
            return stage.ask(target)

        with stage.hub.failing(latency_s=0.02, where="hub"):
            got = all_at_once(come, range(40))
        assert {(answer.status, answer.code) for answer in got} == {(200, None)}


def test_one_content_is_fetched_once_whatever_repo_it_is_asked_through(stage: Stage) -> None:
    one = stage.publish(SIZE)
    repos = [one, *(stage.twin(one) for _ in range(3))]
    with stage.hub.failing(slow_rate=STEADY, where="cdn"):
        got = all_at_once(stage.ask, [repo.target() for repo in repos] * 3)
    assert {answer.whole for answer in got} == {one.data}
    assert stage.once(*repos)


def test_what_another_repo_or_commit_has_brought_costs_no_byte(stage: Stage) -> None:
    """Field notes B12: the same weights under a new commit were fetched and kept twice."""
    one = stage.publish(SIZE)
    assert stage.ask(one.target()).whole == one.data
    twin = stage.twin(one)
    later = stage.hub.add(one.name, {FILE: one.data, "new.txt": b"new"})
    stage.hub.reset_counts()
    assert stage.ask(twin.target()).whole == one.data
    got = stage.ask(one.target(later))
    assert (got.whole, got["X-Repo-Commit"]) == (one.data, later)
    assert stage.asked(twin) == stage.asked(one) == 0


def test_the_first_bytes_come_before_the_last_have_left(stage: Stage) -> None:
    """Trap 28, B5: the client waits ten seconds between bytes."""
    repo = stage.publish(SIZE)
    with stage.mirror.line() as line:
        with stage.hub.failing(hold_from=2 * PART, repo=repo.name):
            line.send(repo.target())
            head = line.head()
            assert (head.status, head["Content-Length"]) == (200, str(repo.size))
            first = line.some(PART)
            assert not stage.holds(repo.digest)
        assert first + line.some(repo.size - PART) == repo.data


@pytest.mark.parametrize(
    ("wish", "start", "stop"),
    [
        (f"bytes={SIZE - 8}-{SIZE - 1}", SIZE - 8, SIZE),  # a Parquet footer
        ("bytes=-8", SIZE - 8, SIZE),
        (f"bytes={SIZE - 600}-{SIZE - 500}", SIZE - 600, SIZE - 499),
        (f"bytes={3 * PART + 100}-{3 * PART + 199}", 3 * PART + 100, 3 * PART + 200),
    ],
)
def test_a_range_at_the_end_does_not_wait_for_the_head(stage: Stage, wish: str, start: int, stop: int) -> None:
    """Design 6.2: as soon as its parts are there, and marked as unproven."""
    repo = stage.publish(SIZE)
    with stage.hub.failing(hold_from=PART // 2, hold_to=3 * PART, repo=repo.name) as held, stage.mirror.line() as line:
        line.send(repo.target())
        assert line.head().status == 200
        wait_until(lambda: held.strikes > 0)
        got = stage.ask(repo.target(), Range=wish)
        assert (got.status, got.whole) == (206, repo.data[start:stop])
        assert got["Content-Range"] == f"bytes {start}-{stop - 1}/{repo.size}"
        assert got["X-Hfmirror-Proven"] == "no"
        assert (got["ETag"], got["X-Repo-Commit"]) == (f'"{repo.digest}"', repo.commit)
        assert not stage.holds(repo.digest)
    stage.until_held(repo)
    later = stage.ask(repo.target(), Range=wish)
    assert (later.whole, later["X-Hfmirror-Proven"]) == (repo.data[start:stop], None)


def test_a_range_jumps_the_queue_of_a_slow_line(stage: Stage) -> None:
    """Design 6.2: a reader never starves for the client's ten seconds, though the whole takes half a minute."""
    repo = stage.publish(8 * PART + 5)
    with stage.hub.failing(slow_rate=300_000, where="cdn", repo=repo.name), stage.mirror.line() as line:
        line.send(repo.target())
        assert line.head().status == 200
        assert line.some(20_000) == repo.data[:20_000]
        for start in (repo.size - 8, repo.size // 2, repo.size // 3):
            got = stage.mirror.ask(repo.target(), headers={"Range": f"bytes={start}-{start + 7}"}, timeout_s=CLIENT_S)
            assert (got.status, got.whole) == (206, repo.data[start : start + 8])
    stage.until_held(repo)  # what is still on its way would be counted for the next test


def test_a_range_may_be_the_first_that_is_ever_asked(stage: Stage) -> None:
    """Streaming readers begin at the footer."""
    repo = stage.publish(SIZE)
    with stage.hub.failing(hold_from=PART // 2, hold_to=3 * PART, repo=repo.name):
        assert stage.ask(repo.target(), Range="bytes=-100").whole == repo.data[-100:]
    assert stage.ask(repo.target(), Range="bytes=0-99").whole == repo.data[:100]


def test_ranges_that_cover_a_file_cost_it_once(stage: Stage) -> None:
    """aria2c and hf_transfer."""
    repo = stage.publish(SIZE)
    step = 300_000
    wishes = [f"bytes={at}-{at + step - 1}" for at in range(0, SIZE, step)]
    with stage.hub.failing(slow_rate=STEADY, where="cdn"):
        got = all_at_once(lambda wish: stage.ask(repo.target(), Range=wish), wishes)
        stage.until_held(repo)
    assert b"".join(answer.whole for answer in got) == repo.data
    assert stage.once(repo)


def test_several_ranges_of_a_file_that_is_on_its_way(stage: Stage) -> None:
    repo = stage.publish(SIZE)
    got = stage.ask(repo.target(), Range=f"bytes=5-9,{SIZE - 5}-{SIZE - 1}")
    assert got.status in {200, 206}
    assert repo.data[5:10] in got.whole
    assert repo.data[-5:] in got.whole


def test_a_client_that_resumes_gets_the_rest(stage: Stage) -> None:
    repo = stage.publish(SIZE)
    got = stage.ask(repo.target(), Range=f"bytes={PART + 3}-", If_Range=f'"{repo.digest}"')
    assert (got.status, got.whole) == (206, repo.data[PART + 3 :])


def drop(line: socket.socket) -> None:
    """Hang up as a crash does."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


@pytest.mark.parametrize("politely", [True, False])
def test_a_client_that_leaves_ends_nothing(stage: Stage, politely: bool) -> None:
    """Design 6.2: the fill belongs to the mirror."""
    repo = stage.publish(SIZE)
    with stage.hub.failing(hold_from=2 * PART, repo=repo.name):
        line = stage.mirror.line()
        line.send(repo.target())
        assert line.head().status == 200
        assert line.some(1000) == repo.data[:1000]
        line.close() if politely else drop(line.sock)
    stage.until_held(repo)
    stage.hub.reset_counts()
    assert stage.ask(repo.target()).whole == repo.data
    assert stage.asked(repo) == 0


@pytest.mark.parametrize("held", [True, False])
def test_clients_that_do_not_read_slow_nobody(stage: Stage, held: bool) -> None:
    """Field notes B9; issue: one slow client beside fast ones. More of them than any pool has threads."""
    repo = stage.publish(LONG)
    if held:
        assert stage.ask(repo.target()).whole == repo.data
    lines = [stage.mirror.line() for _ in range(12)]
    try:
        for line in lines:
            line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**14)
            line.send(repo.target())
            assert line.head().status == 200
        got = all_at_once(stage.ask, [repo.target()] * 2)
        assert {answer.whole for answer in got} == {repo.data}
        assert stage.ask(repo.target(), Range="bytes=-5").whole == repo.data[-5:]
        assert stage.mirror.ask(repo.target(), "HEAD").status == 200
        assert lines[0].some(repo.size) == repo.data
    finally:
        for line in lines:
            line.close()


@pytest.mark.parametrize("size", [100_000, PART, 3 * PART + 5])
@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("wish", ["", "bytes=0-"])
def test_wrong_bytes_never_make_a_whole_answer(stage: Stage, size: int, where: str, wish: str) -> None:
    """Design 6.2, "Hold back the tail": the client sees a short body and stores nothing; nothing is in the store."""
    repo = stage.publish(size)
    place = 0 if where == "first" else size - 1
    with stage.hub.failing(garbage_at=place, where="cdn", repo=repo.name) as armed:
        got = stage.ask(repo.target(), **({"Range": wish} if wish else {}))
        assert armed.strikes
        assert got.broke or (got.status, got.code) == (404, "MirrorMiss"), (got.status, len(got.body))
        assert not stage.holds(repo.digest)
    wait_until(lambda: stage.ask(repo.target()).body == repo.data)


def test_a_failed_fill_is_forgotten_before_its_reader_hears_of_it(stage: Stage) -> None:
    """A client that is cut off asks again at once: it must not be told of the old failure."""
    for number in range(30):
        repo = stage.publish(PART + number)
        with stage.hub.failing(garbage_at=0, where="cdn", repo=repo.name):
            stage.ask(repo.target())
        assert stage.ask(repo.target()).whole == repo.data


def test_a_small_file_is_proven_too(stage: Stage) -> None:
    """Named by git's sha1; most of what `from_pretrained` reads."""
    repo = stage.publish(100, {"vocab.txt": b"words\n" * 50})
    with stage.hub.failing(garbage_at=7, where="*.txt", repo=repo.name):
        got = stage.ask(repo.target(path="vocab.txt"))
        assert got.broke or (got.status, got.code) == (404, "MirrorMiss")
    wait_until(lambda: stage.ask(repo.target(path="vocab.txt")).body == b"words\n" * 50)


def test_who_had_a_range_of_wrong_bytes_is_named(stage: Stage) -> None:
    """Design 6.2: a range cannot be held back, so the log says who had it."""
    repo = stage.publish(SIZE)
    with stage.hub.failing(garbage_at=SIZE - 10, where="cdn", repo=repo.name, times=1):
        with stage.hub.failing(hold_from=PART, hold_to=3 * PART, repo=repo.name):
            got = stage.ask(repo.target(), Range="bytes=-100")
        assert (got.status, got["X-Hfmirror-Proven"]) == (206, "no")
        assert got.whole != repo.data[-100:]
        assert stage.ask(repo.target()).broke
    wait_until(lambda: any("127.0.0.1" in line and repo.digest[:8] in line for line in stage.mirror.said.splitlines()))


def test_heads_cost_two_requests_and_no_byte(stage: Stage) -> None:
    """Design 6.2: a HEAD is answered from the manifest; what is missing there is missing."""
    files = {f"{n}.txt": b"%d" % n for n in range(20)}
    repo = stage.publish(SIZE, dict(files))
    for path in [FILE, *files, "nope.json", "tokenizer.json"]:
        got = stage.mirror.ask(repo.target(path=path), "HEAD")
        assert got["X-Repo-Commit"] == repo.commit
        assert got.status == (404 if path in {"nope.json", "tokenizer.json"} else 200)
    assert stage.asked(repo) == 0
    assert stage.hub.count(repo=repo.name) <= 2


def test_many_small_files_come_once_each(stage: Stage) -> None:
    """Snapshots of a lab's twelve machines."""
    files = {f"part/{n:02}.json": b"%d" % n * 300 for n in range(30)}
    repo = stage.publish(1000, dict(files))

    def snapshot(_: int) -> dict[str, bytes]:
        return {path: stage.ask(repo.target(repo.commit, path)).whole for path in files}

    assert all(got == files for got in all_at_once(snapshot, range(4)))
    assert stage.bytes_of(repo) == sum(map(len, files.values()))


@pytest.mark.parametrize("kind", ["", "datasets/", "spaces/"])
def test_every_kind_comes_through(stage: Stage, kind: str) -> None:
    repo = stage.publish(70_000, {"empty.txt": b""}, kind=kind)
    assert stage.ask(repo.target()).whole == repo.data
    empty = stage.ask(repo.target(path="empty.txt"), Range="bytes=0-0")
    assert (empty.status, empty["Content-Range"], empty.body) == (200, "bytes */0", b"")
    api = f"/api/{'' if kind else 'models/'}{repo.name}"
    assert stage.ask(f"{api}/revision/main").json["sha"] == repo.commit
    rows = stage.ask(f"{api}/tree/{repo.commit}?recursive=true").json
    assert {row["path"] for row in rows} == {FILE, "config.json", "empty.txt"}
    assert "xet" not in str(rows).lower()


def test_odd_names_come_through(stage: Stage) -> None:
    """Decoded once on the way in, encoded once on the way out."""
    files = {path: f"this is {path!r}".encode() for path in ODD}
    repo = stage.publish(10, dict(files))
    for path, content in files.items():
        assert stage.ask(f"/{repo.name}/resolve/main/{quote(path)}").whole == content


@pytest.mark.parametrize("revision", ["v1", "refs/pr/1", "dev/x"])
def test_every_revision_comes_through(stage: Stage, revision: str) -> None:
    repo = stage.publish(10)
    commit = stage.hub.add(
        repo.name, {"new.txt": b"new"}, branch="dev/x", tags=("v1",), refs=("refs/pr/1", "refs/convert/parquet")
    )
    got = stage.ask(resolve(repo.name, "new.txt", revision))
    assert (got.whole, got["X-Repo-Commit"]) == (b"new", commit)


def test_clients_keep_their_place_while_a_fill_is_asked_for_again(stage: Stage) -> None:
    """A line that breaks upstream is not the client's business."""
    repo = stage.publish(8 * PART)
    steady = Faults(slow_rate=STEADY, where="cdn")
    resets = Faults(reset_after=0, every=3 * PART, times=2, where="cdn", repo=repo.name)
    with stage.hub.failing(steady), stage.hub.failing(resets) as armed:
        got = all_at_once(stage.ask, [repo.target()] * 4)
        assert armed.strikes == 2
    assert {answer.whole for answer in got} == {repo.data}
    assert stage.bytes_of(repo) <= repo.size * 1.02 + 2 * PART


def test_a_fill_is_joined_in_the_middle(stage: Stage) -> None:
    """What is there already is sent at once, the rest as it comes."""
    repo = stage.publish(SIZE)
    got: list[Answer] = []
    with stage.hub.failing(hold_from=3 * PART, repo=repo.name) as held:
        first = threading.Thread(target=lambda: got.append(stage.ask(repo.target())))
        first.start()
        wait_until(lambda: held.strikes > 0)
        with stage.mirror.line() as line:
            line.send(repo.target())
            assert line.head().status == 200
            assert line.some(2 * PART) == repo.data[: 2 * PART]
            held.lifted.set()
            assert line.some(repo.size - 2 * PART) == repo.data[2 * PART :]
        first.join()
    assert got[0].whole == repo.data


@pytest.mark.parametrize("clients", [1, 8])
def test_a_hub_that_is_fast_is_not_asked_twice(stage: Stage, clients: int) -> None:
    """The same on a line that holds megabytes: another connection is no gain when the first has all in flight."""
    repo = stage.publish(LONG)
    got = all_at_once(stage.ask, [repo.target()] * clients)
    assert [answer.whole == repo.data for answer in got] == [True] * clients
    assert stage.once(repo)
