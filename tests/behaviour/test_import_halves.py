"""Half-finished files of other tools, and archives: only holes are fetched, and nothing wrong is believed."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import struct
import subprocess
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.brought import brought, client_cache, put, repo_files, traces
from tests.behaviour.conftest import SIZE
from tests.behaviour.lab import PART, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.behaviour.lab import Lab
    from tests.simulator import HubSimulator

MODEL = "model.safetensors"
HEAD = 3 * PART + 12_345  # bytes that the other tool had fetched
HOME = "models--acme--tiny"


@pytest.fixture
def weights(lab: Lab) -> bytes:
    """The large file of the repo."""
    return lab.hub.content("acme/tiny", MODEL)


@pytest.fixture
def oid(lab: Lab) -> str:
    """What the Hub calls its content."""
    return lab.hub.stored("acme/tiny", MODEL).digest.hex


def assert_only_the_holes_come(lab: Lab, kept: int, repo: str = "acme/tiny") -> None:
    """The pull that follows keeps `kept` bytes and fetches the rest of the file."""
    rows = lab.run("pull", repo, "--json").lines
    (resumed,) = [row for row in rows if row["event"] == "resumed"]
    assert (resumed["path"], resumed["kept"]) == (MODEL, kept)
    lab.assert_same(lab.snapshot(repo), repo)
    lab.assert_objects_sound()


NAMES: dict[str, Callable[[str], str]] = {
    "a browser's": lambda oid: f"{MODEL}.crdownload",
    "a browser's second": lambda oid: "model (1).safetensors.crdownload",
    "firefox'": lambda oid: f"{MODEL}.part",
    "an old client's": lambda oid: f"{oid}.incomplete",
    "a client's": lambda oid: f"{oid}.0123abcd.incomplete",
    "a client's in a local folder": lambda oid: f"Xk-_9a=.{oid}.0123abcd.incomplete",
    "git-lfs'": lambda oid: f".git/lfs/incomplete/{oid}.part",
    "modelscope's": lambda oid: f"._____temp/acme/tiny/{MODEL}",
}


@pytest.mark.parametrize("kind", NAMES)
def test_the_good_head_of_a_half_finished_file_is_kept(lab: Lab, weights: bytes, oid: str, kind: str) -> None:
    folder = put(lab.folder / "half", {NAMES[kind](oid): weights[:HEAD]})
    before = traces(folder)
    done = brought(lab, str(folder), "--repo", "acme/tiny")
    assert [(row["path"], row["kept"]) for row in done["begun"]] == [(MODEL, 3 * PART)]
    assert traces(folder) == before
    assert_only_the_holes_come(lab, 3 * PART)


def test_a_dry_run_says_how_much_is_good_and_touches_nothing(lab: Lab, weights: bytes) -> None:
    folder = put(lab.folder / "half", {f"{MODEL}.part": weights[:HEAD]})
    before = lab.files()
    done = brought(lab, str(folder), "--repo", "acme/tiny", "--dry-run")
    assert [row["kept"] for row in done["begun"]] == [3 * PART]
    assert lab.files() == before


def test_a_download_that_is_whole_and_merely_not_renamed_is_taken_whole(lab: Lab, weights: bytes) -> None:
    folder = put(lab.folder / "half", {f"{MODEL}.crdownload": weights})
    done = brought(lab, str(folder), "--repo", "acme/tiny")
    assert ([row["path"] for row in done["taken"]], done["begun"]) == ([MODEL], [])


def test_a_second_import_of_the_same_head_keeps_what_is_there(lab: Lab, weights: bytes) -> None:
    folder = put(lab.folder / "half", {f"{MODEL}.part": weights[:HEAD]})
    brought(lab, str(folder), "--repo", "acme/tiny")
    brought(lab, str(folder), "--repo", "acme/tiny")
    assert len(list((lab.root / "incoming").glob("sha256-*"))) == 1
    assert_only_the_holes_come(lab, 3 * PART)


def test_several_halves_of_one_file_add_up(lab: Lab, weights: bytes, oid: str) -> None:
    slices = {
        f"._____temp/{MODEL}_{start}_{start + 2 * PART - 1}": weights[start : start + 2 * PART - 5]
        for start in (0, 2 * PART)
    }
    folder = put(lab.folder / "half", {**slices, f"{oid}.incomplete": weights[: 2 * PART]})
    brought(lab, str(folder), "--repo", "acme/tiny")
    assert_only_the_holes_come(lab, 3 * PART)


def test_halves_that_cover_the_file_make_it_whole(lab: Lab, weights: bytes) -> None:
    cut = 4 * PART
    slices = {
        f"._____temp/{MODEL}_0_{cut - 1}": weights[:cut],
        f"._____temp/{MODEL}_{cut}_{SIZE - 1}": weights[cut:],
    }
    done = brought(lab, str(put(lab.folder / "half", slices)), "--repo", "acme/tiny")
    assert [row["path"] for row in done["taken"]] == [MODEL]
    lab.assert_objects_sound()


def test_a_wrong_head_is_thrown_away_and_then_all_is_fetched(lab: Lab, weights: bytes) -> None:
    wrong = b"x" + weights[1:HEAD]
    folder = put(lab.folder / "half", {f"{MODEL}.part": wrong})
    brought(lab, str(folder), "--repo", "acme/tiny")
    rows = lab.run("pull", "acme/tiny", "--json").lines
    assert [row["again"] for row in rows if row["event"] == "refused"] == [True]
    lab.assert_same(lab.snapshot())
    assert not list((lab.root / "incoming").iterdir())


def test_wrong_halves_that_cover_the_file_are_named(lab: Lab, weights: bytes, oid: str) -> None:
    wrong = weights[: 2 * PART] + b"x" + weights[2 * PART + 1 :]
    slices = {f"._____temp/{MODEL}_0_{SIZE - 1}": wrong}
    done = lab.run("import", str(put(lab.folder / "half", slices)), "--repo", "acme/tiny", code=6)
    assert f"its bytes are not those of {MODEL}" in done.err
    assert oid not in "".join(lab.objects())
    assert not list((lab.root / "incoming").glob("sha256-*"))


def test_holes_in_a_half_finished_file_are_not_taken_for_content(lab: Lab, weights: bytes) -> None:
    place = put(lab.folder / "half", {}) / f"{MODEL}.crdownload"
    place.parent.mkdir()
    with place.open("wb") as file:  # as a browser does that fetches several pieces at once
        file.write(weights[:PART])
        file.seek(4 * PART)
        file.write(weights[4 * PART : 5 * PART])
    brought(lab, str(place), "--repo", "acme/tiny")
    assert_only_the_holes_come(lab, 2 * PART)


def test_a_cache_with_an_unfinished_download_is_gone_on_with(lab: Lab, weights: bytes, oid: str) -> None:
    cache = client_cache(lab, allow_patterns=["*.json"])
    (cache / HOME / "blobs" / f"{oid}.0123abcd.incomplete").write_bytes(weights[:HEAD])
    done = brought(lab, str(cache))
    assert [(row["path"], row["kept"]) for row in done["begun"]] == [(MODEL, 3 * PART)]
    (repo,) = done["repos"]
    assert [row["path"] for row in repo["lacking"]] == [MODEL], "what the client was fetching is wanted, and no more"
    rows = lab.run(*_words(repo["command"]), "--json").lines
    assert [row["kept"] for row in rows if row["event"] == "resumed"] == [3 * PART]


def _words(command: str) -> list[str]:
    import shlex

    return shlex.split(command)[1:]


def test_a_stopped_download_under_its_final_name_is_known_by_its_own_header(lab: Lab, hub: HubSimulator) -> None:
    data = safetensors(5 * PART)
    hub.add("acme/st", {MODEL: data, "config.json": "{}"})
    folder = put(lab.folder / "half", {MODEL: data[:HEAD]})
    done = brought(lab, str(folder), "--repo", "acme/st")
    assert [(row["path"], row["kept"]) for row in done["begun"]] == [(MODEL, 3 * PART)]
    assert_only_the_holes_come(lab, 3 * PART, "acme/st")


def test_a_part_of_another_file_of_that_name_is_not_taken(lab: Lab, hub: HubSimulator) -> None:
    hub.add("acme/st", {MODEL: safetensors(5 * PART), "config.json": "{}"})
    files = {f"{MODEL}.part": safetensors(6 * PART)[:HEAD], "config.json": b"{}"}
    done = brought(lab, str(put(lab.folder / "half", files)), "--repo", "acme/st")
    assert done["begun"] == []


def safetensors(size: int) -> bytes:
    """A file of that format with one tensor."""
    header = json.dumps({"t": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(range(1, 252)) * (size // 251) + b"\7" * (size % 251)


# aria2


def test_what_aria2_has_fetched_is_kept_whatever_pieces_those_are(lab: Lab, weights: bytes) -> None:
    pieces = {0, 1, 4}
    data = bytearray(SIZE)
    for piece in pieces:
        data[piece * PART : (piece + 1) * PART] = weights[piece * PART : (piece + 1) * PART]
    bits = bytes([sum(0x80 >> piece for piece in pieces)])
    control = struct.pack(">HIIIQQI", 1, 0, 0, PART, SIZE, 0, len(bits)) + bits + struct.pack(">I", 0)
    folder = put(lab.folder / "half", {"renamed": bytes(data), "renamed.aria2": control})
    done = brought(lab, str(folder), "--repo", "acme/tiny")
    assert [(row["path"], row["kept"]) for row in done["begun"]] == [(MODEL, 3 * PART)]
    assert_only_the_holes_come(lab, 3 * PART)


def test_a_real_aria2_is_gone_on_with(lab: Lab) -> None:
    if shutil.which("aria2c") is None:
        pytest.skip("aria2c is not here")
    folder = lab.folder / "aria2"
    words = ["--auto-save-interval=1", "--max-download-limit=1M", "-x4", "-s4", "-k1M", "--file-allocation=none", "-q"]
    address = f"{lab.endpoint}/acme/tiny/resolve/main/{MODEL}"
    running = subprocess.Popen(["aria2c", *words, f"--dir={folder}", f"--out={MODEL}", address], env=lab.environment())
    control = folder / f"{MODEL}.aria2"
    wait_until(lambda: control.exists() and any(_pieces(control)))
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = brought(lab, str(folder), "--repo", "acme/tiny")
    (begun,) = done["begun"]
    assert begun["kept"] >= PART
    assert_only_the_holes_come(lab, begun["kept"])


def _pieces(control: Path) -> bytes:
    """The bits of the pieces that are whole, as the control file has them just now."""
    data = control.read_bytes()
    return data[34 : 34 + int.from_bytes(data[30:34], "big")]


# Archives


def packed(files: dict[str, bytes], form: str) -> bytes:
    """An archive of a repo's page, with a folder at the top and names that mean harm."""
    out = io.BytesIO()
    rows = {"tiny-main/": b"", **{f"tiny-main/{path}": data for path, data in files.items()}, "../../evil.txt": b"e"}
    if form == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in rows.items():
                archive.writestr(name, data)
        return out.getvalue()
    mode: Any = f"w:{form.partition('.')[2]}"
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for name, data in rows.items():
            row = tarfile.TarInfo(name)
            row.size, row.type = len(data), tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            tar.addfile(row, io.BytesIO(data))
        link = tarfile.TarInfo("tiny-main/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return out.getvalue()


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz", "tar.xz"])
def test_an_archive_of_a_repo_is_looked_into(lab: Lab, form: str) -> None:
    folder = put(lab.folder / "archives", {f"tiny main.{form}": packed(repo_files(lab), form)})
    before = traces(folder)
    done = brought(lab, str(folder), "--repo", "acme/tiny")
    assert done["repos"][0]["lacking"] == []
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()
    assert traces(folder) == before
    assert not list(lab.folder.rglob("evil.txt"))


def test_a_broken_archive_gives_what_can_be_read_of_it(lab: Lab) -> None:
    whole = packed(repo_files(lab), "tar")
    folder = put(lab.folder / "archives", {"cut.tar": whole[: -3 * PART], "no.zip": b"PK not", "empty.tgz": b""})
    done = brought(lab, str(folder), "--repo", "acme/tiny")
    assert "config.json" in {row["path"] for row in done["taken"]}
    assert [row["path"] for row in done["repos"][0]["lacking"]] == [MODEL]
    assert {row["from"].rpartition(os.sep)[2].partition(":")[0] for row in done["left_out"]} >= {"cut.tar", "no.zip"}
    lab.assert_objects_sound()


def test_an_archive_that_is_wanted_itself_is_not_unpacked(lab: Lab, hub: HubSimulator) -> None:
    data = packed({"a.txt": b"inside" * 300_000}, "zip")
    hub.add("datasets/acme/zipped", {"data.zip": data})
    done = brought(lab, str(put(lab.folder / "x", {"y.zip": data})), "--repo", "datasets/acme/zipped")
    assert [row["path"] for row in done["taken"]] == ["data.zip"]
