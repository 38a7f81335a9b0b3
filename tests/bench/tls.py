"""A certificate of one's own for a loopback server."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.hub import PeerMissing

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM form. `authority` is what a client must trust."""

    authority: Path
    public: Path
    secret: Path


def new_certificate(folder: Path) -> Certificate:
    """An authority, and a certificate for 127.0.0.1 signed by it. Raises PeerMissing without openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise PeerMissing("openssl is not installed (Debian: apt-get install openssl)")
    made = Certificate(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    own = ["-x509", "-days", "2", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    authority = ["-keyout", "authority.key", "-out", made.authority.name, "-subj", "/CN=bench authority"]
    _quietly([openssl, "req", *own, *key, *authority], folder)
    server = ["-keyout", made.secret.name, "-out", "request", "-subj", "/CN=127.0.0.1"]
    _quietly([openssl, "req", "-new", *key, *server], folder)
    (folder / "extensions").write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=critical,CA:FALSE\n"
        "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    signer = ["-CA", made.authority.name, "-CAkey", "authority.key", "-CAcreateserial", "-days", "2"]
    _quietly(
        [
            openssl,
            "x509",
            "-req",
            "-in",
            "request",
            *signer,
            "-extfile",
            "extensions",
            "-out",
            made.public.name,
        ],
        folder,
    )
    return made


def _quietly(argv: list[str], folder: Path) -> None:
    subprocess.run(argv, cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL)
