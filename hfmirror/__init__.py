"""Keep the models you depend on: pull them once, serve them to your network, load them offline."""

from __future__ import annotations

from hfmirror._version import __version__

__all__ = ["__version__"]
