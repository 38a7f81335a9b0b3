"""Variables that contradict each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfmirror.doctor.findings import Level
from hfmirror.doctor.surroundings import check_variables, engine
from hfmirror.errors import UsageError
from hfmirror.settings import Settings

ROOT = Path("/data/mirror").absolute()
HERE = {"HF_HUB_CACHE": str(ROOT / "hub")}


@pytest.mark.parametrize(
    "environment",
    [{}, {"HF_ENDPOINT": "https://hub.example"}, {**HERE, "HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0"}],
)
def test_what_goes_together(environment: dict[str, str]) -> None:
    (found,) = check_variables(environment, ROOT)
    assert found.level is Level.OK


@pytest.mark.parametrize(
    ("environment", "level", "named"),
    [
        ({"HF_ENDPOINT": "https://hub.example/"}, Level.WARN, "slash"),
        ({"HF_ENDPOINT": "https://hub.example/hf"}, Level.NOTE, "path"),
        ({"HF_HUB_OFFLINE": "1"}, Level.WARN, "HF_HUB_OFFLINE"),
        ({"TRANSFORMERS_OFFLINE": "yes"}, Level.WARN, "TRANSFORMERS_OFFLINE"),
        ({**HERE, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "https://hub.example"}, Level.NOTE, "HF_ENDPOINT"),
        ({"REQUESTS_CA_BUNDLE": "/nowhere/secret.pem"}, Level.FAIL, "REQUESTS_CA_BUNDLE"),
        ({"HF_HUB_ENABLE_HF_TRANSFER": "1"}, Level.NOTE, "HF_HUB_ENABLE_HF_TRANSFER"),
        ({"HF_TOKEN": "hf_secret", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, Level.WARN, "HF_TOKEN"),
    ],
)
def test_what_contradicts(environment: dict[str, str], level: Level, named: str) -> None:
    (found,) = check_variables(environment, ROOT)
    assert found.level is level
    assert named in found.sentence
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("name", "there", "level"),
    [
        ("auto", True, Level.OK),
        ("auto", False, Level.NOTE),
        ("requests", True, Level.NOTE),
        ("curl", True, Level.OK),
        ("curl", False, Level.FAIL),
    ],
)
def test_the_engine(name: str, there: bool, level: Level) -> None:
    found = engine(Settings(ROOT, engine=name), there=there)
    assert found.level is level
    assert found.code == (UsageError.exit_code if level is Level.FAIL else 0)
