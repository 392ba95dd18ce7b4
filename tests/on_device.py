"""Runs the tests on another device: what asks for the CPU computes there instead.

``UNET_TEST_DEVICE=cuda scripts/test tests/engine`` on a machine with a GPU. With
``pretended`` it is one that is not there, see ``pretended_gpu``. Tests of the CPU
itself, or of what a GPU does not promise, are marked ``cpu`` and left out.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING

from unet_engine.compute import devices

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

DEVICE = os.environ.get("UNET_TEST_DEVICE", "cpu")
"""``cpu``, ``cuda``, ``mps`` or ``pretended``."""


def replace_cpu() -> None:
    """Let other modules find another device for the CPU, once they are imported."""
    if DEVICE == "cpu":
        return
    place = DEVICE
    if DEVICE == "pretended":
        place = "cuda"
        probe = devices._works.__wrapped__
        devices._works = cache(lambda device: device == "cuda")
        devices._works.__wrapped__ = probe
    choose_device = devices.choose_device
    devices.choose_device = lambda device="auto": choose_device(
        place if device == "cpu" else device
    )


def at_device() -> AbstractContextManager[None]:
    """Return the surroundings of a test."""
    if DEVICE != "pretended":
        return nullcontext()
    from pretended_gpu import pretended_gpu

    return pretended_gpu()
