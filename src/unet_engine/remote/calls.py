"""The functions of ``unet_engine.worker``, by name: they are imported where they run.

What calls a worker lies below what a worker runs, which uses all of the engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def call(name: str, *arguments: Any) -> Any:
    """Call a function of ``unet_engine.worker``.

    Parameters
    ----------
    name
        Module and function, such as ``"prediction.predict_tile"``.
    *arguments
        What it takes.
    """
    module, _, function = name.partition(".")
    return getattr(import_module(f"unet_engine.worker.{module}"), function)(*arguments)


async def call_aside(name: str, *arguments: Any) -> Any:
    """Call a function in a thread of its own, so that the worker goes on answering."""
    import asyncio

    return await asyncio.to_thread(call, name, *arguments)
