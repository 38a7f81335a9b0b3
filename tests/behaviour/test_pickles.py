"""Files that would run code when they are loaded: found, told everywhere, refused where that is wished, never run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hfmirror.bars import Bar
from hfmirror.mirror import Mirror
from hfmirror.model import Kind, RepoId, Selection
from hfmirror.settings import Settings
from hfmirror.transfer.manner import Manner
from tests import pickled
from tests.behaviour.lab import wait_until
from tests.behaviour.serve.lab import resolve, serve
from tests.pickled import SYSTEM, Payload
from tests.simulator import Made

if TYPE_CHECKING:
    from pathlib import Path

    from tests.behaviour.lab import Lab
    from tests.simulator import HubSimulator

REPO = "acme/evil"
EVIL, ARGS, GOOD = "pytorch_model.bin", "training_args.bin", "good.bin"
REFUSE = {"HFMIRROR_PICKLES": "refuse"}
LARGE = 2 * 2**20  # bytes of weights behind the pickle, so that it comes in parts


@pytest.fixture
def payload(tmp_path: Path, hub: HubSimulator) -> Payload:
    """A repo with an evil checkpoint, a doubtful one, a good one, and an evil text."""
    payload = Payload(tmp_path / "ran")
    hub.add(
        REPO,
        {
            "config.json": b"{}",
            EVIL: pickled.torch_legacy(payload.pickled()) + Made(LARGE, seed=3).data(),
            ARGS: b"\x80\x02ctransformers.training_args\nTrainingArguments\n.",
            GOOD: pickled.torch_zip(pickled.harmless()),
            "notes.txt": payload.pickled(4),
        },
    )
    return payload


def test_a_pull_warns_in_one_sentence(lab: Lab, payload: Payload) -> None:
    done = lab.run("pull", REPO)
    said = [line for line in done.err.splitlines() if "when it is loaded" in line]
    assert len(said) == 1
    assert said[0].startswith(f"hfmirror: notes.txt of {REPO} would run {SYSTEM} when it is loaded (2 more")
    assert said[0].endswith(f"hfmirror convert {REPO}")
    lab.assert_same(lab.snapshot(REPO), REPO)
    assert not payload.ran


def test_a_repo_without_pickles_is_not_spoken_of(lab: Lab) -> None:
    done = lab.run("pull", "acme/tiny")
    assert "loaded" not in done.said
    assert not (lab.root / "scans").exists()
    assert "PICKLE" not in lab.run("ls").out + lab.run("info", "acme/tiny").out


def test_it_is_shown_wherever_the_repo_is(lab: Lab, payload: Payload) -> None:
    lab.run("pull", REPO, "--quiet")
    rows = {row.split()[-1]: row for row in lab.run("ls").out.splitlines()}
    assert REPO in rows["dangerous"]
    info = lab.run("info", REPO).out.splitlines()
    by_path = {path: next(row for row in info if f" {path}" in row) for path in (EVIL, ARGS, GOOD, "config.json")}
    assert by_path[EVIL].endswith(f"dangerous: {SYSTEM}")
    assert by_path[ARGS].endswith("suspicious: transformers.training_args.TrainingArguments")
    assert by_path[GOOD].endswith("safe")
    assert by_path["config.json"].endswith("config.json")
    assert not payload.ran


def test_a_notebook_is_told_too(lab: Lab, payload: Payload, capsys: pytest.CaptureFixture[str]) -> None:
    mirror = Mirror(Settings(lab.root, lab.endpoint, "requests"))
    with Bar() as bar:
        mirror.pull(RepoId(Kind.MODEL, REPO), "main", Selection(), Manner(), bar)
    assert f"would run {SYSTEM} when it is loaded" in capsys.readouterr().err
    assert not payload.ran


def test_machines_are_told_as_well(lab: Lab, payload: Payload) -> None:
    events = lab.run("pull", REPO, "--json").lines
    suspected = next(event for event in events if event["event"] == "suspected")
    assert [(row["path"], row["verdict"]) for row in suspected["files"]] == [
        ("notes.txt", "dangerous"),
        (EVIL, "dangerous"),
        (ARGS, "suspicious"),
    ]
    module, _, name = SYSTEM.partition(".")
    assert suspected["files"][0]["imports"] == [{"module": module, "name": name, "safety": "dangerous"}]
    assert suspected["files"][0]["scanner"].startswith("picklescan ")
    (row,) = (row for row in json.loads(lab.run("ls", "--json").out) if row["repo"] == REPO)
    assert row["pickles"] == "dangerous"
    entries = {row["path"]: row["pickle"] for row in json.loads(lab.run("info", REPO, "--json").out)["entries"]}
    assert entries["config.json"] is None
    assert (entries[GOOD]["verdict"], entries[EVIL]["verdict"]) == ("safe", "dangerous")
    assert not payload.ran


@pytest.mark.parametrize("how", ["setting", "option"])
def test_refused_files_are_not_in_the_view_and_all_else_is(lab: Lab, payload: Payload, how: str) -> None:
    if how == "setting":
        done = lab.run("pull", REPO, code=7, settings=REFUSE)
    else:
        done = lab.run("pull", REPO, "--pickles", "refuse", code=7)
    assert f"notes.txt of {REPO} would run {SYSTEM} when it is loaded" in done.err
    assert "it and 1 more are kept out of the view" in done.err
    snapshot = lab.snapshot(REPO)
    assert {path.name for path in snapshot.iterdir()} == {"config.json", ARGS, GOOD}
    assert len(list((snapshot.parent.parent / "blobs").iterdir())) == 3
    lab.run("path", REPO, EVIL, code=6)
    assert "all of it is here" in lab.run("pull", REPO, code=7, settings=REFUSE).err, "it is not fetched again"
    assert not payload.ran


def test_what_was_shown_goes_when_it_is_refused(lab: Lab, payload: Payload) -> None:
    lab.run("pull", REPO)
    assert (lab.snapshot(REPO) / EVIL).exists()
    lab.run("pull", REPO, code=7, settings=REFUSE)
    assert not (lab.snapshot(REPO) / EVIL).exists()
    lab.run("pull", REPO)
    lab.assert_same(lab.snapshot(REPO), REPO)
    assert not payload.ran


def test_nobody_looks_when_nobody_wants_to_know(lab: Lab, payload: Payload) -> None:
    done = lab.run("pull", REPO, settings={"HFMIRROR_PICKLES": "off"})
    assert "loaded" not in done.said
    assert not (lab.root / "scans").exists()
    assert not payload.ran


def test_a_policy_that_is_none_is_a_slip(lab: Lab) -> None:
    assert "choose one of warn, refuse, off" in lab.run("pull", "acme/tiny", "--pickles", "yes", code=2).err
    assert "HFMIRROR_PICKLES=yes" in lab.run("ls", code=2, settings={"HFMIRROR_PICKLES": "yes"}).err


def test_an_import_warns_and_refuses_too(lab: Lab, payload: Payload, tmp_path: Path) -> None:
    folder = tmp_path / "brought"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(payload.pickled())
    (folder / "config.json").write_bytes(b"{}")
    words = ("import", str(folder), "--local", "--repo", "me/own", "--offline")
    assert f"model.pkl of me/own would run {SYSTEM}" in lab.run(*words).err
    document = lab.run(*words, "--json").lines[0]
    assert [row["path"] for row in document["repos"][0]["suspected"]] == ["model.pkl"]
    assert f"model.pkl of me/own would run {SYSTEM}" in lab.run(*words, code=7, settings=REFUSE).err
    assert {path.name for path in lab.snapshot("me/own").iterdir()} == {"config.json"}
    assert not payload.ran


def test_a_bundle_warns_and_refuses_too(lab: Lab, payload: Payload, tmp_path: Path) -> None:
    lab.run("pull", REPO, "--quiet")
    lab.run("export", REPO, str(tmp_path / "stick"))
    far = {"HFMIRROR_HOME": str(tmp_path / "far")}
    done = lab.run("import", str(tmp_path / "stick"), settings=far)
    assert f"notes.txt of {REPO} would run {SYSTEM}" in done.err
    farther = {"HFMIRROR_HOME": str(tmp_path / "farther"), **REFUSE}
    lab.run("import", str(tmp_path / "stick"), code=7, settings=farther)
    shown = {path.name for path in (tmp_path / "farther" / "hub").rglob("snapshots/*/*")}
    assert shown == {"config.json", ARGS, GOOD}
    assert not payload.ran


def test_verify_looks_at_what_only_an_earlier_scanner_has_seen(lab: Lab, payload: Payload) -> None:
    lab.run("pull", REPO, "--quiet")
    for path in (lab.root / "scans").rglob("*.json"):
        document = json.loads(path.read_text()) | {
            "verdict": "safe",
            "imports": [],
            "scanner": "picklescan 0.0.1 rules 1",
        }
        path.write_text(json.dumps(document))
    done = lab.run("verify")
    assert done.err.count(f"would run {SYSTEM} when it is loaded") == 2
    assert f"{EVIL} (sha256:" in done.err
    assert "would run" not in lab.run("verify").err, "what is known is no news"
    assert not payload.ran


def test_a_verify_takes_out_of_the_view_what_is_refused(lab: Lab, payload: Payload) -> None:
    lab.run("pull", REPO, settings={"HFMIRROR_PICKLES": "off"})
    lab.run("verify", settings=REFUSE)
    assert {path.name for path in lab.snapshot(REPO).iterdir()} == {"config.json", ARGS, GOOD}
    assert not payload.ran


def test_what_was_found_goes_with_the_object(lab: Lab, payload: Payload) -> None:
    lab.run("pull", REPO, "--quiet")
    assert len(list((lab.root / "scans").rglob("*.json"))) == 4
    lab.run("rm", REPO)
    lab.run("gc", "--min-age", "0")
    assert not list((lab.root / "scans").rglob("*.json"))
    assert not payload.ran


# Served


def test_serve_tells_in_the_hubs_words(lab: Lab, payload: Payload) -> None:
    lab.run("pull", REPO, "--quiet")
    module, _, name = SYSTEM.partition(".")
    with serve(lab) as serving:
        body = json.dumps({"paths": [EVIL, GOOD, "config.json"], "expand": True}).encode()
        headers = {"Content-Type": "application/json"}
        rows = {
            row["path"]: row["securityFileStatus"]
            for row in serving.ask(f"/api/models/{REPO}/paths-info/main", "POST", headers=headers, body=body).json
        }
        assert rows["config.json"] is None
        assert rows[GOOD]["status"] == rows[GOOD]["pickleImportScan"]["status"] == "safe"
        assert rows[EVIL]["status"] == "unsafe"
        assert rows[EVIL]["avScan"] is None
        assert rows[EVIL]["pickleImportScan"]["pickleImports"] == [
            {"module": module, "name": name, "safety": "dangerous"}
        ]
        tree = {row["path"]: row for row in serving.ask(f"/api/models/{REPO}/tree/main?expand=true").json}
        assert tree[EVIL]["securityFileStatus"] == rows[EVIL]
        plain = serving.ask(f"/api/models/{REPO}/tree/main").json
        assert all("securityFileStatus" not in row for row in plain)
        whole = serving.ask(f"/api/models/{REPO}?securityStatus=true").json["securityRepoStatus"]
        assert whole["scansDone"]
        assert {(row["path"], row["level"]) for row in whole["filesWithIssues"]} == {
            (EVIL, "unsafe"), ("notes.txt", "unsafe"), (ARGS, "suspicious"),
        }  # fmt: skip
        assert "securityRepoStatus" not in serving.ask(f"/api/models/{REPO}").json
        assert serving.ask(resolve(REPO, EVIL)).status == 200, "it warns, and hands it out"
    assert not payload.ran


def test_serve_logs_what_comes_through_it(lab: Lab, payload: Payload) -> None:
    with serve(lab) as serving:
        for path in (EVIL, ARGS, "notes.txt", "config.json"):
            assert serving.ask(resolve(REPO, path)).status == 200
        wait_until(lambda: serving.said.count("when it is loaded") == 3)
        assert f"{EVIL} (sha256:" in serving.said
    assert not payload.ran


def test_serve_hands_out_nothing_that_is_refused(lab: Lab, payload: Payload) -> None:
    lab.settings |= REFUSE
    with serve(lab) as serving:
        for path in (EVIL, EVIL, "config.json", GOOD):
            got = serving.ask(resolve(REPO, path))
            assert got.status == (403 if path == EVIL else 200), path
            if path == EVIL:
                assert got["X-Error-Message"] == f"{EVIL} of {REPO} would run {SYSTEM} when it is loaded"
                assert got["X-Error-Code"] is None
        assert serving.ask(resolve(REPO, EVIL), "HEAD").status == 403
    lab.run("pull", REPO, code=7)
    with serve(lab) as serving:
        assert serving.ask(resolve(REPO, "notes.txt")).status == 403, "by its content, once it is here"
    assert not payload.ran
