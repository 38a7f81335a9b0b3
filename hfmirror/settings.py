"""What the environment says, read once and passed on. Light: the scripted commands start with it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hfmirror.timetable import Timetable

HUB = "https://huggingface.co"
STALL_S = 20.0  # the official client waits ten
LONGEST_S = 1e9  # what sockets can wait
VIEW = "hub"  # the view's folder under the root
ENGINES = ("auto", "requests", "curl")
PICKLES = ("warn", "refuse", "off")
LIMIT_RATE = "HFMIRROR_LIMIT_RATE"
FROM = "HFMIRROR_FROM"
QUOTA, MIN_FREE = "HFMIRROR_QUOTA", "HFMIRROR_MIN_FREE"
_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}  # as disks are sold
_BINARY = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the store is, whom to ask, and with which engine."""

    root: Path  # HFMIRROR_HOME
    endpoint: str = HUB  # HF_ENDPOINT
    engine: str = "auto"  # HFMIRROR_ENGINE
    stall_s: float = STALL_S  # HF_HUB_DOWNLOAD_TIMEOUT: without a byte, until a connection is given up
    limit: Timetable | None = None  # HFMIRROR_LIMIT_RATE: how much may come a second, and when
    pickles: str = "warn"  # HFMIRROR_PICKLES: what becomes of files that would run code when they are loaded
    quota: int | None = None  # HFMIRROR_QUOTA: bytes the store may take
    min_free: int = 0  # HFMIRROR_MIN_FREE: bytes to be left free on its disk
    sources: tuple[str, ...] = ()  # HFMIRROR_FROM: addresses and folders that may have the bytes, too

    @classmethod
    def of(cls, environment: Mapping[str, str], root: Path | None = None, limit_rate: str | None = None) -> Settings:
        """From the environment; what is given wins over it. Raises UsageError."""
        engine = environment.get("HFMIRROR_ENGINE") or "auto"
        if engine not in ENGINES:
            raise UsageError(f"HFMIRROR_ENGINE={engine} names no engine", f"choose one of {', '.join(ENGINES)}")
        endpoint = environment.get("HF_ENDPOINT") or HUB
        if not is_address(endpoint):
            raise UsageError(f"HF_ENDPOINT={endpoint} is no address", f"write it like {HUB}")
        place = at_home(root or default_root(environment)).absolute()
        limit = _limit(environment, limit_rate)
        pickles = _policy(environment.get("HFMIRROR_PICKLES") or "warn", "HFMIRROR_PICKLES")
        quota, min_free = (_size(environment, name) for name in (QUOTA, MIN_FREE))
        stall_s = _stall_s(environment)
        sources = tuple((environment.get(FROM) or "").split())
        return cls(place, endpoint.rstrip("/"), engine, stall_s, limit, pickles, quota, min_free or 0, sources)

    def with_sources(self, sources: Iterable[str] | None, name: str = "--from") -> Settings:
        """The same with other places to ask for bytes, if any are given. Raises UsageError for what is no place."""
        for where in sources or ():
            if not is_address(where) and not os.path.isdir(at_home(Path(where))):  # noqa: PTH112 - it never raises
                raise UsageError(
                    f"{name} {where}: there is no such folder",
                    "give an address (https://…), a bundle, another hfmirror's folder, or one with the repo's files",
                )
        return replace(self, sources=tuple(sources)) if sources else self

    def with_limit(self, limit: Timetable | None) -> Settings:
        """The same with another limit to the rate, if one is given."""
        return self if limit is None else replace(self, limit=limit)

    def with_pickles(self, policy: str | None) -> Settings:
        """The same under another policy about pickles, if one is given. Raises UsageError."""
        return self if policy is None else replace(self, pickles=_policy(policy, "--pickles"))

    def client_variables(self) -> dict[str, str]:
        """What a Hub client must find in its environment, before it is imported, to load from the view."""
        return {"HF_HUB_CACHE": str(self.root / VIEW), "HF_HUB_OFFLINE": "1"}


def is_address(where: str) -> bool:
    """Whether a place to ask for bytes is asked over the network."""
    found = _ADDRESS.match(where)
    return found is not None and int(found[1] or 0) < 2**16


# A host by its name or number, and a port: who asks at anything else only ever fails, each time he tries.
_ADDRESS = re.compile(r"https?://(?:[^/?#@]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]\s]+)(?::([0-9]{0,5}))?(?=[/?#]|\Z)")


def at_home(path: Path) -> Path:
    """The path, with `~` for what it stands for; unchanged when there is no such user."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _policy(told: str, where: str) -> str:
    if told not in PICKLES:
        raise UsageError(f"{where}={told} is no policy about pickles", f"choose one of {', '.join(PICKLES)}")
    return told


def _stall_s(environment: Mapping[str, str]) -> float:
    told = environment.get("HF_HUB_DOWNLOAD_TIMEOUT") or STALL_S
    try:
        seconds = max(float(told), 0.1)
    except ValueError:
        seconds = float("inf")
    if not seconds < LONGEST_S:
        raise UsageError(f"HF_HUB_DOWNLOAD_TIMEOUT={told} is no number of seconds", "write it like 20")
    return seconds


def _limit(environment: Mapping[str, str], told: str | None) -> Timetable | None:
    text, name = (told, "--limit-rate") if told is not None else (environment.get(LIMIT_RATE) or "", LIMIT_RATE)
    if told is None and not text:
        return None
    from hfmirror.timetable import Timetable  # noqa: PLC0415 - for those who limit

    return Timetable.parse(text, name)


def _size(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name)
    return parse_size(text, name) if text else None


def parse_size(text: str, name: str) -> int:
    """Bytes, from what people write into the option or variable `name`: `500G`, `1.5 TiB`. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?) ?([KMGT]I?|)B?", text.strip().upper())
    if match is None:
        raise UsageError(f"{name}: {text!r} is no size", "write it like 500G or 1.5TB")
    return int(float(match[1]) * (_UNITS | _BINARY)[match[2]])


def default_root(environment: Mapping[str, str]) -> Path:
    """HFMIRROR_HOME, or the platform's folder for a user's data."""
    told = environment.get("HFMIRROR_HOME")
    if told:
        return Path(told)
    from platformdirs import user_data_path  # noqa: PLC0415 - 10 ms, and most scripts set HFMIRROR_HOME

    return user_data_path("hfmirror", appauthor=False)


def current(root: Path | None = None, limit_rate: str | None = None) -> Settings:
    """The settings of this process; `limit_rate` is what `--limit-rate` says."""
    return Settings.of(os.environ, root, limit_rate)


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
