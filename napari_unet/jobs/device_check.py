"""What is found out about a device before a run: is it there, and what is it?

No Qt; the libraries of a connection are imported in the thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.jobs.job import load_torch
from unet_engine.devices import Device, process_count

if TYPE_CHECKING:
    from collections.abc import Generator

    from unet_engine.stopping import Stop


def device_check_run(device: Device, stop: Stop) -> Generator[None, None, str]:
    """Connect to the workers of a device, or see whether a GPU of this machine works.

    The token of workers that answer is kept for later programs.

    Returns
    -------
    str
        What is there, as a sentence; nothing for a device of this machine.

    Raises
    ------
    EngineError
        When it cannot be used; states what to do.
    """
    yield from ()
    from unet_engine.remote.connection import connect
    from unet_engine.remote.credentials import new_token, remember_token, security_of

    if count := process_count(device):
        # Raises for libraries that are not installed.
        security_of(new_token())
        noun = "process" if count == 1 else "processes"
        return f"{count} {noun} of this machine, started by the first prediction."
    if "://" in device:
        found = connect(device, stop).describe()
        remember_token(device)
        return f"Connected: {found}."
    load_torch()
    from unet_engine.compute.devices import choose_device

    choose_device(device)
    return ""
