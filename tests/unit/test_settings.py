"""What the environment says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hfmirror.errors import UsageError
from hfmirror.settings import HUB, Settings, current, is_address
from hfmirror.timetable import Timetable

HOME = {"HFMIRROR_HOME": "/data/mirror"}


def test_without_a_word_the_hub_is_asked() -> None:
    settings = Settings.of(HOME)
    assert (settings.root, settings.endpoint, settings.engine) == (Path("/data/mirror"), HUB, "auto")


def test_what_is_given_wins_over_the_environment() -> None:
    assert Settings.of(HOME, Path("/other")).root == Path("/other")


def test_a_root_may_begin_with_the_home(no_home: Path) -> None:
    assert Settings.of({"HFMIRROR_HOME": "~/mirror"}).root == no_home / "mirror"


def test_a_relative_root_does_not_move_with_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.of({"HFMIRROR_HOME": "mirror"}).root == tmp_path / "mirror"


def test_without_a_root_the_platform_names_one(no_home: Path) -> None:
    root = Settings.of({}).root
    assert root.is_relative_to(no_home) or os.name == "nt"
    assert not root.exists()


def test_an_endpoint_has_no_slash_at_its_end() -> None:
    assert Settings.of(HOME | {"HF_ENDPOINT": "http://mirror:8090/"}).endpoint == "http://mirror:8090"


def test_empty_variables_say_nothing() -> None:
    assert Settings.of(HOME | {"HF_ENDPOINT": "", "HFMIRROR_ENGINE": ""}) == Settings.of(HOME)


@pytest.mark.parametrize(
    "wrong",
    [{"HF_ENDPOINT": "mirror:8090"}, {"HF_ENDPOINT": "ftp://x"}, {"HFMIRROR_ENGINE": "warp"}]
    + [{"HF_HUB_DOWNLOAD_TIMEOUT": told} for told in ("soon", "nan", "inf", "1e10")],
)
def test_what_makes_no_sense_is_refused_by_its_name(wrong: dict[str, str]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(UsageError, match=name) as caught:
        Settings.of(HOME | wrong)
    assert value in str(caught.value)
    assert caught.value.hint()


@pytest.mark.parametrize(
    "address",
    ["https://a.b", "http://[::1]:80/x", "http://u:p@a/b?c", "https://a:", "http://10.0.0.1:65535", "http://ä.example"],
)
def test_addresses(address: str) -> None:
    assert is_address(address)
    assert Settings.of(HOME | {"HF_ENDPOINT": address}).endpoint == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    ["http://", "http://[::1", "http://a]", "http://u:p@", "http://a:65536", "http://a:b", "http://a b", "ftp://a"],
)
def test_what_is_no_address_is_refused_before_anybody_is_asked(address: str) -> None:
    assert not is_address(address)
    with pytest.raises(UsageError, match="is no address"):
        Settings.of(HOME | {"HF_ENDPOINT": address})


@pytest.mark.parametrize("where", ["http://[::1", "~nobody-of-this-name/x", "x" * 5000])
def test_a_source_that_is_no_place_is_refused(where: str) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        Settings.of(HOME).with_sources([where])


def test_a_home_of_nobody_is_a_name_like_others() -> None:
    assert Settings.of(HOME, Path("~nobody-of-this-name/x")).root.name == "x"


def test_the_environment_is_read_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFMIRROR_HOME", "/now")
    assert current().root == Path("/now")


def test_a_rate_is_limited_by_the_variable_or_by_what_is_given() -> None:
    limited = HOME | {"HFMIRROR_LIMIT_RATE": "2K"}
    assert Settings.of(HOME).limit is None
    assert Settings.of(limited).limit == Timetable.parse("2K", "")
    assert Settings.of(limited, limit_rate="1M").limit == Timetable.parse("1M", "")
    with pytest.raises(UsageError, match="--limit-rate"):
        Settings.of(limited, limit_rate="")
