"""Ending a network between two of its layers."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch.nn.modules.module import register_module_forward_pre_hook

from unet_engine.errors import Cancelled
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from unet_engine.stopping import Stop


_running = threading.local()


def poll() -> None:
    """Ask the ``stop`` of the `interruptible` around this call, if there is one.

    Raises
    ------
    Cancelled
        When it says True.
    """
    stop: Stop = getattr(_running, "stop", never)
    if stop():
        raise Cancelled("stopped within a tile; tiles that are finished are kept")


@contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """Poll ``stop`` before every layer, and after every block, that this thread runs.

    A tile of a wide network takes seconds on a CPU, one of its layers much less.

    Raises
    ------
    Cancelled
        When ``stop`` says True.
    """
    thread = threading.get_ident()

    def before_layer(module: nn.Module, inputs: Any) -> None:
        if threading.get_ident() == thread:
            poll()

    hook = register_module_forward_pre_hook(before_layer)
    _running.stop = stop
    try:
        yield
    finally:
        del _running.stop
        hook.remove()
