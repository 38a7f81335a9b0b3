"""`--from`: bytes from anybody, names from the Hub alone."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.brought import NOWHERE, put, repo_files
from tests.behaviour.conftest import SIZE, SMALL
from tests.behaviour.lab import PART, Lab, place_faults, wait_until
from tests.behaviour.test_faults import choose
from tests.simulator import Faults, HubSimulator, Made, Served, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHOLE = SIZE + 36  # bytes of all files
STEADY = Faults(slow_rate=4 * PART, where="cdn")  # of each connection
PATIENT = {"HF_HUB_DOWNLOAD_TIMEOUT": "600"}  # seconds of silence an engine bears: longer than a test may take
LARGE = "model.safetensors"


@pytest.fixture
def club() -> HubSimulator:
    """Another hub with the same repo."""
    club = HubSimulator()
    place_faults(club)
    club.add("acme/tiny", {**SMALL, LARGE: Made(SIZE, seed=2)}, tags=("v1",), refs=("refs/pr/1",))
    return club


@pytest.fixture
def second(club: HubSimulator) -> Iterator[Served]:
    """It, behind sockets."""
    with served(club) as site:
        yield site


@pytest.fixture(params=["default", "requests"])
def engine(request: pytest.FixtureRequest, lab: Lab) -> str:
    """With what is installed, and with the faster engine hidden."""
    return choose(lab, str(request.param))


def documents(lines: list[Any], event: str) -> list[dict[str, Any]]:
    """The events of one kind."""
    return [line for line in lines if line["event"] == event]


def brought(lines: list[Any]) -> dict[str, int]:
    """Bytes by source."""
    (done,) = documents(lines, "done")
    sources = {row["source"]: int(row["size"]) for row in done["sources"]}
    assert sum(sources.values()) == done["fetched"]
    return sources


# -- several mirrors ------------------------------------------------------------------------------


def test_two_alike_bring_a_file_between_them(
    hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served, engine: str
) -> None:
    with hub.failing(STEADY), club.failing(STEADY):
        lines = lab.run("pull", "acme/tiny", "--from", second.endpoint, "--json", "--connections", "1").lines
    sources = brought(lines)
    assert set(sources) == {lab.endpoint, second.endpoint}
    assert min(sources.values()) > PART
    for each in (hub, club):
        each.settle()
    assert hub.bytes_served + club.bytes_served <= WHOLE * 1.02 + PART
    lab.assert_same(lab.snapshot())


def test_people_are_told_what_came_from_whom(hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served) -> None:
    with hub.failing(STEADY), club.failing(STEADY):
        done = lab.run("pull", "acme/tiny", "--from", second.endpoint, "--connections", "1")
    assert f"from {lab.endpoint}" in done.err
    assert f"from {second.endpoint}" in done.err


@pytest.mark.parametrize("dies", ["the hub", "the other"])
def test_a_source_that_is_killed_in_mid_file_is_gone_on_from_by_the_other(
    hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served, engine: str, dies: str
) -> None:
    dying = hub if dies == "the hub" else club
    with hub.failing(slow_rate=PART, where="cdn"), club.failing(slow_rate=PART, where="cdn"):
        process = lab.start("pull", "acme/tiny", "--from", second.endpoint, "--json", "--connections", "1")
        wait_until(lambda: min(hub.bytes_served, club.bytes_served) > PART // 2)
        with dying.failing(refuse=True):
            lines = lab.finish(process).lines
    assert min(brought(lines).values()) > 0
    for each in (hub, club):
        each.settle()
    assert hub.bytes_served + club.bytes_served <= WHOLE * 1.02 + PART
    lab.assert_same(lab.snapshot())


@pytest.mark.parametrize("sent", [0, PART // 2], ids=["before the first byte", "in mid-file"])
def test_a_source_that_stalls_is_not_waited_for(
    hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served, engine: str, sent: int
) -> None:
    """An engine would bear the silence for ten minutes: that the pull ends shows that nobody waited."""
    stalling = Faults(stall_after=0, stall_s=600, every=sent or None, where="cdn")
    words = ("pull", "acme/tiny", "--from", second.endpoint, "--json", "--connections", "1")
    with (
        hub.failing(slow_rate=PART, where="cdn"),
        club.failing(slow_rate=PART, where="cdn"),
        club.failing(stalling) as armed,
    ):
        lines = lab.run(*words, settings=PATIENT).lines
        assert armed.strikes
    assert brought(lines)[lab.endpoint] > 0
    hub.settle()
    lab.assert_same(lab.snapshot())


REFUSALS = {
    "lacks the file": Faults(status=404, error_code="EntryNotFound", where=f"files:{LARGE}"),
    "is a mirror that lacks it": Faults(status=404, error_code="MirrorMiss", where=f"files:{LARGE}"),
    "lacks the repo": Faults(status=404, error_code="RepoNotFound", where="files"),
    "denies": Faults(status=403, error_code="GatedRepo", where="resolve"),
    "is no hub": Faults(status=404, where="files"),
    "has a login page": Faults(html_200=True, where="files"),
    "is busy": Faults(status=503, where="files"),
    "limits": Faults(status=429, retry_after_s=600, where="files"),
    "is not there": Faults(refuse=True),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_source_that_will_not_is_done_without(
    hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served, name: str
) -> None:
    with club.failing(REFUSALS[name]):
        lines = lab.run("pull", "acme/tiny", "--from", second.endpoint, "--json", settings=PATIENT).lines
    assert brought(lines)[lab.endpoint] >= SIZE
    hub.settle()
    assert hub.bytes_served <= WHOLE * 1.02 + PART
    lab.assert_same(lab.snapshot())


@pytest.mark.parametrize("name", ["lacks the file", "is busy", "limits", "has a login page"])
def test_the_hub_may_be_the_one_that_will_not(
    hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served, name: str
) -> None:
    with hub.failing(REFUSALS[name]):
        lines = lab.run("pull", "acme/tiny", "--from", second.endpoint, "--json", settings=PATIENT).lines
    assert brought(lines)[second.endpoint] >= SIZE
    lab.assert_same(lab.snapshot())


def test_where_all_deny_the_hub_has_the_last_word(
    hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served
) -> None:
    with hub.failing(REFUSALS["denies"]), club.failing(REFUSALS["lacks the repo"]):
        done = lab.run("pull", "acme/tiny", "--from", second.endpoint, code=4)
    assert "gated" in done.err


def test_where_all_are_gone_it_is_given_up_with_everything_kept(
    hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served
) -> None:
    with hub.failing(slow_rate=PART, where="cdn"), club.failing(slow_rate=PART, where="cdn"):
        process = lab.start("pull", "acme/tiny", "--from", second.endpoint, "--patience", "2", "--connections", "1")
        wait_until(lambda: min(hub.bytes_served, club.bytes_served) > PART * 3 // 2)
        with hub.failing(refuse=True), club.failing(refuse=True):
            done = lab.finish(process, code=5)
    assert "kept" in done.err
    before = hub.bytes_served + club.bytes_served
    lab.run("pull", "acme/tiny")
    hub.settle()
    assert hub.bytes_served + club.bytes_served <= WHOLE * 1.02 + 4 * PART
    assert before > 2 * PART


# -- liars ----------------------------------------------------------------------------------------

OFFSETS = {"first": 100_000, "middle": 3 * PART + 5, "last": SIZE - 1}


@pytest.mark.parametrize("place", OFFSETS)
def test_who_sends_a_wrong_bit_is_found_and_named(
    hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served, engine: str, place: str
) -> None:
    """The Hub holds that part back until the other has sent it, so it is the other's word."""
    low = OFFSETS[place] // PART * PART
    with hub.failing(STEADY), club.failing(STEADY), club.failing(garbage_at=OFFSETS[place]) as lie:
        with hub.failing(hold_from=low, hold_to=min(low + PART, SIZE), where="cdn"):
            process = lab.start("pull", "acme/tiny", "--from", second.endpoint, "--json", settings=PATIENT)
            wait_until(lambda: lie.strikes > 0)
        lines = lab.finish(process).lines
    refused = documents(lines, "refused")
    assert [line["banned"] for line in refused] == [[second.endpoint]]
    assert second.endpoint in refused[0]["why"]
    theirs = club.bytes_served
    for each in (hub, club):
        each.settle()
    assert hub.bytes_served + club.bytes_served <= WHOLE * 1.02 + 2 * theirs + 3 * PART
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()


