"""Ending a network between two of its layers."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch.nn.modules.module import register_module_forward_pre_hook

from unet_engine.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from unet_engine.events import Stop


@contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """Poll ``stop`` before every layer that this thread runs.

    A tile of a wide network takes seconds on a CPU, one of its layers much less.

    Raises
    ------
    Cancelled
        When ``stop`` says True.
    """
    thread = threading.get_ident()

    def poll(module: nn.Module, inputs: Any) -> None:
        if threading.get_ident() == thread and stop():
            raise Cancelled("stopped within a tile; tiles that are finished are kept")

    hook = register_module_forward_pre_hook(poll)
    try:
        yield
    finally:
        hook.remove()
