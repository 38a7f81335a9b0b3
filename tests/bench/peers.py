"""The commands that are compared, each as people use it, kept from what is not the work itself."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.children import plain_environment
from tests.bench.compare import Subject
from tests.bench.hub import PeerMissing

if TYPE_CHECKING:
    from tests.bench.material import Repo
    from tests.bench.settings import Settings
    from tests.bench.tls import Certificate

HF_VERSION = "2.4.0"  # the one the issue names


@dataclass(frozen=True, slots=True)
class Target:
    """What is downloaded, from where, and whom to trust there."""

    endpoint: str
    repo: Repo
    certificate: Certificate | None = None

    def environment(self, **extra: str) -> dict[str, str]:
        """For a client that asks this Hub."""
        trust = {}
        if self.certificate:
            bundle = str(self.certificate.authority)
            trust = {"REQUESTS_CA_BUNDLE": bundle, "CURL_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle}
        return plain_environment(HF_ENDPOINT=self.endpoint, **trust, **extra)

    def address(self, path: str) -> str:
        """Where a file of the repo is."""
        return self.repo.address(self.endpoint, path)


def hfmirror_pull(settings: Settings, target: Target, folder: Path, engine: str) -> Subject:
    """`hfmirror pull` with the engine `requests` or `curl`. Raises PeerMissing without pycurl."""
    if engine == "curl" and not _imports_pycurl(settings.hfmirror[0]):
        raise PeerMissing("pycurl is not installed (pip install 'hfmirror-cli[fast]')")
    return Subject(
        f"hfmirror ({engine})",
        (*settings.hfmirror, "pull", target.repo.id, "--root", str(folder)),
        target.environment(HFMIRROR_ENGINE=engine),
        folder,
        target.repo.size,
    )


def _imports_pycurl(python: str) -> bool:
    """Whether the interpreter has it; of a command that is no interpreter, believe it."""
    if "python" not in Path(python).name:
        return True
    return subprocess.run([python, "-c", "import pycurl"], capture_output=True, check=False).returncode == 0


def hf_download(settings: Settings, target: Target, folder: Path) -> Subject:
    """The official client, cold, kept to downloading over plain HTTP. Raises PeerMissing."""
    if settings.hf is None:
        raise PeerMissing("the command hf is not installed (pip install huggingface_hub)")
    argv = (settings.hf, "download", target.repo.id)
    bars = {"HF_HUB_DISABLE_PROGRESS_BARS": "1"} if settings.hf_quiet else {}
    env = target.environment(**hf_environment(folder), **bars)
    return Subject("hf download", argv, env, folder, target.repo.size)


def hf_environment(folder: Path) -> dict[str, str]:
    """Settings of the official client that keep it to its work; `folder` becomes its home."""
    return {
        "HF_HOME": str(folder),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }


def aria2_large(settings: Settings, target: Target, folder: Path) -> Subject:
    """`aria2c -x8 -s8` for one large file, with the check of its SHA-256. Raises PeerMissing."""
    file = target.repo.files[0]
    argv = (
        *_aria2(settings, target), "-x8", "-s8", f"--checksum=sha-256={file.sha256}",
        "-d", str(folder), target.address(file.path),
    )  # fmt: skip
    return Subject("aria2c -x8", argv, plain_environment(), folder, target.repo.size)


def aria2_small(settings: Settings, target: Target, folder: Path, listing: Path) -> Subject:
    """`aria2c -j16 -i` for many small files, each with its SHA-256. Writes `listing`. Raises PeerMissing."""
    listing.write_text(
        "".join(
            f"{target.address(file.path)}\n  out={file.path}\n  checksum=sha-256={file.sha256}\n"
            for file in target.repo.files
        )
    )
    argv = (*_aria2(settings, target), "-j16", "-i", str(listing), "-d", str(folder))
    return Subject("aria2c -j16", argv, plain_environment(), folder, target.repo.size)


def _aria2(settings: Settings, target: Target) -> tuple[str, ...]:
    if settings.aria2c is None:
        raise PeerMissing("aria2c is not installed (Debian: apt-get install aria2)")
    trust = (f"--ca-certificate={target.certificate.authority}",) if target.certificate else ()
    quiet = ("--no-conf", "--quiet", "--summary-interval=0", "--console-log-level=error")
    return (settings.aria2c, *quiet, f"--file-allocation={settings.allocation}", *trust)


def versions(settings: Settings) -> dict[str, str]:
    """What the peers say of themselves."""
    found = {}
    if settings.hf:
        said = _said(settings.hf, "version")
        found["hf"] = next((word for word in said.split() if word[0].isdigit()), "unknown")
    if settings.aria2c:
        found["aria2c"] = _said(settings.aria2c, "--version").split("\n", 1)[0].rpartition(" ")[2]
    return found


def _said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
