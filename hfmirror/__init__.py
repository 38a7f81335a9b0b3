"""Keep the models you depend on: pull them once, load them with the cable out.

`pull`, `path` and `enable` are the Python face; `Mirror` is everything else. They are imported when
first used, so that `import hfmirror` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror._version import __version__

if TYPE_CHECKING:
    from hfmirror.api import enable, path, pull
    from hfmirror.errors import MirrorError
    from hfmirror.mirror import Mirror

__all__ = ["Mirror", "MirrorError", "__version__", "enable", "path", "pull"]

_HOMES = {
    "enable": "hfmirror.api",
    "path": "hfmirror.api",
    "pull": "hfmirror.api",
    "Mirror": "hfmirror.mirror",
    "MirrorError": "hfmirror.errors",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module  # noqa: PLC0415 - only when something is used

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hfmirror' has no attribute {name!r}")
