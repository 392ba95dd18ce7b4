"""The processes of a device ``local:N``, as tests end them and compute like them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import torch

from unet_engine.remote.connection import Connection, LineLostError
from unet_engine.remote.local_workers import _started

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized
    from typing import Any

    import pytest


def workers_of(count: int) -> list[psutil.Process]:
    """Return the processes of ``local:COUNT`` that compute."""
    scheduler = psutil.Process(_started[count].process.pid)
    return [
        child
        for child in scheduler.children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]


def end_scheduler_of(count: int) -> None:
    """Kill the scheduler of ``local:COUNT``, and with it all that compute."""
    process = _started[count].process
    process.kill()
    process.wait()


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    """Compute with as many threads as a process of ``local:COUNT`` has.

    Their number decides the last bits.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
    yield
    torch.set_num_threads(before)


def lose_line_of_training(monkeypatch: pytest.MonkeyPatch, lost: Sized) -> None:
    """Break the line at each look at a training, once ``lost`` holds anything."""
    ask = Connection.ask

    def breaking(self: Connection, name: str, *arguments: Any, **rest: Any) -> Any:
        if name == "training.news" and lost:
            raise LineLostError("the connection was lost")
        return ask(self, name, *arguments, **rest)

    monkeypatch.setattr(Connection, "ask", breaking)
