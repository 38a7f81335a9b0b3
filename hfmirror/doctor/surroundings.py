"""The environment's variables, as far as they contradict each other, and the engine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hfmirror.doctor.findings import fail, note, ok, warn
from hfmirror.errors import Untrusted, UsageError
from hfmirror.settings import VIEW, client_cache

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hfmirror.doctor.findings import Finding
    from hfmirror.settings import Settings

TRUE = {"1", "ON", "YES", "TRUE"}  # huggingface_hub 2.4.0 `constants.py`
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def check_variables(environment: Mapping[str, str], root: Path) -> Iterator[Finding]:
    """What contradicts; one good word when nothing does. Values are not shown."""
    found = [
        *_endpoint(environment),
        *_offline(environment, root),
        *_certificates(environment),
        *_transfer(environment),
    ]
    yield from found or [ok("settings", "the environment's variables do not contradict each other")]


def engine(settings: Settings, *, there: bool) -> Finding:
    """Which engine moves the bytes; `there`: whether pycurl is installed."""
    if there and settings.engine != "requests":
        return ok("engine", "pycurl moves the bytes")
    if settings.engine == "curl":
        return fail("engine", "HFMIRROR_ENGINE=curl, and no pycurl", "pip install 'hfmirror-cli[fast]'", UsageError)
    if there:
        return note("engine", "pycurl is installed, and HFMIRROR_ENGINE=requests leaves it out")
    return note("engine", "without pycurl fast lines cost more processor time", "pip install 'hfmirror-cli[fast]'")


def has_pycurl() -> bool:
    """Whether it is installed."""
    return find_spec("pycurl") is not None


def _on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").upper() in TRUE


def _endpoint(environment: Mapping[str, str]) -> Iterator[Finding]:
    address = environment.get("HF_ENDPOINT", "")
    if address.endswith("/"):
        yield warn("settings", "HF_ENDPOINT ends with a slash, on which some clients stumble", "leave the slash out")
    if urlsplit(address).path.strip("/"):
        said = "HF_ENDPOINT has a path behind the host, which some clients lose"
        yield note("settings", said, "if a client finds nothing, serve the mirror at the host's root")


def _offline(environment: Mapping[str, str], root: Path) -> Iterator[Finding]:
    names = [name for name in OFFLINE if _on(environment, name)]
    if not names:
        return
    if client_cache(environment).absolute() != root / VIEW:
        said = f"{' and '.join(names)}: clients stay offline, and do not look into this store"
        yield warn("settings", said, 'set both with eval "$(hfmirror env)", or unset it')
    elif environment.get("HF_ENDPOINT"):
        yield note("settings", f"HF_ENDPOINT is of no use to clients while {' and '.join(names)} is set")


def _certificates(environment: Mapping[str, str]) -> Iterator[Finding]:
    for name in CERTIFICATES:
        if environment.get(name) and not Path(environment[name]).exists():
            yield fail("settings", f"{name} names a file that is not there", f"correct {name}, or unset it", Untrusted)


def _transfer(environment: Mapping[str, str]) -> Iterator[Finding]:
    if _on(environment, "HF_HUB_ENABLE_HF_TRANSFER"):
        said = "HF_HUB_ENABLE_HF_TRANSFER: clients that heed it begin anew when a download breaks off"
        yield note("settings", said, "unset it; hfmirror does not need it")
    if _on(environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN") and environment.get("HF_TOKEN"):
        said = "HF_TOKEN is set, and HF_HUB_DISABLE_IMPLICIT_TOKEN keeps it from being sent"
        yield warn("settings", said, "unset one of the two")
