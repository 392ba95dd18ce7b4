"""Threads that compute blocks of a map, each on one core."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import torch

from unet_engine.compute.interruption import poll

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


class Workers:
    """As many threads as torch would use for one operation.

    torch by itself gives every operation to all threads and waits for the slowest
    after each; blocks need no waiting, and stay in the cache of one core.

    Attributes
    ----------
    count
        Number of threads.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="unet-block")
        _use_one_core_each(self._pool, count)

    @classmethod
    def get(cls) -> Workers:
        """Return the threads of this process, made at the first call."""
        return _workers(torch.get_num_threads())

    def map(self, work: Callable[[T], None], parts: Sequence[T]) -> None:
        """Do all parts of a work; return when they are done.

        Raises
        ------
        Cancelled
            When the surrounding ``interruptible`` is to end; parts that no thread has
            begun are left out.
        """

        def run(part: T) -> None:
            with torch.inference_mode():
                work(part)

        futures = [self._pool.submit(run, part) for part in parts]
        try:
            for future in futures:
                future.result()
                poll()
        finally:
            for future in futures:
                future.cancel()
            # A thread that goes on would write into memory that is used again.
            wait(futures)


@cache
def _workers(count: int) -> Workers:
    return Workers(count)


def _use_one_core_each(pool: ThreadPoolExecutor, count: int) -> None:
    started = threading.Barrier(count + 1)

    def start() -> None:
        torch.set_num_threads(1)
        started.wait()

    threads = torch.get_num_threads()
    for _ in range(count):
        pool.submit(start)
    started.wait()
    # The number is of the thread that sets it, and of threads that are made later.
    torch.set_num_threads(threads)
