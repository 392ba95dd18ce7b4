"""``iter_sought``: a line that broke is tried again for a while."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from unet_engine.errors import Cancelled, EngineError
from unet_engine.generators import drain

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from unet_engine.devices import Device
    from unet_engine.stopping import Stop

T = TypeVar("T")

_RETRY_S = 1.0
"""Seconds between two trials."""

FIND_AGAIN_S = 20.0
"""Seconds for which predictions try a line that broke again: then this machine goes on,
and a batch that is between two images ends."""

_POLL_S = 0.05
"""Seconds between two looks at whether a run is to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnecting:
    """A line was lost in the midst of a run, and is tried again.

    Attributes
    ----------
    device
        To whose workers.
    seconds
        For which it is tried from now on; then this machine goes on.
    done, total
        As of the tile before.
    """

    device: Device
    seconds: float
    done: int
    total: int

    def describe(self) -> str:
        """Return what happens, for the user."""
        return (
            f"The connection to {self.device} was lost; trying again for "
            f"{self.seconds:.0f} s…"
        )


def iter_sought(
    attempt: Callable[[Stop], T], seconds: float, stop: Stop
) -> Generator[float, None, T | None]:
    """Return what an attempt returns at last; None when none works in time.

    Parameters
    ----------
    attempt
        Makes the line; what it is given returns True after a stop, or when the time is
        over.
    seconds
        For which it is tried again.
    stop
        Polled meanwhile.

    Yields
    ------
    float
        Seconds that are left, before each attempt.

    Raises
    ------
    Cancelled
        When ``stop`` returned True.
    """
    until = time.monotonic() + seconds

    def ended() -> bool:
        return stop() or time.monotonic() > until

    while (left := until - time.monotonic()) > 0:
        yield left
        try:
            return attempt(ended)
        except Cancelled:
            if stop():
                raise
            return None
        except EngineError:
            again = time.monotonic() + _RETRY_S
            while time.monotonic() < again:
                if stop():
                    raise Cancelled("stopped") from None
                time.sleep(_POLL_S)
    return None


def sought(attempt: Callable[[Stop], T], seconds: float, stop: Stop) -> T | None:
    """Return what an attempt returns at last, as `iter_sought` does."""
    return drain(iter_sought(attempt, seconds, stop))
