"""The tests' own guard: nothing of this machine or of the world is seen."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.conftest import Dialled


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("huggingface.co", 443)])
def test_nobody_dials_out(address: tuple[str, int]) -> None:
    with socket.socket() as sock, pytest.raises(Dialled):
        sock.connect(address)
    with socket.socket() as sock, pytest.raises(Dialled):
        sock.connect_ex(address)


def test_the_home_is_empty_and_no_setting_is_inherited(no_home: Path) -> None:
    assert Path.home() == no_home
    assert [name for name in os.environ if name.startswith("HF_")] == ["HF_HOME"]
    assert not [name for name in os.environ if name.lower().endswith("_proxy")]
