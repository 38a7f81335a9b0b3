"""Put first on PYTHONPATH: every Python below refuses to dial, and writes down that it was tried to."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, NoReturn

_DIALS = os.environ.get("DIALS_FILE", "")


def _refuse(what: object) -> NoReturn:
    if _DIALS:
        with Path(_DIALS).open("a", encoding="utf-8") as log:
            log.write(f"{what}\n")
    raise OSError(101, f"Network is unreachable: {what}")


class _Refusing(socket.socket):
    def connect(self, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            _refuse(address)
        super().connect(address)

    def connect_ex(self, address: Any) -> int:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            _refuse(address)
        return super().connect_ex(address)


def _no_names(host: object, *_: object, **__: object) -> NoReturn:
    _refuse(host)


socket.socket = _Refusing  # type: ignore[misc]  # the point of this file
socket.getaddrinfo = _no_names
