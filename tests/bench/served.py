"""The servers that are compared: hfmirror's, nginx with plain files, and olah."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.children import family, plain_environment, resident, run
from tests.bench.hub import PeerMissing, worker_user
from tests.bench.load import Work
from tests.bench.servers import ServerFailed, free_port, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.hub import NginxHub
    from tests.bench.material import Repo
    from tests.bench.settings import Settings
    from tests.bench.tls import Certificate

MINE, NGINX = "hfmirror serve", "nginx, 1 worker"
_TICK = os.sysconf("SC_CLK_TCK")  # of the processor's account, a second


@dataclass(frozen=True, slots=True)
class Server:
    """One that runs."""

    name: str
    host: str
    port: int
    pid: int = 0  # 0: not ours to know
    certificate: Certificate | None = None
    ending: bool = False  # its answers say no length, so each ends its connection
    commit: str = ""  # what it calls the commit of a repo, where that differs

    @property
    def endpoint(self) -> str:
        """What to set HF_ENDPOINT to."""
        return f"{'https' if self.certificate else 'http'}://{self.host}:{self.port}"

    def work(self, kind: str, repo: Repo, *paths: str, **more: object) -> Work:
        """A load on it; by default on the first file of a repo."""
        commit = self.commit or repo.commit
        targets = tuple(f"/{repo.id}/resolve/{commit}/{path}" for path in paths or (repo.files[0].path,))
        authority = str(self.certificate.authority) if self.certificate else ""
        return Work(kind, self.host, self.port, targets, authority, ending=self.ending, **more)  # type: ignore[arg-type]

    def cpu_s(self) -> float:
        """Seconds of processor it has used so far, children too; of a server that is not ours, none."""
        return sum(map(_cpu_s, family(self.pid))) if self.pid else 0.0

    def resident(self) -> int:
        """Bytes of memory it has just now, children too."""
        return sum(map(resident, family(self.pid)))


def direct(hub: NginxHub) -> Server:
    """Upstream itself, as a server to be asked."""
    return Server("direct", *address_of(hub.endpoint))


def address_of(endpoint: str) -> tuple[str, int]:
    """Host and port."""
    host, _, port = endpoint.rpartition("/")[2].partition(":")
    return host, int(port)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def pull(settings: Settings, root: Path, repo: Repo, endpoint: str) -> None:
    """Bring a repo into a store. Raises ServerFailed."""
    argv = (*settings.hfmirror, "pull", repo.id, "--root", str(root), "--quiet")
    done = run(argv, plain_environment(HF_ENDPOINT=endpoint), settings.timeout_s)
    if done.failure:
        raise ServerFailed(f"the store could not be filled: {done.failure}")


@contextmanager
def hfmirror_serve(
    settings: Settings,
    folder: Path,
    upstream: str | None,
    *,
    certificate: Certificate | None = None,
    logged: bool = False,
) -> Iterator[Server]:
    """`hfmirror serve` over the store in `folder`/store; without an upstream it asks nobody. Raises ServerFailed."""
    port = free_port()
    behind = ("--offline",) if upstream is None else ("--upstream", upstream)
    tls = ("--tls-cert", str(certificate.public), "--tls-key", str(certificate.secret)) if certificate else ()
    argv = (*settings.hfmirror, "serve", "--port", str(port), "--root", str(folder / "store"))
    end = ("--stop-within", "1", *(() if logged else ("--quiet",)))
    with serving(
        [*argv, *behind, *tls, *end],
        ("127.0.0.1", port),
        folder / "serve.log",
        plain_environment(),
    ) as pid:
        yield Server(MINE, "127.0.0.1", port, pid, certificate)


@contextmanager
def nginx_files(
    folder: Path, repo: Repo, *, certificate: Certificate | None = None, logged: bool = False
) -> Iterator[Server]:
    """The files of a repo at their addresses on the Hub, and nothing else: one worker, `sendfile`, open files kept.

    Raises PeerMissing without nginx, ServerFailed.
    """
    nginx = shutil.which("nginx")
    if nginx is None:
        raise PeerMissing("nginx is not installed (Debian: apt-get install nginx-light)")
    address = Path(repo.address(str(folder / "root"), ""))
    address.parent.mkdir(parents=True)
    address.symlink_to(repo.folder)
    port = free_port()
    listen = f"listen 127.0.0.1:{port}"
    if certificate:
        listen += f" ssl; ssl_certificate {certificate.public}; ssl_certificate_key {certificate.secret}"
    log = "access.log" if logged else "off"
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(user=worker_user(), listen=listen, root=folder / "root", log=log))
    argv = [nginx, "-p", str(folder), "-e", "error.log", "-c", str(config)]
    with serving(argv, ("127.0.0.1", port), folder / "start.log") as pid:
        yield Server(NGINX, "127.0.0.1", port, pid, certificate)


_NGINX = """\
daemon off; {user} worker_processes 1; pid nginx.pid; error_log error.log warn;
worker_rlimit_nofile 8192;
events {{ worker_connections 2048; }}
http {{
  access_log {log};
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  sendfile on; tcp_nopush on; tcp_nodelay on; gzip off;
  keepalive_requests 100000000; keepalive_timeout 65; open_file_cache max=10000 inactive=600s;
  default_type application/octet-stream;
  server {{ {listen}; root {root}; }}
}}
"""
