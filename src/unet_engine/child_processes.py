"""Processes that work for this one: Ctrl-C is for this one alone, which ends them.

A terminal sends it to every process that was started from it. One that works for
another would end in the middle of its work, with a traceback.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from multiprocessing import resource_tracker
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def out_of_terminal() -> dict[str, Any]:
    """Return what ``subprocess.Popen`` starts a process with that Ctrl-C spares.

    Nor does the end of the terminal end it: it is for one that ends when its standard
    input does.
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def with_spared_processes(work: Callable[[], T]) -> T:
    """Call a function; Ctrl-C spares the processes that it starts, then or later.

    It is called in a thread that blocks the signal, which threads and processes take
    over from the one that starts them. What it raises is raised here.
    """
    ended: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        if sys.platform != "win32":
            # The first process of multiprocessing starts it, which lifts the block.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            ended.put((work(), None))
        except BaseException as error:  # noqa: BLE001  # raised by who waits
            ended.put((None, error))

    # Who interrupts the wait is not held up by it.
    Thread(target=run, name="unet-spared", daemon=True).start()
    result, error = ended.get()
    if error is not None:
        raise error
    found: T = result
    return found
