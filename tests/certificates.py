"""A certificate for the loopback, signed by itself."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def self_signed(folder: Path, subject: str = "/CN=localhost") -> tuple[Path, Path]:
    """The certificate and its key, PEM, for `localhost` and 127.0.0.1. Skips the test where openssl is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl")
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", subject, "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*words.split(), *names, *files], check=True, capture_output=True)
    return cert, key