def test_a_small_file_that_is_wrong_comes_from_another(
    hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served
) -> None:
    with hub.failing(latency_s=0.5, where="files"), club.failing(garbage_at=3, where="*:config.json") as lie:
        lines = lab.run("pull", "acme/tiny", "--from", second.endpoint, "--json").lines
    assert bool(documents(lines, "refused")) == bool(lie.strikes)
    lab.assert_same(lab.snapshot())


def test_where_all_lie_nothing_is_published(hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served) -> None:
    wrong = Faults(garbage_bits=tuple(range(0, SIZE * 8, PART * 4)), where=f"files:{LARGE}")
    with hub.failing(wrong), club.failing(wrong):
        done = lab.run("pull", "acme/tiny", "--from", second.endpoint, code=7)
    assert "damaged" in done.err
    lab.assert_objects_sound()


# -- places of this machine -----------------------------------------------------------------------


def commit_of(hub: HubSimulator) -> str:
    """What main stands for."""
    return hub.repos[next(iter(hub.repos))].commit("main").id


def place_of(lab: Lab, kind: str) -> Path:
    """The repo, lying somewhere."""
    if kind == "folder":
        return put(lab.folder / "mine", repo_files(lab))
    if kind == "folder of repos":
        put(lab.folder / "shelf" / "acme" / "tiny", repo_files(lab))
        return lab.folder / "shelf"
    elsewhere = {"HFMIRROR_HOME": str(lab.folder / "other")}
    lab.run("pull", "acme/tiny", settings=elsewhere)
    if kind == "view":
        return lab.folder / "other" / "hub" / "models--acme--tiny" / "snapshots" / commit_of(lab.hub)
    if kind == "root":
        return lab.folder / "other"
    split = ("--split-size", "2MB") if kind == "split bundle" else ()
    lab.run("export", "acme/tiny", str(lab.folder / "stick"), *split, settings=elsewhere)
    return lab.folder / "stick"


