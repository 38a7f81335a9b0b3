"""What the environment says, read once and passed on. Light: the scripted commands start with it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

HUB = "https://huggingface.co"
STALL_S = 20.0  # the official client waits ten
VIEW = "hub"  # the view's folder under the root
ENGINES = ("auto", "requests", "curl")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the store is, whom to ask, and with which engine."""

    root: Path  # HFMIRROR_HOME
    endpoint: str = HUB  # HF_ENDPOINT
    engine: str = "auto"  # HFMIRROR_ENGINE
    stall_s: float = STALL_S  # HF_HUB_DOWNLOAD_TIMEOUT: without a byte, until a connection is given up

    @classmethod
    def of(cls, environment: Mapping[str, str], root: Path | None = None) -> Settings:
        """From the environment; `root` wins over HFMIRROR_HOME. Raises UsageError."""
        engine = environment.get("HFMIRROR_ENGINE") or "auto"
        if engine not in ENGINES:
            raise UsageError(f"HFMIRROR_ENGINE={engine} names no engine", f"choose one of {', '.join(ENGINES)}")
        endpoint = environment.get("HF_ENDPOINT") or HUB
        if not re.match(r"https?://[^/?#]", endpoint):
            raise UsageError(f"HF_ENDPOINT={endpoint} is no address", f"write it like {HUB}")
        place = (root or default_root(environment)).expanduser().absolute()
        return cls(place, endpoint.rstrip("/"), engine, _stall_s(environment))

    def client_variables(self) -> dict[str, str]:
        """What a Hub client must find in its environment, before it is imported, to load from the view."""
        return {"HF_HUB_CACHE": str(self.root / VIEW), "HF_HUB_OFFLINE": "1"}


def _stall_s(environment: Mapping[str, str]) -> float:
    told = environment.get("HF_HUB_DOWNLOAD_TIMEOUT") or STALL_S
    try:
        return max(float(told), 0.1)
    except ValueError:
        raise UsageError(f"HF_HUB_DOWNLOAD_TIMEOUT={told} is no number of seconds", "write it like 20") from None


def default_root(environment: Mapping[str, str]) -> Path:
    """HFMIRROR_HOME, or the platform's folder for a user's data."""
    told = environment.get("HFMIRROR_HOME")
    if told:
        return Path(told)
    from platformdirs import user_data_path  # noqa: PLC0415 - 10 ms, and most scripts set HFMIRROR_HOME

    return user_data_path("hfmirror", appauthor=False)


def current(root: Path | None = None) -> Settings:
    """The settings of this process."""
    return Settings.of(os.environ, root)


def client_cache(environment: Mapping[str, str]) -> Path:
    """Where the official client keeps its own copies (huggingface_hub 2.4.0, `constants.py`)."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(name):
            return Path(environment[name]).expanduser()
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(environment.get("HF_HOME") or Path(cache, "huggingface"), "hub").expanduser()


def variables_through(environment: Mapping[str, str], address: str) -> dict[str, str]:
    """An environment whose Hub clients ask the mirror at `address`, and no proxy on the way there."""
    online = {name: value for name, value in environment.items() if name not in _OFFLINE}
    loopback = {
        name: ",".join(filter(None, [environment.get(name), "127.0.0.1,localhost"]))
        for name in ("NO_PROXY", "no_proxy")
    }
    return {**online, **loopback, "HF_ENDPOINT": address}


_OFFLINE = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"}
