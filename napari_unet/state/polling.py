"""Images that are read and locks that are waited for until a run is to stop."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unet_engine.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import RLock

    from unet_engine.images import Image
    from unet_engine.stopping import Stop

_POLL_S = 0.02
"""Seconds between two looks at whether a run is to stop."""


class _Polled:
    """An array-like that polls ``stop`` before each reading."""

    def __init__(self, data: Any, stop: Stop) -> None:
        self.shape, self.dtype = data.shape, data.dtype
        self._data, self._stop = data, stop

    def __getitem__(self, key: Any) -> Any:
        if self._stop():
            raise Cancelled("the run was stopped")
        return self._data[key]


def polled(image: Image, stop: Stop) -> Image:
    """Return an image that polls ``stop`` before each reading, and raises Cancelled."""
    return replace(image, data=_Polled(image.data, stop))


@contextmanager
def locked(lock: RLock, stop: Stop) -> Iterator[None]:
    """Hold a lock that another job may have.

    Raises
    ------
    Cancelled
        When ``stop`` returned True while it was waited for.
    """
    while not lock.acquire(timeout=_POLL_S):
        if stop():
            raise Cancelled("the run was stopped")
    try:
        yield
    finally:
        lock.release()
