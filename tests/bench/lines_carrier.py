"""Carries packets between two network namespaces of its own, late, and not all of them (Linux, root).

`python -m tests.bench.lines_carrier '{"rtt_s": 0.05, "loss": 0.01}'` makes two namespaces, each with
one TUN device, says where they are, and carries until its input ends. Nothing has a name on this
machine, so with this process and those inside, everything is gone. Only the delay, the losses and the
rates are made here: TCP at both ends is the kernel's own. (Many kernels have no `netem`.)
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

CLIENT, SERVER = "10.231.9.1", "10.231.9.2"  # on a private line: no other can see them
_CLONE_NEWNET = 0x40000000  # from <linux/sched.h>
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # from <linux/if_tun.h>
_URGENT = -15  # niceness: a line does not slow down because the computers at its ends are busy
_LONGEST = 65_536  # bytes of a packet, and more than that
_AT_ONCE = 64  # packets read before those that are due are sent on
_SETTINGS = {
    "tcp_no_metrics_save": "1",  # or each connection would profit from what the last one learnt
    "tcp_rmem": "4096 131072 6291456",  # Linux's own defaults, whatever this machine has been told
    "tcp_wmem": "4096 16384 4194304",
}


@dataclass(frozen=True, slots=True)
class Line:
    """How a line behaves, in each direction; the delay is that of both together."""

    rtt_s: float
    loss: float = 0.0  # share of packets, without regard to their size
    rate: float = 0.0  # bytes a second, all connections together; 0: no limit
    flow_rate: float = 0.0  # bytes a second of each connection; 0: no limit
    queue_s: float = 0.1  # what may wait for its turn; more is dropped
    mtu: int = 1500  # bytes
    control: str = "reno"  # how TCP takes a loss


@dataclass(slots=True)
class Gate:
    """Lets bytes through at a rate, after a queue of limited length."""

    rate: float
    queue_s: float
    free_at: float = 0.0

    def passes(self, now: float, size: int) -> float | None:
        """When a packet that comes now is through; None when the queue is full."""
        start = max(self.free_at, now)
        if start - now > self.queue_s:
            return None
        self.free_at = start + size / self.rate
        return self.free_at


@dataclass(slots=True)
class Way:
    """One direction."""

    line: Line
    out: int
    gate: Gate | None
    flows: dict[bytes, Gate] = field(default_factory=dict)

    def after_flow(self, now: float, packet: bytes) -> float | None:
        """When a packet gets out of its connection's own queue; None: never."""
        key = packet[12:24]  # addresses and ports, as nobody here sends IP options
        flow = self.flows.get(key)
        if flow is None:
            flow = self.flows[key] = Gate(self.line.flow_rate, self.line.queue_s)
        return flow.passes(now, len(packet))


class Carrier:
    """What is on its way, in the order in which it is due."""

    def __init__(self, line: Line, ends: tuple[int, int]) -> None:
        self._line, self._ends = line, ends
        gates = [Gate(line.rate, line.queue_s) if line.rate else None for _ in ends]
        self._ways = {ends[0]: Way(line, ends[1], gates[0]), ends[1]: Way(line, ends[0], gates[1])}
        self._due: list[tuple[float, int, Way, bytes, bool]] = []
        self._count = 0

    def run(self, until: int) -> None:
        """Carry until the descriptor `until` can be read."""
        watched = [*self._ends, until]
        while True:
            now = time.monotonic()
            wait_s = max(self._due[0][0] - now, 0.0) if self._due else 1.0
            for end in select.select(watched, [], [], wait_s)[0]:
                if end == until:
                    return
                self._take_in(end)
            self._send_due()

    def _take_in(self, end: int) -> None:
        way, loss, shaped = self._ways[end], self._line.loss, bool(self._line.flow_rate)
        try:
            for _ in range(_AT_ONCE):
                packet = os.read(end, _LONGEST)
                if loss and random.random() < loss:
                    continue
                now = time.monotonic()
                if not shaped:
                    self._enter(way, now, packet)
                elif (then := way.after_flow(now, packet)) is not None:
                    self._push(then, way, packet, last=False)
        except BlockingIOError:
            pass

    def _enter(self, way: Way, now: float, packet: bytes) -> None:
        """A packet comes to what all connections share."""
        through = now if way.gate is None else way.gate.passes(now, len(packet))
        if through is not None:
            self._push(through + self._line.rtt_s / 2, way, packet, last=True)

    def _push(self, when: float, way: Way, packet: bytes, *, last: bool) -> None:
        self._count += 1
        heapq.heappush(self._due, (when, self._count, way, packet, last))

    def _send_due(self) -> None:
        due, now = self._due, time.monotonic()
        while due and due[0][0] <= now:
            when, _, way, packet, last = heapq.heappop(due)
            if not last:
                self._enter(way, when, packet)
                continue
            with contextlib.suppress(BlockingIOError):
                os.write(way.out, packet)


def _end_of_line(line: Line, name: str, here: str, there: str) -> tuple[int, int]:
    """A new namespace with a TUN device in it: a descriptor of each. This process stays inside."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "network namespaces are forbidden here")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    for words in (
        ("addr", "add", here, "peer", there, "dev", name),
        ("link", "set", name, "up", "mtu", str(line.mtu), "txqueuelen", "10000"),
        ("link", "set", "lo", "up"),
    ):
        subprocess.run(("ip", *words), check=True, capture_output=True)
    for setting, value in (_SETTINGS | {"tcp_congestion_control": line.control}).items():
        Path("/proc/sys/net/ipv4", setting).write_text(value)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY), device


def main() -> None:
    """Say where the namespaces are, and carry; or say why there are none."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _URGENT)
    line = Line(**json.loads(sys.argv[1]))
    try:
        client, first = _end_of_line(line, "client", CLIENT, SERVER)
        server, second = _end_of_line(line, "server", SERVER, CLIENT)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return
    sys.stdout.write(json.dumps({"client": client, "server": server}) + "\n")
    sys.stdout.flush()
    Carrier(line, (first, second)).run(sys.stdin.fileno())


if __name__ == "__main__":
    main()
