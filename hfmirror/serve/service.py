"""A server's life: from listening to a graceful end."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hfmirror.errors import UsageError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from hfmirror.serve.http.server import Server


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen."""

    hosts: tuple[str, ...]
    port: int  # 0: a free one
    tls: ssl.SSLContext | None = None

    @property
    def scheme(self) -> str:
        """How addresses of this place begin."""
        return "http" if self.tls is None else "https"


async def run(
    server: Server, place: Place, announce: Callable[[Sequence[str]], None], stop_within_s: float, ending: asyncio.Event
) -> None:
    """Listen until told to stop: by a signal, or by `ending`. Raises UsageError when the place is taken.

    The first signal lets running answers finish, for so many seconds; the second one cuts them.
    """
    try:
        addresses = await _listen(server, place)
    except OSError as error:
        await server.stop(0)
        where = f"{place.hosts[0]}:{place.port}"
        raise UsageError(
            f"cannot listen on {where}: {error.strerror or error}", "choose another --port or --host"
        ) from None
    cut = asyncio.Event()
    _on_signals(lambda: cut.set() if ending.is_set() else ending.set())
    announce(addresses)  # now that it can be stopped: whoever reads this may stop it at once
    await ending.wait()
    stopping = asyncio.ensure_future(server.stop(stop_within_s))
    cutting = asyncio.ensure_future(cut.wait())
    await asyncio.wait({stopping, cutting}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        await server.stop(0)
    cutting.cancel()
    await stopping


async def _listen(server: Server, place: Place) -> list[str]:
    port, addresses = place.port, []
    for host in place.hosts:
        for name, number in await server.listen(host, port, place.tls):
            port = number  # one port for all hosts, also when a free one was asked for
            addresses.append(
                f"{place.scheme}://[{name}]:{number}" if ":" in name else f"{place.scheme}://{name}:{number}"
            )
    return addresses


def _on_signals(call: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError, ValueError, RuntimeError):  # Windows; a thread that is not the main one
            loop.add_signal_handler(number, call)


def own_address() -> str:
    """The address by which the network knows this machine, or the loopback's. No packet is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # reserved for examples: only the way there is looked up
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def is_own(endpoint: str, addresses: Sequence[str]) -> bool:
    """Whether an endpoint is one of the addresses listened on, by whatever name of this machine."""
    upstream = urlsplit(endpoint)
    ports = {urlsplit(address).port for address in addresses}
    names = {"localhost", "127.0.0.1", "::1", socket.gethostname(), own_address()}
    hosts = names | {str(urlsplit(address).hostname) for address in addresses}
    return upstream.port in ports and upstream.hostname in hosts
