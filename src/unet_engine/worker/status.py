"""What a worker is."""

from __future__ import annotations

from importlib import import_module

from unet_engine.versions import VERSION, versions_of_work_elsewhere


def describe() -> dict[str, str]:
    """Return version and device, as of a ``WorkerInfo``."""
    from unet_engine.compute.devices import choose_device

    # What the first prediction needs is read while the line is made.
    import_module("unet_engine.worker.prediction")
    return {
        "version": VERSION,
        "device": choose_device("auto"),
    }


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that work depends on."""
    return versions_of_work_elsewhere()
