"""Real lines: TCP of the kernel's own between two network namespaces, with delay, losses, resets and limits.

They need Linux, root, and some commands; where these are missing a test says which, and is skipped. The summary of a
run says how many of them ran.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from hfmirror.model import PART
from tests.behaviour.lab import Lab, wait_until
from tests.bench.hub import worker_user
from tests.bench.lines import Laid, NoLine, laid
from tests.bench.lines_carrier import Line
from tests.simulator import HubSimulator, Made, Served, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPO = "acme/tiny"
SIZE = 8 * PART + 5
STEADY = 6 * PART  # bytes a second and connection: so that a reset throws away little of what is in buffers
NEAR, FAR = Line(0.004), Line(0.05)  # round trips in seconds


def needed(command: str) -> str:
    """Where a command is; skips the test where it is not."""
    found = shutil.which(command, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"this line needs the command {command}")
    return found


@contextmanager
def line_of(line: Line) -> Iterator[Laid]:
    """A line, or a skipped test that says why there is none."""
    needed("ip")
    with ExitStack() as stack:
        try:
            way = stack.enter_context(laid(line))
        except NoLine as why:
            pytest.skip(str(why))
        yield way


@pytest.fixture
def hub() -> HubSimulator:
    """One model in one file."""
    hub = HubSimulator()
    hub.add(REPO, {"model.safetensors": Made(SIZE, seed=4)})
    return hub


@pytest.fixture(params=["requests", "curl"])
def engine(request: pytest.FixtureRequest) -> dict[str, str]:
    """Each engine, as a setting."""
    if request.param == "curl":
        pytest.importorskip("pycurl", reason="the curl engine is not installed")
    return {"HFMIRROR_ENGINE": str(request.param), "HF_HUB_DOWNLOAD_TIMEOUT": "3"}


@contextmanager
def far_hub(hub: HubSimulator, way: Laid) -> Iterator[Served]:
    """The hub at the far end of the line."""
    with way.at_server(), served(hub, host=way.address) as site:
        yield site


def pulled(lab: Lab, way: Laid, *words: str) -> None:
    """Pull at the near end, and see that what came is what the Hub has."""
    with way.at_client():
        process = lab.start("pull", REPO, "--patience", "40", *words)
    lab.finish(process)
    lab.assert_same(lab.snapshot(REPO), REPO)
    lab.assert_objects_sound()


def test_a_line_that_loses_packets(hub: HubSimulator, engine: dict[str, str], tmp_path: Path) -> None:
    with line_of(Line(0.05, loss=0.01)) as way, far_hub(hub, way) as site:
        pulled(Lab(hub, site.endpoint, tmp_path, engine), way)
    assert hub.count("cdn") > 1, "one connection alone carried it"


def test_a_line_that_resets_each_connection_after_some_bytes(
    hub: HubSimulator, engine: dict[str, str], tmp_path: Path
) -> None:
    iptables, every = needed("iptables"), 1_500_000  # bytes
    with line_of(NEAR) as way, far_hub(hub, way) as site, hub.failing(slow_rate=STEADY, where="cdn"):
        # What the client says next is answered by a reset; but for its own reset, by which the server learns of it.
        rule = f"-A INPUT -p tcp --dport {_port(site.cdn_origin)} --tcp-flags RST NONE -m connbytes"
        rule += f" --connbytes {every}: --connbytes-dir reply --connbytes-mode bytes -j REJECT --reject-with tcp-reset"
        _filtered(way, iptables, rule)
        pulled(Lab(hub, site.endpoint, tmp_path, engine), way, "--connections", "2")
        hub.settle()
    resets = _broken(hub)
    assert resets >= SIZE // every // 2
    assert hub.bytes_served <= SIZE * 1.02 + resets * PART


def test_a_line_that_swallows_what_comes_after_some_bytes(hub: HubSimulator, tmp_path: Path) -> None:
    iptables, after = needed("iptables"), 3_000_000  # bytes
    settings = {"HFMIRROR_ENGINE": "requests", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
    with line_of(NEAR) as way, far_hub(hub, way) as site, hub.failing(slow_rate=STEADY, where="cdn"):
        rule = f"-A OUTPUT -p tcp --sport {_port(site.cdn_origin)} -m connbytes --connbytes {after}:"
        _filtered(way, iptables, rule + " --connbytes-dir reply --connbytes-mode bytes -j DROP")
        pulled(Lab(hub, site.endpoint, tmp_path, settings), way, "--connections", "2")
        assert hub.count("cdn") > 3, "no connection was swallowed"


def test_a_server_that_limits_each_connection(hub: HubSimulator, engine: dict[str, str], tmp_path: Path) -> None:
    nginx = needed("nginx")
    with line_of(FAR) as way, way.at_server(), served(hub, cdn=False) as site:
        with limiting(nginx, tmp_path, site.endpoint, way.address) as endpoint:
            pulled(Lab(hub, endpoint, tmp_path, engine), way)
        sent = [int(line) for line in (tmp_path / "sent.log").read_text().split()]
    assert SIZE <= sum(sent) <= SIZE * 1.02 + PART


def test_a_name_that_nobody_knows_for_a_while(hub: HubSimulator, engine: dict[str, str], tmp_path: Path) -> None:
    """The client sees a list of hosts of its own, into which the name comes late."""
    unshare, hosts = needed("unshare"), tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    with line_of(NEAR) as way, far_hub(hub, way) as site:
        lab = Lab(hub, f"http://hub.test:{_port(site.endpoint)}", tmp_path, engine)
        inside = f'mount --bind "{hosts}" /etc/hosts && exec "$@"'
        words = [sys.executable, "-m", "hfmirror", "pull", REPO, "--json", "--patience", "40"]
        with way.at_client(), (tmp_path / "said").open("wb") as said:
            argv = [unshare, "--mount", "sh", "-c", inside, "sh", *words]
            process = subprocess.Popen(argv, env=lab.environment(), cwd=tmp_path, stdout=said, stderr=said)
        wait_until(lambda: process.poll() is not None or b"waiting" in (tmp_path / "said").read_bytes())
        assert hub.count() == 0
        with hosts.open("a") as file:
            file.write(f"{way.address} hub.test\n")
        assert process.wait(60) == 0, (tmp_path / "said").read_text()
    lab.assert_same(lab.snapshot(REPO), REPO)


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _filtered(way: Laid, iptables: str, rule: str) -> None:
    """From now on the far end has this rule."""
    with way.at_server():
        done = subprocess.run([iptables, *rule.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine's iptables cannot do that: {done.stderr.strip()}")


def _broken(hub: HubSimulator) -> int:
    """How many answers with bytes of the file did not come to their end, by what was asked for."""
    count = 0
    for record in hub.ledger.select(kind="cdn", status=206):
        first, _, last = str(record.range).removeprefix("bytes=").partition("-")
        count += record.sent < int(last) + 1 - int(first)
    return count


@contextmanager
def limiting(nginx: str, folder: Path, behind: str, host: str) -> Iterator[str]:
    """An nginx before a Hub, on a port of `host`, that sends 2 MB a second on each connection."""
    config, pid = folder / "nginx.conf", folder / "nginx.pid"
    address = f"{host}:8080"  # nobody else is in this namespace
    config.write_text(_NGINX.format(user=worker_user(), pid=pid, folder=folder, address=address, behind=behind))
    process = subprocess.Popen([nginx, "-p", str(folder), "-e", "error.log", "-c", str(config)])
    try:
        wait_until(lambda: pid.exists() or process.poll() is not None)
        assert process.poll() is None, (folder / "error.log").read_text()
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(10)


_NGINX = """\
daemon off; {user} worker_processes 1; pid {pid}; error_log error.log warn;
events {{ worker_connections 256; }}
http {{
  map $status $is_file {{ 206 1; default 0; }}
  log_format sent '$body_bytes_sent'; access_log {folder}/sent.log sent if=$is_file;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server {{
    listen {address};
    location / {{
      proxy_pass {behind}; proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_buffers 4 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;
      limit_rate 2m;
    }}
  }}
}}
"""
