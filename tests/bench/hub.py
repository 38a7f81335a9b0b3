"""A Hub made of nginx: the fastest server at hand, so that it is the clients that are measured."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.servers import free_port, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.bench.material import Repo
    from tests.bench.tls import Certificate


_FEW = 10  # files


class PeerMissing(Exception):
    """A program the bench compares with, or serves with, is not installed."""


@dataclass(frozen=True, slots=True)
class NginxHub:
    """A running Hub."""

    endpoint: str
    access_log: Path

    def requests(self) -> int:
        """How many it has answered so far. Only for a Hub that keeps a log."""
        return len(self.access_log.read_text().splitlines())

    def sent(self) -> int:
        """Bytes of bodies in those answers."""
        return sum(int(line.rpartition(" ")[2]) for line in self.access_log.read_text().splitlines())


@contextmanager
def nginx_hub(
    folder: Path,
    repos: Sequence[Repo],
    *,
    certificate: Certificate | None = None,
    logged: bool = False,
    host: str = "127.0.0.1",
) -> Iterator[NginxHub]:
    """Publish repos on a port of `host`, over TLS if a certificate is given. `folder` is the hub's own.

    Raises PeerMissing without nginx, ServerFailed.
    """
    nginx = shutil.which("nginx")
    if nginx is None:
        raise PeerMissing("nginx is not installed (Debian: apt-get install nginx-light)")
    _answers(folder, repos)
    address = (host, free_port(host))
    config = folder / "nginx.conf"
    config.write_text(_configuration(folder, repos, address, certificate, logged=logged))
    scheme = "https" if certificate else "http"
    argv = [nginx, "-p", str(folder), "-e", "error.log", "-c", str(config)]
    with serving(argv, address, folder / "start.log"):
        yield NginxHub(f"{scheme}://{address[0]}:{address[1]}", folder / "access.log")


def _answers(folder: Path, repos: Sequence[Repo]) -> None:
    """What is asked about repos, as files; and what is said with each of their files, as nginx maps."""
    (folder / "files").mkdir()
    (folder / "access.log").touch()
    etags, linked = [], []
    for repo in repos:
        (folder / "files" / repo.name).symlink_to(repo.folder)
        about = folder / "api" / repo.name
        about.mkdir(parents=True)
        (about / "info.json").write_bytes(repo.info())
        (about / "tree.json").write_bytes(repo.tree())
        for file in repo.files:
            etags.append(f""""{repo.name}/{file.path}" '"{file.etag}"';\n""")
            if file.lfs:
                linked.append(f'"{repo.name}/{file.path}" {file.size};\n')
    (folder / "etags.map").write_text("".join(etags))
    (folder / "linked.map").write_text("".join(linked))
    (folder / "paths.map").write_text(
        "".join(f"{repo.name} '{repo.tree().decode()}';\n" for repo in repos if _few(repo))
    )


def _few(repo: Repo) -> bool:
    """Whether an answer about all files of a repo is short enough to stand in a configuration."""
    return len(repo.files) <= _FEW


def worker_user() -> str:
    """Workers of a root's nginx would be nobody, who may not enter a private folder."""
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getegid()).gr_name};"


def _listen(address: tuple[str, int], certificate: Certificate | None) -> str:
    if certificate is None:
        return f"listen {address[0]}:{address[1]};"
    return (
        f"listen {address[0]}:{address[1]} ssl; "
        f"ssl_certificate {certificate.public}; ssl_certificate_key {certificate.secret}; "
        "ssl_session_cache shared:bench:4m;"
    )


def _configuration(
    folder: Path, repos: Sequence[Repo], address: tuple[str, int], certificate: Certificate | None, *, logged: bool
) -> str:
    return _TEMPLATE.format(
        user=worker_user(),
        commits="".join(f"{repo.name} {repo.commit};" for repo in repos),
        log="access_log access.log asked;" if logged else "access_log off;",
        listen=_listen(address, certificate),
        root=folder,
    )


_TEMPLATE = """\
daemon off; {user} worker_processes 2; pid nginx.pid; error_log error.log warn;
worker_rlimit_nofile 8192;
events {{ worker_connections 2048; }}
http {{
  log_format asked '$request_method $uri $status $body_bytes_sent'; {log}
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  sendfile on; tcp_nopush on; tcp_nodelay on; gzip off; etag off; server_tokens off;
  keepalive_requests 1000000; keepalive_timeout 65; open_file_cache max=10000 inactive=600s;
  default_type application/octet-stream;
  map_hash_max_size 131072; map_hash_bucket_size 256;
  map $repo $commit {{ {commits} }}
  map "$repo/$path" $digest {{ include etags.map; }}
  map "$repo/$path" $linked_size {{ include linked.map; }}
  map $repo $paths {{ include paths.map; }}
  map $linked_size $linked_digest {{ "" ""; default $digest; }}
  server {{
    {listen}
    root {root}/nothing;
    location ~ "^/bench/(?<repo>[^/]+)/resolve/(?:main|[0-9a-f]{{40}})/(?<path>.+)$" {{
      alias {root}/files/$repo/$path;
      add_header X-Repo-Commit $commit always;
      add_header ETag $digest; add_header X-Linked-Etag $linked_digest; add_header X-Linked-Size $linked_size;
      error_page 404 = @no_entry;
    }}
    location ~ "^/api/models/bench/(?<repo>[^/]+)(?:/revision/(?:main|[0-9a-f]{{40}}))?$" {{
      default_type application/json; alias {root}/api/$repo/info.json; error_page 404 = @no_repo;
    }}
    location ~ "^/api/models/bench/(?<repo>[^/]+)/tree/(?:main|[0-9a-f]{{40}})$" {{
      default_type application/json; alias {root}/api/$repo/tree.json; error_page 404 = @no_repo;
    }}
    location ~ "^/api/models/bench/(?<repo>[^/]+)/paths-info/(?:main|[0-9a-f]{{40}})$" {{
      default_type application/json; return 200 $paths;
    }}
    location = /api/agent-harnesses {{
      default_type application/json; return 200 '{{"standardEnvVars":[],"harnesses":{{}}}}';
    }}
    location /api/telemetry/ {{ return 200; }}
    location @no_entry {{
      add_header X-Error-Code EntryNotFound always; add_header X-Error-Message "Entry not found" always;
      add_header X-Repo-Commit $commit always;
      default_type application/json; return 404 '{{"error":"Entry not found"}}';
    }}
    location @no_repo {{
      add_header X-Error-Code RepoNotFound always; add_header X-Error-Message "Repository not found" always;
      default_type application/json; return 404 '{{"error":"Repository not found"}}';
    }}
    location / {{ default_type application/json; return 404 '{{"error":"Not found"}}'; }}
  }}
}}
"""
