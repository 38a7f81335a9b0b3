"""Put first on PYTHONPATH: every Python below reaches few places only, and any other dial is written down.

DIALS_ALLOWED names them as host:port with commas between, or none; DIALS_FILE is where the others are written.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, NoReturn

_ALLOWED = os.environ.get("DIALS_ALLOWED", "").split(",")
_DIALS = os.environ.get("DIALS_FILE", "")
_look_up = socket.getaddrinfo


def _refuse(what: object, error: OSError) -> NoReturn:
    if _DIALS:
        with Path(_DIALS).open("a", encoding="utf-8") as log:
            log.write(f"{what}\n")
    raise error


class _Guarded(socket.socket):
    def _check(self, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and f"{address[0]}:{address[1]}" not in _ALLOWED:
            _refuse(address, OSError(101, f"Network is unreachable: {address}"))

    def connect(self, address: Any) -> None:
        self._check(address)
        super().connect(address)

    def connect_ex(self, address: Any) -> int:
        self._check(address)
        return super().connect_ex(address)


def _near_names(host: Any, *words: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name not in {None, "", "localhost", "127.0.0.1", "0.0.0.0", "::1"}:
        _refuse(name, socket.gaierror(-2, "Name or service not known"))
    return _look_up(host, *words, **options)


socket.socket = _Guarded  # type: ignore[misc]  # the point of this file
socket.getaddrinfo = _near_names
