"""Limits and switches: fills, clients, `--strict`, `--prefetch`, giant repos (issue, points 2 and 5)."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.serve.lab import PART, Lab, resolve, serve, wait_until
from tests.behaviour.serve.stage import FILE, Stage, staged

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulator import HubSimulator, Served

SIZE = 4 * PART + 77
GIANT = 100_000  # entries; a hundred pages of the Hub's listing
PAGE_S = 0.3  # seconds a page takes; the whole listing takes thirty


def test_with_strict_a_range_waits_for_the_proof(tmp_path: Path) -> None:
    """Design 6.2: `--strict`."""
    with staged(tmp_path, "--strict") as stage:
        repo = stage.publish(SIZE)
        with stage.mirror.line() as line:
            with stage.hub.failing(hold_from=PART // 2, hold_to=PART, repo=repo.name) as held:
                line.send(repo.target(), headers={"Range": "bytes=-8"})
                wait_until(lambda: held.strikes > 0 and stage.sent_tail(repo))
                line.sock.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    line.some(2000)
                line.sock.settimeout(20)
            got = line.answer()
        assert (got.whole, got["X-Hfmirror-Proven"]) == (repo.data[-8:], None)
        bad = stage.publish(SIZE)
        with stage.hub.failing(garbage_at=5, where="cdn", repo=bad.name):
            got = stage.ask(bad.target(), Range="bytes=-8")
            assert got.broke or (got.status, got.code) == (404, "MirrorMiss")
        wait_until(lambda: stage.ask(bad.target(), Range="bytes=-8").body == bad.data[-8:])


def test_too_many_fills_are_put_off(tmp_path: Path) -> None:
    """Design 6.2, the table's last line: 503 with Retry-After; what is held, and HEADs, go on."""
    with staged(tmp_path, "--max-fills", "1") as stage:
        held, busy, late = (stage.publish(SIZE) for _ in range(3))
        assert stage.ask(held.target()).whole == held.data
        with stage.mirror.line() as line:
            with stage.hub.failing(hold_from=2 * PART, repo=busy.name):
                line.send(busy.target())
                assert line.head().status == 200
                got = stage.ask(late.target())
                assert got.status == 503
                assert int(got["Retry-After"] or 0) > 0
                assert got.json["error"] == got["X-Error-Message"]
                assert stage.ask(held.target()).whole == held.data
                assert stage.mirror.ask(late.target(), "HEAD").status == 200
                assert stage.ask(busy.target(), Range="bytes=0-9").whole == busy.data[:10]
            assert line.some(busy.size) == busy.data
        stage.until_held(busy)
        wait_until(lambda: stage.ask(late.target()).status == 200)
        assert stage.ask(late.target()).whole == late.data


def test_too_many_clients_are_put_off(tmp_path: Path) -> None:
    """`--max-clients`: whoever comes too late is told so or waits; when others leave there is room again."""
    with staged(tmp_path, "--max-clients", "3") as stage:
        repo = stage.publish(SIZE)
        lines = []
        with stage.hub.failing(hold_from=2 * PART, repo=repo.name):
            for _ in range(3):
                lines.append(stage.mirror.line())
                lines[-1].send(repo.target())
                assert lines[-1].head().status == 200
            late = stage.mirror.line(0.5)
            late.send(repo.target(), "HEAD")
            with contextlib.suppress(TimeoutError, EOFError, ConnectionError):  # it waits, or was sent away
                assert late.head().status == 503
            late.close()
        assert all(line.some(repo.size) == repo.data for line in lines)
        for line in lines:
            line.close()
        wait_until(lambda: _answers(stage, repo.target()))


def _answers(stage: Stage, target: str) -> bool:
    try:
        return stage.mirror.ask(target, "HEAD", timeout_s=2).status == 200
    except (TimeoutError, EOFError, ConnectionError):
        return False


def snapshot_pattern(stage: Stage, api: str, repo: str) -> None:
    """What snapshot_download asks before its second file."""
    commit = stage.ask(f"{api}/revision/main").json["sha"]
    rows = stage.ask(f"{api}/tree/{commit}?recursive=true&expand=false").json
    path = next(row["path"] for row in rows if row["type"] == "file")
    stage.mirror.ask(resolve(repo, path, commit), "HEAD")
    stage.ask(resolve(repo, path, commit))


def test_with_prefetch_a_snapshot_is_fetched_ahead_of_its_client(tmp_path: Path) -> None:
    """Issue, point 2: a switch, and not for datasets unless all are meant."""
    with staged(tmp_path, "--prefetch", "models") as stage:
        data = stage.publish(300_000, {"a.txt": b"a", "b.txt": b"b"}, kind="datasets/")
        snapshot_pattern(stage, f"/api/{data.name}", data.name)
        model = stage.publish(SIZE, {"a.txt": b"a", "b.txt": b"b"})
        snapshot_pattern(stage, f"/api/models/{model.name}", model.name)
        stage.until_held(model)
        assert not stage.holds(data.digest)
        stage.hub.reset_counts()
        assert stage.ask(model.target(model.commit)).whole == model.data
        assert stage.asked(model) == 0


def test_without_prefetch_nothing_comes_that_was_not_asked_for(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        model = stage.publish(SIZE, {"a.txt": b"a", "b.txt": b"b"})
        snapshot_pattern(stage, f"/api/models/{model.name}", model.name)
        assert {r.file for r in stage.hub.requests if r.file} == {"a.txt"}


def test_one_file_of_a_giant_repo_does_not_wait_for_the_listing(hub: HubSimulator, site: Served, lab: Lab) -> None:
    """Design 6.2, "Giant repos": answered within the client's ten seconds; the listing follows behind."""
    files = {f"d{n // 1000:03}/f{n:06}.txt": b"x%d" % (n % 50) for n in range(GIANT)}
    commit = hub.add("acme/giant", {**files, FILE: b"w" * 5000})
    with serve(lab) as mirror:
        with hub.failing(latency_s=PAGE_S, where="tree"):
            for path, content in ((FILE, b"w" * 5000), ("d077/f077123.txt", files["d077/f077123.txt"])):
                head = mirror.ask(resolve("acme/giant", path), "HEAD", timeout_s=9)
                assert (head.status, head["X-Repo-Commit"], head["Content-Length"]) == (200, commit, str(len(content)))
                assert mirror.ask(resolve("acme/giant", path), timeout_s=9).whole == content
            missing = mirror.ask(resolve("acme/giant", "nope.json"), "HEAD", timeout_s=9)
            assert (missing.status, missing.code, missing["X-Repo-Commit"]) == (404, "EntryNotFound", commit)
            assert hub.count("tree") < GIANT // hub.page_size
        rows = json.loads(mirror.ask(f"/api/models/acme/giant/tree/{commit}/d042?recursive=true", timeout_s=60).body)
        assert len(rows) == 1000
        wait_until(lambda: hub.count("tree") > GIANT // hub.page_size, 60)
        wait_until(lambda: any((lab.root / "manifests").rglob(f"{commit}.json")), 60)
        asked = hub.count()
        gone = mirror.ask(resolve("acme/giant", "also-nope.json", commit))
        assert (gone.status, gone.code) == (404, "EntryNotFound")
        assert hub.count() == asked
