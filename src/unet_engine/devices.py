"""Names of the devices a network runs on, and of its precisions. No torch.

A device is one of this machine, ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:1``;
some processes of this machine, ``local:2``; or workers elsewhere,
``tcp://host:8786``.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Literal

from unet_engine.errors import SpecError

Device = str
"""As ``checked_device`` returns it."""

Precision = Literal["full", "half"]

USUAL_DEVICES = ("auto", "cpu", "cuda", "mps")
"""Devices of any machine, for lists to choose from."""

_OF_THIS_MACHINE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")
_PROCESSES = re.compile(r"local:([1-9][0-9]{0,2})")
_WORKERS = re.compile(
    r"((?:tcp|tls)://)(?:[^@/]*@)?(\[[0-9a-fA-F:.]+\]|[^:/@\[\]\s]+):([0-9]{1,9})/?",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"(tcp|tls)://([^@/]*)@(.*)", re.DOTALL | re.IGNORECASE)
_SECRET = re.compile(r"[\w-]*@|[\w-]{43,}")
"""What may be a token in a text that is no address."""

_TOKENS_IN_TEXT = re.compile(r"((?:tcp|tls):/{1,2})(?!TOKEN@)[\w-]+@", re.I)
"""Also of an address whose slashes a path has folded; not the word of an advice."""

_TOKEN_AS_HOST = re.compile(r"(?=.*[A-Z_])[\w-]{43,}.*")
"""A host before which the @ lacks: names of machines have no capital letters there."""

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
        The device, in small letters, without spaces around it. The token in an address
        is kept by this process and is not in it, so that none gets into a
        configuration, a log or a script.

    Raises
    ------
    SpecError
        When it does not; lists what would.
    """
    # Of a pasted line.
    device = device.strip()
    if _OF_THIS_MACHINE.fullmatch(device) or _PROCESSES.fullmatch(device):
        return device
    found = _WORKERS.fullmatch(device)
    whole, (device, token) = device, split_token(device)
    if found is None or not _is_place(found[2], int(found[3])):
        shown = _SECRET.sub("…", device)
        if is_remote(whole.lower()) and "://" in whole:
            raise SpecError(
                f"{shown!r} has no host or no port from 1 to 65535; use "
                "tcp://host:port, as napari-unet worker prints it"
            )
        raise SpecError(f"there is no device {shown!r}; use {CHOICES}")
    device = f"{found[1]}{found[2]}:{int(found[3])}".lower()
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


def _is_place(host: str, port: int) -> bool:
    """Whether a host may be one, in brackets if it is IPv6, and a port."""
    if _TOKEN_AS_HOST.fullmatch(host) or not 0 < port < 2**16:
        return False
    try:
        if host.startswith("["):
            IPv6Address(host.strip("[]"))
        else:
            # As Python does before it looks a name up: no part is empty or too long.
            host.encode("idna")
    except ValueError:
        return False
    return True


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
    return found[2].strip("[]"), int(found[3])


def written_place(host: str, port: int) -> str:
    """Return host and port as they are in an address: IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def without_tokens(text: str) -> str:
    """Return a text in which no address has a token, for what is shown or logged."""
    return _TOKENS_IN_TEXT.sub(r"\1…@", text)


def split_token(device: str) -> tuple[str, str]:
    """Return an address, whole or not, without its token, and the token or ``""``."""
    found = _TOKEN.fullmatch(device)
    return (f"{found[1]}://{found[3]}", found[2]) if found else (device, "")
