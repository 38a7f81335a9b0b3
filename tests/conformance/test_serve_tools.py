"""Plain downloaders, with a mirror as the address."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.conformance import shelf as on
from tests.conformance.conftest import unavailable
from tests.conformance.scenes import DIRECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conformance.scenes import Scene

    Tell = Callable[[str, object], None]

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

HAVE = 700_001  # bytes that an earlier run left


def tool(name: str) -> str:
    """Its version, if it is here."""
    if shutil.which(name) is None:
        unavailable(f"{name} is not installed")
    said = subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout
    words = said.splitlines()[0].split()
    return next(word for word in words if word[0].isdigit())


def address(scene: Scene, path: str = on.LARGE, revision: str = "main") -> str:
    """Where a browser finds a file of the odd repo."""
    return f"{scene.tap.endpoint}/{on.ODD}/resolve/{quote(revision, safe='')}/{quote(path)}"


def left_behind(scene: Scene, data: bytes) -> Path:
    """A file of which the beginning is there."""
    place = scene.person.home / "part.safetensors"
    place.write_bytes(data[:HAVE])
    return place


def test_curl_is_at_home(scene: Scene, record_property: Tell) -> None:
    record_property("client", f"curl {tool('curl')}")
    files = scene.shelf.files(on.ODD)
    data, direct = files[on.LARGE], scene.state == DIRECT
    curl = ["curl", "-sSfL", "--noproxy", "*"]

    for path in (*on.NAMES, "empty.txt", on.LARGE):
        out = scene.person.home / "whole"
        scene.command(*curl, "-o", str(out), address(scene, path))
        assert (out.read_bytes() if out.exists() else b"") == files[path], path
        out.unlink(missing_ok=True)

    part = left_behind(scene, data)
    scene.command(*curl, "-C", "-", "-o", str(part), address(scene))
    assert part.read_bytes() == data
    assert direct or scene.exchanges[-1].status == 206
    scene.command(
        *curl, "-C", "-", "-o", str(part), address(scene), ok=False
    )  # whole already: 416 is what curl expects
    assert part.read_bytes() == data

    out = scene.person.home / "range"
    for asked, start, stop in (
        ("0-0", 0, 1),
        ("5-70000", 5, 70_001),
        ("2000000-", 2_000_000, None),
        ("-100", -100, None),
    ):
        scene.command(*curl, "-r", asked, "-o", str(out), address(scene))
        assert out.read_bytes() == data[start:stop], asked
        assert scene.exchanges[-1].status == 206 or direct

    head = scene.command(*curl, "-I", address(scene)).stdout.lower()
    assert f"content-length: {len(data)}" in head
    assert scene.command(*curl, "-o", str(out), address(scene, "no.txt"), ok=False).returncode == 22
    compressed = scene.command(*curl, "--compressed", "-o", str(out), address(scene)).returncode
    assert (compressed, out.read_bytes()) == (0, data)
    assert scene.promises()


def test_curl_is_told_that_nothing_changed(scene: Scene, record_property: Tell) -> None:
    record_property("client", f"curl {tool('curl')}")
    etag, out = scene.person.home / "etag", scene.person.home / "out"
    curl = ["curl", "-sSf", "--noproxy", "*", "--etag-compare", str(etag), "--etag-save", str(etag), "-o", str(out)]
    for status in (200, 304) if scene.state != DIRECT else (307, 304):
        scene.command(*curl, address(scene, "c++.txt"))
        assert scene.exchanges[-1].status == status
    assert scene.promises()


def test_aria2_is_at_home(scene: Scene, record_property: Tell) -> None:
    record_property("client", f"aria2c {tool('aria2c')}")
    files, folder = scene.shelf.files(on.ODD), scene.person.home / "aria"
    aria = ["aria2c", "-q", "--no-conf", "--all-proxy=", "--file-allocation=none", "-d", str(folder)]
    split = ["-x4", "-s4", "--min-split-size=1M", "--piece-length=1M"]
    scene.command(*aria, *split, "-o", "large", address(scene))
    assert (folder / "large").read_bytes() == files[on.LARGE]
    spans = [one for one in scene.exchanges if one.status == 206]
    assert spans or scene.state == DIRECT, "it did not split the file, so this proves little"
    scene.command(*aria, "-o", "odd", address(scene, "q?#.txt", "refs/pr/1"))
    assert (folder / "odd").read_bytes() == scene.shelf.files(on.ODD, "refs/pr/1")["q?#.txt"]

    (folder / "part").write_bytes(files[on.LARGE][:HAVE])
    scene.command(*aria, "-c", "-o", "part", address(scene))
    assert (folder / "part").read_bytes() == files[on.LARGE]
    assert scene.promises()


def test_wget_is_at_home(scene: Scene, record_property: Tell) -> None:
    record_property("client", f"wget {tool('wget')}")
    data = scene.shelf.files(on.ODD)[on.LARGE]
    part = left_behind(scene, data)
    wget = ["wget", "-q", "--no-config", "--no-proxy", "-c", "-O", str(part)]
    scene.command(*wget, address(scene))
    assert part.read_bytes() == data
    scene.command(*wget, address(scene))  # nothing is left to fetch, which is no failure
    assert part.read_bytes() == data
    assert scene.promises()
