"""A device that the user named: whether it is there, and the versions on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.compute.devices import choose_device
from unet_engine.devices import Device, is_remote
from unet_engine.doctor.finding import Finding
from unet_engine.errors import DeviceError, EngineError
from unet_engine.remote.connection import connect, is_connected
from unet_engine.stopping import never
from unet_engine.versions import VERSION, versions_of_work_elsewhere

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unet_engine.remote.connection import Connection


def device_finding(device: Device) -> Finding:
    """Return whether a device can be used; of workers, what they are.

    Parameters
    ----------
    device
        As ``checked_device`` returns it, so without a token.
    """
    try:
        if is_remote(device):
            return _of_workers(connect(device, never))
        choose_device(device)
    except EngineError as error:
        # The part after the first semicolon is what to do, as in all messages.
        text, _, advice = str(error).partition("; ")
        return Finding(
            area="devices", state="broken", text=f"{device}: {text}", advice=advice
        )
    return Finding(area="devices", state="ok", text=f"{device} works")


def _of_workers(connection: Connection) -> Finding:
    here = versions_of_work_elsewhere()
    answers = connection.ask("status.libraries", stop=never)
    # Usually all of them are of one installation.
    there = list(dict.fromkeys(map(_listed, answers.values())))
    text = (
        f"{connection.device}: {connection.describe()}, napari-unet-finetune {VERSION} "
        f"as here; there {' and '.join(there)}; here {_listed(here)}"
    )
    line = "distributed"
    if all(versions.get(line) == here[line] for versions in answers.values()):
        return Finding(area="devices", state="ok", text=text)
    return Finding(
        area="devices",
        state="note",
        text=text,
        advice=f"if work there fails, pip install {line}=={here[line]} there",
    )


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def check_line(device: Device) -> None:
    """Make sure that it was the workers that did the work, and not this machine.

    Raises
    ------
    DeviceError
        When the line to them broke meanwhile.
    """
    if is_remote(device) and not is_connected(device):
        raise DeviceError(
            f"the connection to {device} was lost, and this machine did the work"
        )
