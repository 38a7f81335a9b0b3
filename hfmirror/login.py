"""Who is logged in with the Hub's own tools."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def token_of_the_hub() -> Callable[[], str | None]:
    """The token of whoever is logged in; looked up once, when first needed."""
    return cache(_look_up)


def _look_up() -> str | None:
    """What the official client would send. It is imported, for 50 ms and for good, only if it may know one."""
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return None
    told = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    if told and told.strip():
        return told.strip()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    place = Path(os.environ.get("HF_TOKEN_PATH") or Path(home, "token")).expanduser()
    if not place.exists() and "google.colab" not in sys.modules:
        return None
    from huggingface_hub import get_token  # noqa: PLC0415 - see above

    return get_token()
