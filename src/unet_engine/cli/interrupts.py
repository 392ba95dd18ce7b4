"""Ctrl-C, or the end of a job's time, that lets a run end well."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from unet_engine.stopping import Stop

INTERRUPTED = 130
"""Exit code after Ctrl-C without a result, as shells have it: 128 + SIGINT."""


@contextmanager
def stop_on_interrupt(advice: str) -> Iterator[Stop]:
    """Make ``stop`` return True at the first Ctrl-C; the second one interrupts.

    So does SIGTERM, which a cluster sends to a job whose time is over.

    Parameters
    ----------
    advice
        Printed to stderr at the first Ctrl-C.
    """
    pressed = threading.Event()

    def press(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()
        # Not ``print``: a handler must not enter a stream that is just being written.
        os.write(2, f"\n{advice}\n".encode())

    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    previous = {n: signal.signal(n, press) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pressed.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
