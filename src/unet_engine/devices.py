"""Names of the devices a network runs on, and of its precisions. No torch.

A device is one of this machine, ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:1``;
some processes of this machine, ``local:2``; or workers elsewhere,
``tcp://host:8786``.
"""

from __future__ import annotations

import re
from typing import Literal

from unet_engine.errors import SpecError

Device = str
"""As ``checked_device`` returns it."""

Precision = Literal["full", "half"]

USUAL_DEVICES = ("auto", "cpu", "cuda", "mps")
"""Devices of any machine, for lists to choose from."""

_OF_THIS_MACHINE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
_PROCESSES = re.compile(r"local:([1-9]\d{0,2})")
_WORKERS = re.compile(
    r"(?:tcp|tls)://(?:[^@/]*@)?(\[[0-9a-fA-F:]+\]|[^:/@\[\]\s]+):(\d+)/?"
)
_TOKEN = re.compile(r"(tcp|tls)://([^@/]*)@(.*)", re.DOTALL)
_SECRET = re.compile(r"[\w-]*@|[\w-]{43,}")
"""What may be a token in a text that is no address."""

_tokens: dict[tuple[str, int], str] = {}
"""Tokens of addresses that this process was given, by host and port."""

_CHOICES_HERE = "auto, cpu, cuda, cuda:1 or mps"
"""What a device of this machine may be, for messages."""

CHOICES = (
    "auto, cpu, cuda, cuda:1, mps, local:2 for two processes of this machine, or "
    "tcp://host:port as napari-unet worker prints it"
)
"""What a device may be, for messages."""


def checked_device(device: str) -> Device:
    """Check that a text names a device, whether or not it is there.

    Returns
    -------
    str
        The device. The token in an address is kept by this process and is not in it, so
        that none gets into a configuration, a log or a script.

    Raises
    ------
    SpecError
        When it does not; lists what would.
    """
    if _OF_THIS_MACHINE.fullmatch(device) or _PROCESSES.fullmatch(device):
        return device
    found = _WORKERS.fullmatch(device)
    device, token = split_token(device)
    if found is None or not 0 < int(found[2]) < 2**16:
        shown = _SECRET.sub("…", device)
        if is_remote(device) and "://" in device:
            raise SpecError(
                f"{shown!r} has no host or no port from 1 to 65535; use "
                "tcp://host:port, as napari-unet worker prints it"
            )
        raise SpecError(f"there is no device {shown!r}; use {CHOICES}")
    if token:
        _tokens[host_and_port(device)] = token
    return device


def device_of_this_machine(device: str) -> Device:
    """Check that a text names a device that computes in this process.

    Raises
    ------
    SpecError
        When it does not; lists what would.
    """
    if _OF_THIS_MACHINE.fullmatch(device):
        return device
    shown = _SECRET.sub("…", split_token(device)[0])
    raise SpecError(
        f"there is no device {shown!r} of this machine; use {_CHOICES_HERE}"
    )


def given_token(device: Device) -> str:
    """Return the token that this process was given for an address, or ``""``."""
    return _tokens.get(host_and_port(device), "")


def is_remote(device: Device) -> bool:
    """Whether other processes compute, on this machine or elsewhere."""
    return device.startswith(("local:", "tcp://", "tls://"))


def process_count(device: Device) -> int:
    """Return how many processes of this machine a device is; 0 for another one."""
    found = _PROCESSES.fullmatch(device)
    return int(found[1]) if found else 0


def host_and_port(device: Device) -> tuple[str, int]:
    """Return where the scheduler of workers listens.

    Raises
    ------
    SpecError
        When the device is another one.
    """
    found = _WORKERS.fullmatch(device)
    if found is None:
        raise SpecError(f"{device!r} is no address; use tcp://host:port")
    return found[1].strip("[]"), int(found[2])


def split_token(device: str) -> tuple[str, str]:
    """Return an address, whole or not, without its token, and the token or ``""``."""
    found = _TOKEN.fullmatch(device)
    return (f"{found[1]}://{found[3]}", found[2]) if found else (device, "")