@pytest.mark.parametrize("kind", ["folder", "folder of repos", "view", "root", "bundle", "split bundle"])
def test_what_a_place_has_costs_no_byte_of_the_line(hub: HubSimulator, lab: Lab, kind: str) -> None:
    place = place_of(lab, kind)
    hub.reset_counts()
    lines = lab.run("pull", "acme/tiny", "--from", str(place), "--json").lines
    (source,) = brought(lines)
    assert str(place) in source
    assert (hub.count("cdn"), hub.count("resolve")) == (0, 0)
    lab.assert_same(lab.snapshot())


def test_what_a_place_lacks_or_has_wrong_comes_from_the_hub(hub: HubSimulator, lab: Lab) -> None:
    files = repo_files(lab)
    del files["README.md"]
    files[LARGE] = files[LARGE][: 2 * PART] + b"?" + files[LARGE][2 * PART + 1 :]
    place = put(lab.folder / "mine", files)
    lines = lab.run("pull", "acme/tiny", "--from", str(place), "--json").lines
    assert f"the folder {place}" in documents(lines, "refused")[0]["why"]
    assert brought(lines)[lab.endpoint] == SIZE + len(SMALL["README.md"])  # type: ignore[arg-type]
    lab.assert_same(lab.snapshot())


def test_a_commit_that_is_known_comes_from_a_stick_without_any_network(hub: HubSimulator, lab: Lab) -> None:
    place = place_of(lab, "folder")
    lab.run("pull", "acme/tiny", "--print-urls")
    commit = commit_of(hub)
    lab.run("pull", f"acme/tiny@{commit}", "--from", str(place), settings=NOWHERE)
    lab.assert_same(lab.snapshot("acme/tiny", "--revision", commit))


