"""The reference lists everything there is, and nothing there is not."""

from __future__ import annotations

import ast
import inspect
import json
import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from hfmirror import codec, settings
from hfmirror.cli import exits, lines, sync
from hfmirror.cli.app import run
from hfmirror.cli.serve import Log
from hfmirror.errors import FAMILIES, NotHere, Unexpected
from hfmirror.model import Algorithm, Digest, Entry, Head, Kind, Manifest, Pin, Reach, RepoId, commit_id
from hfmirror.queue import job as queue_job
from hfmirror.queue.shelf import Shelf
from hfmirror.queueing import Queue
from hfmirror.serve.http.hall import Done, Limits
from hfmirror.serve.replies import Request
from hfmirror.store.disk import DiskStore
from hfmirror.store.scans import Import, Scan
from hfmirror.syncing import parse as sync_list
from hfmirror.timetable import Limit
from hfmirror.transfer import events
from hfmirror.transfer.plan import Plan
from tests.docs import made
from tests.docs.pages import DOCS, PROJECT, README, REFERENCE, codes, made_parts, name, pages, read, sections, with_made
from tests.docs.stage import hub_of_the_pages
from tests.simulator import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = pages()
REPO = RepoId(Kind.MODEL, "owner/name")
COMMIT = commit_id("ab" * 20)
ENTRY = Entry("config.json", 2, Digest.of(Algorithm.GIT_SHA1, b"{}"))
PIN = Pin(REPO, COMMIT, "main")
DEMAND = Pin(REPO, COMMIT, "main", demand=True)
MANIFEST = Manifest.of(REPO, COMMIT, [ENTRY])
PLAN = Plan(PIN, Head(COMMIT), MANIFEST, (ENTRY,), (ENTRY,))
_OWN_HEADER = re.compile(r"X-Hfmirror-\w+")


# Generated parts


@pytest.mark.parametrize("page", PAGES, ids=map(name, PAGES))
def test_generated_parts_are_up_to_date(page: Path) -> None:
    assert with_made(read(page), made.parts()) == read(page), "run: python -m tests.docs.write"


def test_every_generated_part_is_in_the_reference() -> None:
    there = set().union(*(made_parts(read(page)) for page in REFERENCE.glob("*.md")))
    assert there == set(made.parts())


# Commands


def test_every_command_and_option_is_in_the_reference() -> None:
    page = REFERENCE / "cli.md"
    parts = sections(page)
    for word, command in made.commands().items():
        told = codes(parts[f"hfmirror {word}"].replace("<!--", ""))
        assert {spelled for option in made.options(command) for spelled in option.opts} <= told, word
    assert {spelled for option in made.options(made.top()) for spelled in option.opts} <= codes(read(page))


def test_no_command_is_in_the_reference_that_does_not_exist() -> None:
    heads = [head for head in sections(REFERENCE / "cli.md") if head.startswith("hfmirror ")]
    assert heads == [f"hfmirror {word}" for word in made.commands()]


# Exit codes


def test_every_error_and_every_code_is_on_the_page_of_exit_codes() -> None:
    text = read(REFERENCE / "exit-codes.md")
    told = codes(text)
    assert {kind.__name__ for kind in made.error_classes()} <= told
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    own = {value for word, value in vars(exits).items() if word.isupper() and isinstance(value, int)}
    assert rows == {0, Unexpected.exit_code, *own, *(family.exit_code for family in FAMILIES)}


def test_every_family_has_a_code_of_its_own_and_its_members_share_it() -> None:
    numbers = [family.exit_code for family in FAMILIES]
    assert len(set(numbers)) == len(numbers)
    for kind in made.error_classes():
        assert kind.exit_code == made.family_of(kind).exit_code


# Settings


def variables_in_the_code() -> set[str]:
    """Environment variables that `settings.py` and the commands read or set, by their spelling."""
    from hfmirror.cli import scripted

    found = set()
    for module in (settings, scripted):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"\b(?:HF|HFMIRROR|HUGGING_FACE)_[A-Z_]+\b", node.value))
    return found | {"SHELL"}


