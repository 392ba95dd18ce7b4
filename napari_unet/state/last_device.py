"""Which device was chosen last in any window, for those who want to begin with it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import platformdirs

from unet_engine.devices import Device, checked_device
from unet_engine.errors import DataError, SpecError
from unet_engine.files.atomic import whole_file

if TYPE_CHECKING:
    from pathlib import Path

LAST_USED = "last used"
"""What napari's preferences have in place of a device."""


def keep_device(device: Device) -> None:
    """Keep a device, which has no token in it; where nothing can be kept, nothing is.

    Parameters
    ----------
    device
        As ``checked_device`` returns it.
    """
    with suppress(OSError, DataError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        with whole_file(_file()) as temporary:
            temporary.write_text(f"{device}\n", encoding="utf-8")


def last_device() -> Device:
    """Return the device that was kept last, ``auto`` where there is none."""
    try:
        return checked_device(_file().read_text(encoding="utf-8").strip())
    except (OSError, ValueError, SpecError):
        return "auto"


def _file() -> Path:
    return platformdirs.user_config_path("napari-unet-finetune", False) / "device.txt"
