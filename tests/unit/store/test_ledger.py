"""Tokens of the mirror's own, and what is remembered of other people's."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import NotHere, UsageError
from hfmirror.model import Kind, RepoId
from hfmirror.store.disk import DiskStore

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.store.ledger import Ledger

NOW = "2026-01-01T00:00:00Z"
REPO, OTHER = RepoId(Kind.MODEL, "acme/secret"), RepoId(Kind.DATASET, "acme/secret")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return DiskStore(tmp_path).ledger


def test_a_token_opens_what_it_was_made_for(ledger: Ledger) -> None:
    token = ledger.mint("ward", ["acme/secret"], NOW)
    assert re.fullmatch(r"hf_[A-Za-z0-9]{34}", token)
    grant = ledger.grant(token)
    assert grant is not None
    assert (grant.name, grant.opens(REPO), grant.opens(OTHER)) == ("ward", True, False)
    assert ledger.grant(token[:-1] + "!") is None


def test_a_token_may_open_everything(ledger: Ledger) -> None:
    grant = ledger.grant(ledger.mint("boss", ["*"], NOW))
    assert grant is not None
    assert grant.opens(OTHER)


def test_a_name_is_taken_once_and_revoked_once(ledger: Ledger) -> None:
    token = ledger.mint("ward", [], NOW)
    with pytest.raises(UsageError):
        ledger.mint("ward", [], NOW)
    ledger.revoke("ward")
    assert ledger.grant(token) is None
    with pytest.raises(NotHere):
        ledger.revoke("ward")


def test_another_process_sees_a_change_at_once(ledger: Ledger, tmp_path: Path) -> None:
    other = DiskStore(tmp_path).ledger
    assert other.grants() == []
    token = ledger.mint("ward", [], NOW)
    assert other.grant(token) is not None


def test_no_token_is_kept_and_nobody_else_reads_the_files(ledger: Ledger, tmp_path: Path) -> None:
    token = ledger.mint("ward", [], NOW)
    ledger.admit("hf_somebody", REPO, 1000.0)
    for path in (tmp_path / "access").iterdir():
        assert token not in path.read_text()
        assert "hf_somebody" not in path.read_text()
        if os.name != "nt":
            assert path.stat().st_mode & 0o077 == 0


def test_who_was_admitted_where_is_remembered_beyond_a_restart(ledger: Ledger, tmp_path: Path) -> None:
    ledger.admit("hf_a", REPO, 1000.0)
    again = DiskStore(tmp_path).ledger
    assert again.admitted("hf_a", REPO) == 1000.0
    assert again.admitted("hf_b", REPO) is again.admitted("hf_a", OTHER) is None
    again.dismiss("hf_a", REPO)
    again.dismiss("hf_a", REPO)
    assert DiskStore(tmp_path).ledger.admitted("hf_a", REPO) is None