def test_a_branch_as_it_was_last_known_comes_from_a_stick_without_any_network(lab: Lab) -> None:
    place = place_of(lab, "folder")
    lab.run("pull", "acme/tiny", "--include", "config.json")
    done = lab.run("pull", "acme/tiny", "--from", str(place), settings=NOWHERE)
    assert "last" in done.err  # that the name may be out of date
    lab.assert_same(lab.snapshot())


def test_a_folder_that_is_not_there_is_refused_before_anything_is_asked(hub: HubSimulator, lab: Lab) -> None:
    done = lab.run("pull", "acme/tiny", "--from", str(lab.folder / "none"), code=2)
    assert "no such folder" in done.err
    assert not hub.requests


def test_a_stick_named_by_the_environment_need_not_be_there(lab: Lab) -> None:
    gone = {"HFMIRROR_FROM": str(lab.folder / "none")}
    done = lab.run("pull", "acme/tiny", settings=gone)
    assert "going on with the others" in done.err
    lab.assert_same(lab.snapshot())


def test_the_environment_may_name_several(hub: HubSimulator, lab: Lab, second: Served) -> None:
    place = place_of(lab, "folder")
    (place / LARGE).unlink()
    told = {"HFMIRROR_FROM": f"{place} {second.endpoint}"}
    with hub.failing(REFUSALS["lacks the file"]):
        sources = brought(lab.run("pull", "acme/tiny", "--json", settings=told).lines)
    assert sources[second.endpoint] == SIZE
    assert sources[f"the folder {place}"] == WHOLE - SIZE
    lab.assert_same(lab.snapshot())


# -- other commands, and the token ----------------------------------------------------------------


def test_a_token_is_never_sent_to_another_source(
    hub: HubSimulator, club: HubSimulator, lab: Lab, second: Served, engine: str
) -> None:
    hub.restrict("acme/tiny", private=True, token="hf_secret")
    lab.settings["HF_TOKEN"] = "hf_secret"
    with hub.failing(STEADY), club.failing(STEADY):
        lab.run("pull", "acme/tiny", "--from", second.endpoint, "--connections", "1")
    assert any(record.has_authorization for record in hub.requests)
    assert club.requests
    assert not any(record.has_authorization for record in club.requests)
    lab.assert_same(lab.snapshot())


def test_what_rotted_is_mended_from_anywhere(hub: HubSimulator, lab: Lab, second: Served) -> None:
    lab.run("pull", "acme/tiny")
    (large,) = [path for path in lab.objects().values() if path.stat().st_size == SIZE]
    large.chmod(0o644)
    with large.open("r+b") as stream:
        stream.seek(2 * PART)
        stream.write(b"?")
    lab.run("verify", code=7)
    with hub.failing(status=503, where="files"):
        lab.run("repair", "--from", second.endpoint)
    lab.assert_objects_sound()
    lab.assert_same(lab.snapshot())


def test_python_may_name_them_as_well(hub: HubSimulator, lab: Lab) -> None:
    place = place_of(lab, "folder")
    code = (
        "import hfmirror, sys\n"
        "hfmirror.pull('acme/tiny', sources=[sys.argv[1]], watch=lambda event: None)\n"
        "try:\n"
        "    hfmirror.pull('acme/tiny', sources=['nowhere'])\n"
        "except hfmirror.MirrorError as problem:\n"
        "    print(problem)\n"
    )
    words = [sys.executable, "-c", code, str(place)]
    ran = subprocess.run(words, env=lab.environment(), cwd=lab.folder, check=True, timeout=60, stdout=subprocess.PIPE)
    assert b"sources: nowhere: there is no such folder" in ran.stdout
    assert (hub.count("cdn"), hub.count("resolve")) == (0, 0)
    lab.assert_same(lab.snapshot())


def test_a_list_may_name_its_sources(hub: HubSimulator, lab: Lab, second: Served) -> None:
    (lab.folder / "mirror.toml").write_text(f'sources = ["{second.endpoint}"]\n[[repo]]\nname = "acme/tiny"\n')
    with hub.failing(REFUSALS["lacks the file"]):
        lab.run("sync")
    lab.assert_same(lab.snapshot())
