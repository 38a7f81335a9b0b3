"""olah, the nearest peer, in its two ways: with files it has cached, and with checkouts of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench.children import plain_environment
from tests.bench.hub import PeerMissing
from tests.bench.served import Server, address_of
from tests.bench.servers import free_port, serving
from tests.conformance.clients import ClientMissing, client
from tests.conformance.olah_hub import check_in, lacking
from tests.conformance.olah_hub import olah as checkouts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.material import Repo
    from tests.conformance.clients import Client

CACHED, OWN = "olah, cached", "olah, own checkout"


@contextmanager
def olah_cache(folder: Path, upstream: str) -> Iterator[Server]:
    """olah in front of a Hub. Raises PeerMissing, ServerFailed."""
    port, netloc = free_port(), upstream.partition("://")[2]
    there = [f"--{part}-scheme=http" for part in ("hf", "mirror")]
    there += [f"--hf-netloc={netloc}", f"--hf-lfs-netloc={netloc}"]
    here = [f"--mirror-netloc=127.0.0.1:{port}", f"--mirror-lfs-netloc=127.0.0.1:{port}"]
    places = [f"--repos-path={folder / 'repos'}", f"--log-path={folder / 'log'}"]
    argv = [str(_olah().command("olah-cli")), "--host=127.0.0.1", f"--port={port}", *there, *here, *places]
    with serving(argv, ("127.0.0.1", port), folder / "olah.log", plain_environment()) as pid:
        yield Server(CACHED, "127.0.0.1", port, pid)


@contextmanager
def olah_checkout(folder: Path, repo: Repo) -> Iterator[Server]:
    """olah over a git checkout of a repo, the way it works without any Hub. Raises PeerMissing."""
    if reason := lacking():
        raise PeerMissing(reason)
    environment = _olah()
    files = {file.path: (repo.folder / file.path).read_bytes() for file in repo.files}
    commit = check_in(folder, f"models/{repo.id}", files, tag="bench")
    with checkouts(environment, folder) as endpoint:
        host, port = address_of(endpoint)
        yield Server(OWN, host, port, ending=True, commit=commit)


def _olah() -> Client:
    try:
        return client("olah")
    except ClientMissing as why:
        raise PeerMissing(f"olah is not here: {why}") from None
