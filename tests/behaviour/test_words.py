"""What the command says, and with which exit code: to a newcomer, to a script, about access."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.lab import PART, digests
from tests.simulator import HubSimulator, served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.behaviour.lab import Lab

COMMANDS = ("pull", "ls", "info", "status", "path", "env", "run", "rm", "gc", "verify")
SECRET = "hf_secretNobodyMaySee0123456789abcdef"


def assert_helps(said: str) -> None:
    """A sentence, and a hint on a line of its own."""
    first, _, rest = said.strip().partition("\n")
    assert first.startswith("hfmirror: ")
    assert len(first) > 20
    assert rest.strip(), f"no hint: {said}"


# Mistakes


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["pull"], 2, ["repo", "hfmirror pull "]),
        (["pull", "acme/tiny", "--frobnicate"], 2, ["--frobnicate", "hfmirror pull --help"]),
        (["frobnicate"], 2, ["frobnicate", "--help"]),
        (["pull", "a/b/c/d"], 2, ["a/b/c/d", "owner/name"]),
        (["pull", "acme/tin y"], 2, ["acme/tin y", "owner/name"]),
        (["pull", "../etc"], 2, ["../etc"]),
        (["pull", ""], 2, ["owner/name"]),
        (["pull", "acme/tiny", "--connections", "0"], 2, ["connections"]),
        (["pull", "acme/tiny", "--patience", "soon"], 2, ["--patience"]),
        (["pull", "acme/tinny"], 3, ["acme/tinny", "spelling"]),
        (["pull", "acme/tiny", "--revision", "nope"], 3, ["nope", "main"]),
        (["pull", "acme/tiny@nope"], 3, ["nope", "main"]),
        (["pull", "acme/tiny@" + "ab" * 20], 3, ["abababab"]),
        (["pull", "acme/tiny", "--include", "*.zzz"], 3, ["*.zzz", "config.json"]),
        (["pull", "acme/tiny", "--include", "nowhere/*"], 3, ["nowhere/*"]),
        (["pull", "acme/tiny", "--exclude", "*"], 3, ["acme/tiny"]),
        (["path", "acme/tiny"], 6, ["acme/tiny", "hfmirror pull"]),
        (["path", "acme/tiny", "config.json"], 6, ["acme/tiny"]),
        (["info", "acme/tiny"], 6, ["acme/tiny"]),
        (["rm", "acme/tiny"], 6, ["acme/tiny"]),
        (["verify", "acme/tiny"], 6, ["acme/tiny"]),
        (["env", "--shell", "tcsh"], 2, ["tcsh", "bash"]),
        (["run"], 2, ["hfmirror run"]),
        (["gc", "--min-age", "-1"], 2, ["min-age"]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else str(value),
)
def test_a_mistake_is_told_with_what_to_do_next(lab: Lab, words: list[str], code: int, told: list[str]) -> None:
    done = lab.run(*words, code=code)
    assert done.out == ""
    assert_helps(done.err)
    for word in told:
        assert word in done.err


@pytest.mark.parametrize("words", [["pull"], ["pull", "acme/tinny"], ["path", "acme/tiny"], ["pull", "a/tiny@b@c"]])
def test_errors_are_json_too(lab: Lab, words: list[str]) -> None:
    done = lab.run(*words, "--json", code=None)
    assert done.code in {2, 3, 6}
    (line,) = done.lines
    assert line["exit"] == done.code
    assert line["error"]
    assert line["message"]


def test_a_pull_of_several_repos_does_what_it_can(lab: Lab) -> None:
    done = lab.run("pull", "acme/tinny", "acme/tiny", code=3)
    assert "acme/tinny" in done.err
    lab.assert_same(lab.snapshot())


# Access


def test_private_gated_disabled_and_a_bad_token_are_told_apart(hub: HubSimulator, lab: Lab) -> None:
    files = {"config.json": b"{}", "model.safetensors": b"x" * 1000}
    hub.add("acme/private", files, private=True, token="hf_owner")
    hub.add("acme/gated", files, gated="manual", token="hf_owner")
    hub.add("acme/disabled", files, disabled=True)
    hub.login("hf_stranger")
    stranger, mistyped = {"HF_TOKEN": "hf_stranger"}, {"HF_TOKEN": SECRET}
    private = lab.run("pull", "acme/private", code=3)
    assert "private" in private.err
    assert "hf auth login" in private.err or "HF_TOKEN" in private.err
    hidden = lab.run("pull", "acme/private", code=3, settings=stranger)
    assert "acme/private" in hidden.err
    gated = lab.run("pull", "acme/gated", code=4)
    assert "acme/gated" in gated.err
    assert "log in" in gated.err or "hf auth login" in gated.err
    refused = lab.run("pull", "acme/gated", code=4, settings=stranger)
    assert "/acme/gated" in refused.err, "the page where to ask for access"
    disabled = lab.run("pull", "acme/disabled", code=4)
    assert "disabled" in disabled.err
    bad = lab.run("pull", "acme/tiny", code=4, settings=mistyped)
    assert "token" in bad.err.lower()
    sentences = {done.err.partition("\n")[0] for done in (private, gated, disabled, bad)}
    assert len(sentences) == 4
    for done in (private, hidden, gated, refused, disabled, bad):
        assert_helps(done.err)
        assert "hf_stranger" not in done.said
        assert SECRET not in done.said
    for repo in ("acme/private", "acme/gated"):
        lab.run("pull", repo, settings={"HF_TOKEN": "hf_owner"})
        lab.assert_same(lab.snapshot(repo), repo)


def assert_secret_nowhere(lab: Lab) -> None:
    """In no file below the root, by name or by content."""
    for path in lab.root.rglob("*"):
        assert SECRET not in path.name
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_token_is_seen_by_the_hub_only(hub: HubSimulator, lab: Lab) -> None:
    hub.restrict("acme/tiny", private=True, token=SECRET)
    lab.settings["HF_TOKEN"] = SECRET
    said = []
    with hub.failing(reset_after=0, every=2 * PART, where="cdn"), hub.failing(status=403, times=1, where="cdn"):
        said.append(lab.run("pull", "acme/tiny", "--json"))
    assert hub.ledger.select(origin="hub", kind="resolve")
    assert all(record.has_authorization for record in hub.ledger.select(origin="hub"))
    assert hub.ledger.select(origin="cdn")
    assert not any(record.has_authorization for record in hub.ledger.select(origin="cdn"))
    others = (["env"], ["status", "--json"], ["info", "acme/tiny"], ["verify"], ["ls", "--json"])
    said += [lab.run(*words) for words in others]
    hub.add("acme/tiny", {"new.bin": b"z" * 5000}, large=lambda _, __: True)
    with hub.failing(status=500, where="files"):
        said.append(lab.run("pull", "acme/tiny", "--patience", "0.2", code=5))
    with hub.failing(reset_after=0, where="cdn"):
        said.append(lab.run("pull", "acme/tiny", "--patience", "0.2", "--json", code=5))
    assert not any(SECRET in done.said for done in said)
    assert_secret_nowhere(lab)


def test_a_saved_login_is_used(hub: HubSimulator, lab: Lab) -> None:
    hub.restrict("acme/tiny", private=True, token=SECRET)
    saved = lab.folder / "home" / "huggingface" / "token"
    saved.parent.mkdir(parents=True)
    saved.write_text(SECRET)
    assert SECRET not in lab.run("pull", "acme/tiny").said
    assert_secret_nowhere(lab)


@pytest.mark.parametrize("where", ["api", "files"])
def test_a_token_does_not_follow_to_another_host(hub: HubSimulator, lab: Lab, where: str) -> None:
    hub.restrict("acme/tiny", token=SECRET)
    other = HubSimulator()
    other.add("acme/tiny", {"config.json": b"{}"})
    with served(other) as elsewhere:
        with hub.failing(redirect_to=elsewhere.endpoint + "{target}", where=where):
            done = lab.run(
                "pull", "acme/tiny", "--patience", "0.2", code=None, settings={"HF_TOKEN": SECRET}, longest_s=30
            )
        assert not any(record.has_authorization for record in other.requests)
    assert SECRET not in done.said
    assert_secret_nowhere(lab)


# Exit codes that the tests about faults do not reach


class _NotAHub(http.server.BaseHTTPRequestHandler):
    status, body = 200, b"{}"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # the base class names it so
        """Say nothing."""


@contextmanager
def somebody_else(status: int, body: bytes) -> Iterator[str]:
    """A web server that is no Hub."""
    handler = type("Handler", (_NotAHub,), {"status": status, "body": body})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b'{"hello": "world"}'), (200, b"[1, 2]"), (200, b'{"sha": 7}'), (200, b'{"sha": "main"}')],
)
def test_an_endpoint_that_is_no_hub(lab: Lab, status: int, body: bytes) -> None:
    with somebody_else(status, body) as endpoint:
        done = lab.run("pull", "acme/tiny", "--patience", "0.5", code=9, settings={"HF_ENDPOINT": endpoint})
    assert endpoint in done.err
    assert_helps(done.err)


def test_a_web_server_without_the_page_is_not_the_hubs_no(lab: Lab) -> None:
    with somebody_else(404, b"<html>404</html>") as endpoint:
        done = lab.run("pull", "acme/tiny", "--patience", "0.5", code=None, settings={"HF_ENDPOINT": endpoint})
    assert done.code in {3, 9}
    assert_helps(done.err)


@pytest.mark.parametrize("endpoint", ["not an address", "ftp://127.0.0.1", "http://"])
def test_an_endpoint_that_is_no_address(lab: Lab, endpoint: str) -> None:
    done = lab.run("pull", "acme/tiny", "--patience", "0.5", code=2, settings={"HF_ENDPOINT": endpoint})
    assert "HF_ENDPOINT" in done.err
    assert_helps(done.err)


def test_a_name_that_does_not_resolve(lab: Lab) -> None:
    settings = {"HF_ENDPOINT": "http://hub.invalid"}
    done = lab.run("pull", "acme/tiny", "--patience", "0.5", code=5, settings=settings)
    assert "hub.invalid" in done.err
    assert_helps(done.err)


def test_a_store_of_a_later_version_is_left_alone(lab: Lab) -> None:
    lab.run("pull", "acme/tiny", "--include", "config.json")
    mark = lab.root / "format.json"
    facts = json.loads(mark.read_text())
    mark.write_text(json.dumps({name: 999 if isinstance(value, int) else value for name, value in facts.items()}))
    before = lab.files()
    for words in (["pull", "acme/tiny"], ["gc", "--min-age", "0"], ["verify"], ["rm", "acme/tiny"], ["status"]):
        done = lab.run(*words, code=8)
        assert "999" in done.err
        assert_helps(done.err)
    assert lab.files() == before


def test_a_root_that_cannot_be(lab: Lab) -> None:
    lab.root.write_text("a file where the store should be")
    done = lab.run("pull", "acme/tiny", code=8)
    assert str(lab.root) in done.err


def test_a_root_of_somebody_else_is_not_written_to(lab: Lab) -> None:
    lab.root.mkdir()
    (lab.root / "format.json").write_text('{"format": "something else"}')
    assert lab.run("pull", "acme/tiny", code=None).code in {7, 8}
    assert (lab.root / "format.json").read_text() == '{"format": "something else"}'


# Ways of saying


def test_every_line_of_json_parses(lab: Lab) -> None:
    done = lab.run("pull", "acme/tiny", "--json")
    assert done.lines[-1]["event"] == "done"
    assert done.lines[-1]["path"] == str(lab.snapshot())
    for words in (
        ["pull", "acme/tiny", "--json"],
        ["pull", "acme/tiny", "--json", "--dry-run"],
        ["ls", "--json"],
        ["info", "acme/tiny", "--json"],
        ["status", "--json"],
        ["path", "acme/tiny", "--json"],
        ["path", "acme/tiny", "config.json", "--json"],
        ["env", "--json"],
        ["verify", "--json"],
        ["rm", "acme/tiny", "--dry-run", "--json"],
        ["gc", "--dry-run", "--json"],
        ["rm", "acme/tiny", "--json"],
        ["gc", "--min-age", "0", "--json"],
    ):
        assert lab.run(*words).lines, words


def test_every_command_can_be_quiet_and_speak_json(lab: Lab) -> None:
    helps = {command: lab.run(command, "--help").out for command in COMMANDS if command != "run"}
    lacking = {
        (c, option) for c, said in helps.items() for option in ("--json", "--quiet", "--root") if option not in said
    }
    assert not lacking


def test_quiet_says_nothing_but_errors(lab: Lab) -> None:
    assert lab.run("pull", "acme/tiny", "--quiet").said.strip() == ""
    lab.assert_same(lab.snapshot())
    assert lab.run("verify", "--quiet").said.strip() == ""
    assert "acme/tinny" in lab.run("pull", "acme/tinny", "--quiet", code=3).err


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_dry_run_writes_nothing_and_fetches_nothing(hub: HubSimulator, lab: Lab, how: list[str]) -> None:
    before = lab.files()
    target = lab.folder / "models"
    done = lab.run("pull", "acme/tiny", "--dry-run", "--local-dir", str(target), *how)
    assert lab.files() == before
    assert hub.bytes_served == 0
    assert hub.count() == hub.count("revision") + hub.count("tree") == 2
    assert "6291579" in done.out if how else "6.29 MB" in done.said
    lab.run("pull", "acme/tinny", "--dry-run", code=3)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_has_an_example(lab: Lab, command: str, option: str) -> None:
    said = lab.run(command, option).out
    assert "xample: " in said
    assert f"hfmirror {command}" in said.partition("xample: ")[2].replace("\n  ", " ")
    assert command in lab.run("--help").out


def test_the_version(lab: Lab) -> None:
    assert lab.run("--version").out.strip().rpartition(" ")[2][0].isdigit()


def test_completion_can_be_had(lab: Lab) -> None:
    assert "_HFMIRROR_COMPLETE" in lab.run("--show-completion", "bash", code=None).said


def test_chinese_folders(hub: HubSimulator, lab: Lab) -> None:
    commit = hub.add("acme/zh", {"说明 文件.txt": "你好\n", "模型/权重.bin": b"w" * 5000})
    root, target = lab.folder / "模型 仓库", lab.folder / "我的 模型"
    for settings in ({}, {"LANG": "C", "LC_ALL": "C"}):
        done = lab.run("pull", "acme/zh", "--root", str(root), "--local-dir", str(target), settings=settings)
        assert str(target) in done.said or str(root) in done.said
    lab.assert_same(root / "hub" / "models--acme--zh" / "snapshots" / commit, "acme/zh")
    assert lab.expected("acme/zh").items() <= digests(target).items()
    path = lab.run("path", "acme/zh", "说明 文件.txt", "--root", str(root)).out.strip()
    assert path.endswith("说明 文件.txt")
    assert path.startswith(str(root))
    assert not lab.root.exists()
