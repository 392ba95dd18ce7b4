"""Ending a network between two of its layers."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from unet_engine.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from unet_engine.stopping import Stop


_stops: ContextVar[tuple[Stop, ...]] = ContextVar("stops", default=())
"""Those of the `interruptible` around the current call, the outermost first. Of this
thread only: a new thread begins without any."""


def poll() -> None:
    """Poll the ``stop`` of each `interruptible` around this call.

    Raises
    ------
    Cancelled
        When one of them returns True.
    """
    if any(stop() for stop in _stops.get()):
        raise Cancelled("stopped within a tile; tiles that are finished are kept")


def poll_before_layers(network: nn.Module) -> None:
    """Make a network poll before each of its layers; other networks do not.

    A tile of a wide network takes seconds on a CPU, one of its layers much less.
    """

    def before_layer(layer: nn.Module, inputs: Any) -> None:
        poll()

    for layer in network.modules():
        layer.register_forward_pre_hook(before_layer)


@contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """Poll ``stop``, and those around it, whenever this thread calls `poll`.

    Networks do between two layers and two blocks, once `poll_before_layers` prepared
    them.

    Raises
    ------
    Cancelled
        When ``stop``, or one around it, returns True.
    """
    token = _stops.set((*_stops.get(), stop))
    try:
        yield
    finally:
        _stops.reset(token)
