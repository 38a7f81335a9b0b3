"""Whom to ask for bytes: the endpoint, and what people name besides (`--from`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror.errors import UsageError
from hfmirror.settings import at_home, is_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hfmirror.ports import Supplier
    from hfmirror.settings import Settings
    from hfmirror.sources.http import Http
    from hfmirror.sources.hub import HubSource


def hub(http: Http, settings: Settings, endpoint: str, token: Callable[[], str | None]) -> HubSource:
    """A Hub or a mirror of it, by the engine the settings name. Raises UsageError."""
    from hfmirror.sources.hub import HubSource  # noqa: PLC0415 - only who fetches loads the fetching side

    make: type[HubSource] = HubSource
    if settings.engine != "requests":
        try:
            from hfmirror.sources.curl import CurlHubSource  # noqa: PLC0415 - an extra

            make = CurlHubSource
        except ImportError:
            if settings.engine == "curl":
                raise UsageError("the engine curl needs pycurl", "pip install 'hfmirror-cli[fast]'") from None
    return make(http, endpoint, token)


def others(http: Http, settings: Settings, token: Callable[[], str | None]) -> Iterator[Supplier]:
    """The suppliers that the settings name besides the endpoint, each once.

    None of them is trusted with a name, and none gets the token, unless it is the endpoint's own origin.
    """
    from hfmirror.sources.http import origin  # noqa: PLC0415 - as above

    home = origin(settings.endpoint)
    for where in _once(settings.sources, settings.endpoint):
        if is_address(where):
            yield hub(http, settings, where, token if origin(where) == home else _nobody)
        else:
            yield place(Path(where))


def place(folder: Path) -> Supplier:
    """A place of this machine: a bundle, a store, or a folder with a repo's files."""
    from hfmirror.bundle import supply  # noqa: PLC0415 - for those who name one
    from hfmirror.sources.folder import FolderSource  # noqa: PLC0415 - as above

    folder = at_home(folder).absolute()
    return supply.BundleSource(folder) if supply.is_one(folder) else FolderSource(folder)


def _once(sources: Iterable[str], endpoint: str) -> Iterator[str]:
    seen = {endpoint.rstrip("/")}
    for where in sources:
        plain = where.rstrip("/") or "/"
        if plain not in seen:
            seen.add(plain)
            yield plain


def _nobody() -> str | None:
    return None