def test_every_setting_is_on_the_page_of_configuration() -> None:
    told = codes(read(REFERENCE / "configuration.md"))
    assert {"HFMIRROR_HOME", "HF_ENDPOINT"} <= variables_in_the_code() <= told
    assert set(settings.ENGINES) <= told
    assert {field.name for field in fields(settings.Settings)} <= told


def test_the_defaults_on_the_page_are_those_of_the_code() -> None:
    rows = read(REFERENCE / "configuration.md").splitlines()
    usual = settings.Settings.of({"HFMIRROR_HOME": "mirror"})
    row_of = {row.split("`")[1]: row for row in rows if row.startswith("| `")}
    assert f"`{usual.endpoint}`" in row_of["HF_ENDPOINT"]
    assert f"| `{usual.engine}` |" in row_of["HFMIRROR_ENGINE"]
    assert f"| {usual.stall_s:g} |" in row_of["HF_HUB_DOWNLOAD_TIMEOUT"]
    assert settings.Settings.of({"HFMIRROR_HOME": "mirror", "HF_HUB_DOWNLOAD_TIMEOUT": "60"}).stall_s == 60


# The store's files


def keys_of(value: Any) -> Iterator[str]:
    """The names of all fields of a document, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


def written_forms() -> dict[str, str]:
    """A file of each form that `codec` writes, by its heading on the page."""
    partial = Manifest.of(REPO, COMMIT, [ENTRY], Reach(("onnx",), ("config.json",)))
    return {
        "manifests": codec.manifest_text(partial),
        "pins": codec.dump(
            codec.with_pin(codec.with_pin(None, PIN, "2026-01-01T00:00:00Z"), DEMAND, "2026-01-02T00:00:00Z")
        ),
        "refs": codec.ref_text(COMMIT, "2026-01-01T00:00:00Z", "https://hub"),
        "access": codec.standing_text(REPO, public=True),
    }


def test_every_field_about_tokens_is_explained(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    store.prepare()
    store.ledger.mint("ward-3", [str(REPO)], "2026-01-01T00:00:00Z")
    store.ledger.admit("hf_x", REPO, 0.0)
    told = codes(sections(REFERENCE / "store-format.md")["access"])
    tokens, admitted = (
        json.loads((tmp_path / "access" / name).read_text()) for name in ("tokens.json", "admitted.json")
    )
    assert {*keys_of(tokens), *admitted} <= told
    assert {f"access/{path.name}" for path in (tmp_path / "access").iterdir()} <= told


@pytest.mark.parametrize("form", written_forms())
def test_every_field_of_a_written_form_is_explained(form: str) -> None:
    told = codes(sections(REFERENCE / "store-format.md")[form])
    assert set(keys_of(json.loads(written_forms()[form]))) <= told


def test_every_file_and_field_of_a_real_store_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled(tmp_path, monkeypatch, "pull", "owner/name", "owner/old", "--quiet")
    root = tmp_path / "mirror"
    page = REFERENCE / "store-format.md"
    for top in root.iterdir():
        assert top.name.rstrip("/") in sections(page), f"{top.name} has no heading of its own"
    for path in root.rglob("*.json"):
        room = path.relative_to(root).parts[0]
        if room not in {"about", "hub"}:  # the Hub's own words, and the official client's forms
            assert set(keys_of(json.loads(path.read_text("utf-8")))) <= codes(sections(page)[room]), path


# JSON on stdout


def one_of_each_event() -> list[events.Event]:
    """Every event the core can emit."""
    error = NotHere("config.json")
    return [
        events.Asking(REPO, "main", "hub"),
        events.Listed(MANIFEST),
        events.Planned(PLAN),
        events.Limited(Limit(2**21, "19:00")),
        events.Resumed(ENTRY, 1),
        events.Arrived(ENTRY, 1, "hub"),
        events.Proven(ENTRY),
        events.Sealed(ENTRY),
        events.Waiting(error, 1.0),
        events.Refused(error, again=True),
        events.Dismissed("hub", error),
        events.Elsewhere(ENTRY),
        events.Stale(REPO, "main", error),
        events.Linked(1, ()),
        events.Suspected(REPO, ((ENTRY, Scan("dangerous", (Import("posix", "system", "dangerous"),))),), "a sentence"),
    ]


def test_every_event_is_tried() -> None:
    kinds = {kind for kind in vars(events).values() if inspect.isclass(kind) and kind.__module__ == events.__name__}
    assert {type(event) for event in one_of_each_event()} == kinds


def test_every_field_of_every_json_event_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    display = lines.JsonLines()
    for event in one_of_each_event():
        display(event)
    display.done(PLAN, tmp_path)
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    parts = sections(REFERENCE / "json-output.md")
    for document in documents:
        assert set(keys_of(document)) <= codes(parts[f"event {document['event']}"]), document["event"]
    told = {head.removeprefix("event ") for head in parts if head.startswith("event ")}
    assert {document["event"] for document in documents} == told


JSON_COMMANDS = {
    "path": ["path"],
    "import": ["import", str(README), "--repo", "me/own", "--local", "--offline"],
    "env": ["env"],
    "ls": ["ls"],
    "info": ["info", "owner/name"],
    "status": ["status"],
    "doctor": ["doctor", "--quick"],
    "verify": ["verify"],
    "repair": ["repair"],
    "why": ["why", "config.json"],
    "unpin": ["unpin", "owner/name"],
    "pin": ["pin", "owner/name"],
    "rm": ["rm", "owner/name", "--dry-run"],
    "gc": ["gc", "--dry-run"],
    "pause": ["pause"],
    "resume": ["resume"],
    "cancel": ["cancel", "all"],
    "token add": ["token", "add", "ward-3", "--repo", "owner/name"],
    "token list": ["token", "list"],
    "token revoke": ["token", "revoke", "ward-3"],
    "convert": ["convert", "owner/old", "--dry-run"],
    "export": ["export", "owner/name", "bundle", "--dry-run"],
    "store move": ["store", "move", "elsewhere", "--dry-run"],
}


def pulled(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """A store with a repo in it."""
    monkeypatch.setenv("HFMIRROR_HOME", str(folder / "mirror"))
    with served(hub_of_the_pages()) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.endpoint)
        assert run(words) == 0


def test_every_field_of_every_json_answer_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pulled(tmp_path, monkeypatch, "pull", "owner/name", "owner/old", "--quiet")
    capsys.readouterr()
    parts = sections(REFERENCE / "json-output.md")
    spoken = {
        word for word, command in made.commands().items() if any("--json" in o.opts for o in made.options(command))
    }
    assert {word for word in JSON_COMMANDS if word in spoken} | {"pull", "serve", "sync"} == spoken - {"run"}
    for word, words in JSON_COMMANDS.items():
        assert run([*words, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert set(keys_of(document)) <= codes(parts[f"hfmirror {word} --json"]), word
    assert run(["path", "owner/other", "--json"]) == NotHere.exit_code
    assert set(json.loads(capsys.readouterr().out)) <= codes(parts["errors"])


def test_every_field_of_a_job_and_of_its_files_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HFMIRROR_HOME", str(tmp_path))
    store = DiskStore(tmp_path)
    store.prepare()
    shelf = Shelf(store.layout.queue, store.drafts)
    settings_of_all = dict.fromkeys(queue_job.SETTINGS, "x")
    waits = shelf.add(queue_job.Order(REPO, "main", settings=settings_of_all), 0)
    failed = shelf.add(queue_job.Order(REPO, "v1.0"), 0)
    told = queue_job.Report(waits.ticket, "waiting", "me", again_at=4e9, error="TimedOut", message="no", hint="wait")
    shelf.say(waits.number, told, durable=False)
    shelf.say(failed.number, replace(told, ticket=failed.ticket, state="failed"), durable=False)
    shelf.begin("me")
    page = codes(sections(REFERENCE / "store-format.md")["queue"])
    assert set(queue_job.SETTINGS) <= page
    for path in (tmp_path / "queue").rglob("*.json"):
        assert set(keys_of(json.loads(path.read_text("utf-8")))) <= page, path
    parts = sections(REFERENCE / "json-output.md")
    for words in (["status"], ["pause", "1"]):
        assert run([*words, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert {row["state"] for row in document["jobs"]} <= codes(parts["hfmirror status --json"])
        assert set(keys_of(document)) <= codes(parts["hfmirror status --json"])
    monkeypatch.setattr(Queue, "wake", lambda _: None)
    assert run(["pull", "owner/name", "--background", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) <= codes(parts["hfmirror pull --background --json"])


def test_every_field_of_a_sync_and_of_its_files_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mirror.toml"
    file.write_text('[[repo]]\nname = "owner/name"\n[[repo]]\nname = "owner/nome"\n', encoding="utf-8")
    monkeypatch.setenv("HFMIRROR_HOME", str(tmp_path / "mirror"))
    with served(hub_of_the_pages()) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.endpoint)
        assert run(["sync", str(file), "--json"]) == 3
    assert sync.Order(file, None, locked=False, dry_run=False, as_json=True, quiet=True).pause(1.0) >= 1.0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = codes(sections(REFERENCE / "json-output.md")["hfmirror sync --json"])
    own = [document for document in documents if document.get("event") in {"plan", "synced", "sleeping"}]
    assert len(own) == 3
    for document in (*own, *(document for document in documents if "error" in document)):
        assert set(keys_of(document)) <= told
    parts = sections(REFERENCE / "configuration.md")
    assert set(keys_of(json.loads((tmp_path / "mirror.lock").read_text("utf-8")))) <= codes(parts["mirror.lock"])
    assert {*sync_list.TOP, *sync_list.OF_A_REPO} <= codes(parts["mirror.toml"])


def test_every_field_that_a_server_writes_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log.jsonl"
    with Log(file, as_json=True, quiet=True) as log:
        log.listening(["http://lab-box:8090"], tmp_path, "upstream")
        assert log.done is not None
        log.done(Done(Request("GET", "/"), 200, 1, 0.1, "held", whole=True))
    told = codes(sections(REFERENCE / "json-output.md")["hfmirror serve --json"])
    for text in (capsys.readouterr().out, file.read_text("utf-8")):
        assert set(json.loads(text)) <= told


# Serving


def refusals() -> set[str]:
    """The words by which the log tells one no from another."""
    calls = [
        node
        for path in (PROJECT / "hfmirror" / "serve").rglob("*.py")
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.Call)
    ]
    given = [word.value for call in calls for word in call.keywords if word.arg == "note"]
    return {str(value.value) for value in given if isinstance(value, ast.Constant) and value.value}


def test_every_word_of_the_log_and_every_header_of_our_own_is_explained() -> None:
    told = codes(read(DOCS / "how-to" / "lan-mirror.md"))
    assert {"held", "live", "known", "stale", "miss"} <= told
    assert {"no", "refused", "busy", "disk"} <= refusals() <= told
    text = read(REFERENCE / "protocol.md")
    own = {name for path in (PROJECT / "hfmirror" / "serve").rglob("*.py") for name in _OWN_HEADER.findall(read(path))}
    assert own == {"X-Hfmirror-Age", "X-Hfmirror-Proven"}
    assert own <= codes(text)
    assert {kind.hub_code for kind in made.error_classes() if kind.hub_code} <= codes(text)
    assert {field.name for field in fields(Limits)} <= codes(sections(REFERENCE / "protocol.md")["Limits"])
