"""``local:N``: N processes of this machine that compute, started when first needed.

They are ``napari-unet worker`` in a process of its own, as anywhere else: no other way
starts processes alike from a window, a script, a notebook and a command. Its standard
input is a pipe from here, whose end, when this process ends in any way, ends it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

from unet_engine.child_processes import out_of_terminal
from unet_engine.devices import Device, checked_device
from unet_engine.errors import DeviceError
from unet_engine.remote.credentials import new_token, security_of

_started: dict[int, LocalWorkers] = {}
_lock = Lock()

_END_S = 10.0
"""Seconds in which processes end by themselves."""


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """Processes of this machine.

    Attributes
    ----------
    process
        The scheduler, whose children they are.
    device
        Its address.
    """

    process: subprocess.Popen[str]
    device: Device

    def close(self) -> None:
        """Close the pipes, which ends the processes where they still run."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def local_scheduler(count: int) -> Device:
    """Return the address of ``count`` processes of this machine; start them if need be.

    Raises
    ------
    DeviceError
        When they cannot be started.
    """
    most = max(2, os.cpu_count() or 1)
    if count > most:
        raise DeviceError(
            f"this machine has processors for {most} processes; use local:{most}, or "
            "fewer"
        )
    with _lock:
        known = _started.get(count)
        if known is not None and known.process.poll() is None:
            return known.device
        if known is not None:
            known.close()
        if not _started:
            atexit.register(stop_local_workers)
        _started[count] = _start(count)
        return _started[count].device


def stop_local_workers() -> None:
    """End all processes that were started here."""
    with _lock:
        for one in _started.values():
            one.close()
        for one in _started.values():
            try:
                one.process.wait(timeout=_END_S)
            except subprocess.TimeoutExpired:
                one.process.kill()
        _started.clear()


def _start(count: int) -> LocalWorkers:
    token = new_token()
    # Raises for what is missing before a process is started in vain.
    security_of(token)
    process = subprocess.Popen(
        [sys.executable, "-m", "unet_engine.worker", str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **out_of_terminal(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{token}\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise DeviceError(
            f"{count} processes could not be started (exit code {process.wait()}); run "
            "napari-unet doctor, or choose another device"
        )
    port = json.loads(line)["port"]
    return LocalWorkers(process, checked_device(f"tcp://{token}@127.0.0.1:{port}"))
