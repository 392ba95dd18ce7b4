"""Two hosts on this machine and a slow line between them, for benchmarks. Linux, root.

Each host is a network namespace with a TUN device. A process reads the packets of each
side and writes them to the other one after the time that the line takes, one after the
other, and loses some; so TCP finds what it finds on a true line. A kernel with netem
does the same, but many have none.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NEAR, FAR = "10.77.0.1", "10.77.0.2"
"""Addresses of the two hosts, in a network of their own."""
_HOSTS = {"unet-near": NEAR, "unet-far": FAR}
"""Their namespaces."""
_TUNSETIFF = 0x400454CA
"""Of linux/if_tun.h: names a TUN device."""
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
"""Of the same: packets of IP, without a header before them."""
_CLONE_NEWNET = 0x40000000
"""Of sched.h: a namespace of networks."""
_QUEUED_BYTES = 2**18
"""Bytes that wait for the line before packets are lost, as in a usual router: a tenth
of a second at 20 Mbit/s."""


@dataclass(frozen=True)
class Line:
    """Two hosts and the line between them."""

    shaper: subprocess.Popen[bytes]

    def near(self, *command: str) -> list[str]:
        """Return a command as the first host runs it."""
        return ["ip", "netns", "exec", "unet-near", *command]

    def far(self, *command: str) -> list[str]:
        """Return a command as the second host runs it."""
        return ["ip", "netns", "exec", "unet-far", *command]

    def cut(self) -> None:
        """Let no packet through any more."""
        self.shaper.send_signal(signal.SIGUSR1)

    def mend(self) -> None:
        """Let packets through again."""
        self.shaper.send_signal(signal.SIGUSR2)


@contextmanager
def emulated_line(
    *, round_trip_s: float = 0.02, bits_per_s: float = 20e6, loss: float = 0.01
) -> Iterator[Line]:
    """Make two hosts with a line between them, and remove them at the end.

    Parameters
    ----------
    round_trip_s
        Of a small packet, both ways together.
    bits_per_s
        In each direction.
    loss
        Share of the packets that are lost, in each direction.
    """
    _remove()
    for host in _HOSTS:
        subprocess.run(["ip", "netns", "add", host], check=True)
    values = round_trip_s / 2, bits_per_s, loss
    shaper = subprocess.Popen([sys.executable, __file__, *map(str, values)])
    try:
        time.sleep(1)
        for host, address in _HOSTS.items():
            for words in (
                f"addr add {address}/24 dev t0",
                "link set t0 mtu 1400 up",
                "link set lo up",
            ):
                subprocess.run(["ip", "-n", host, *words.split()], check=True)
        yield Line(shaper)
    finally:
        shaper.kill()
        shaper.wait()
        _remove()


def _remove() -> None:
    for host in _HOSTS:
        subprocess.run(["ip", "netns", "del", host], check=False, capture_output=True)


def _open_tun(host: str) -> int:
    """Return a TUN device in a namespace, which the caller is in afterwards."""
    with Path("/var/run/netns", host).open() as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {host}; run it as root")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH", b"t0", _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(device, _TUNSETIFF, request)
    return device


class _Shaper:
    """Carries packets from each side to the other one."""

    def __init__(self, delay_s: float, bits_per_s: float, loss: float) -> None:
        self._delay, self._rate, self._loss = delay_s, bits_per_s / 8, loss
        self._random = random.Random(0)
        self._cut = False
        self._sides = [_open_tun(host) for host in _HOSTS]
        self._free_at = [0.0, 0.0]
        self._coming: list[tuple[float, int, int, bytes]] = []
        self._count = 0
        signal.signal(signal.SIGUSR1, lambda *_: self._set(cut=True))
        signal.signal(signal.SIGUSR2, lambda *_: self._set(cut=False))

    def _set(self, *, cut: bool) -> None:
        self._cut = cut

    def run(self) -> None:
        """Carry packets for ever."""
        while True:
            wait = self._coming[0][0] - time.monotonic() if self._coming else 1.0
            ready, _, _ = select.select(self._sides, [], [], max(0.0, wait))
            for device in ready:
                self._take(self._sides.index(device))
            self._deliver()

    def _take(self, side: int) -> None:
        for _ in range(64):
            try:
                packet = os.read(self._sides[side], 65535)
            except BlockingIOError:
                return
            now = time.monotonic()
            waiting = max(0.0, self._free_at[side] - now) * self._rate
            lost = self._random.random() < self._loss
            if self._cut or lost or waiting > _QUEUED_BYTES:
                continue
            leaves = max(now, self._free_at[side]) + len(packet) / self._rate
            self._free_at[side] = leaves
            self._count += 1
            arrival = leaves + self._delay
            heapq.heappush(self._coming, (arrival, self._count, 1 - side, packet))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._coming and self._coming[0][0] <= now:
            *_, side, packet = heapq.heappop(self._coming)
            if not self._cut:
                try:
                    os.write(self._sides[side], packet)
                except OSError:
                    # The device is not up yet.
                    continue


if __name__ == "__main__":
    _Shaper(*map(float, sys.argv[1:4])).run()
