"""``sought``: a line that broke is tried again for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from unet_engine.errors import Cancelled, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.stopping import Stop

T = TypeVar("T")

_RETRY_S = 1.0
"""Seconds between two trials."""

_POLL_S = 0.05
"""Seconds between two looks at whether a run is to stop."""


def sought(attempt: Callable[[Stop], T], seconds: float, stop: Stop) -> T | None:
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

    Raises
    ------
    Cancelled
        When ``stop`` returned True.
    """
    until = time.monotonic() + seconds

    def ended() -> bool:
        return stop() or time.monotonic() > until

    while time.monotonic() < until:
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
