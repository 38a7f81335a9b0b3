"""Whose token is sent: that of whoever is logged in with the Hub's own tools, unless told not to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfmirror.login import token_of_the_hub

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which a login is saved; not there yet."""
    place = tmp_path / "token"
    monkeypatch.setenv("HF_TOKEN_PATH", str(place))
    return place


def test_nobody_is_logged_in(login: Path) -> None:
    assert not login.exists()
    assert token_of_the_hub()() is None


def test_the_variable_tells(login: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", " hf_mine\n")
    assert token_of_the_hub()() == "hf_mine"


@pytest.mark.parametrize("no", ["1", "true", "ON", "Yes"])
def test_no_token_is_sent_against_the_users_word(login: Path, monkeypatch: pytest.MonkeyPatch, no: str) -> None:
    login.write_text("hf_saved", encoding="utf-8")
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", no)
    assert token_of_the_hub()() is None
