"""What a worker is."""

from __future__ import annotations

from unet_engine.versions import VERSION


def describe() -> dict[str, str]:
    """Return version and device, as of a ``WorkerInfo``."""
    from unet_engine.compute.devices import choose_device

    return {
        "version": VERSION,
        "device": choose_device("auto"),
    }
