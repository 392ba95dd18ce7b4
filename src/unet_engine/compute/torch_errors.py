"""Torch's errors as errors of the engine, each in one line that names what to do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from unet_engine.errors import EngineError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""Parts of messages by which torch reports it, where it has no exception for it."""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn torch's ``RuntimeError`` and numpy's ``MemoryError`` into the engine's own.

    Raises
    ------
    OutOfMemoryError
        When a device or the machine ran out of memory.
    EngineError
        For everything else that torch reports.
    """
    try:
        yield
    except MemoryError as error:
        raise OutOfMemoryError(_memory_advice("memory", error)) from error
    except RuntimeError as error:
        if _is_out_of_memory(error):
            place = "CPU memory" if "CPU" in str(error) else "GPU memory"
            raise OutOfMemoryError(_memory_advice(place, error)) from error
        raise EngineError(
            f"torch could not compute this: {first_line(error)}; "
            "if it ran on a GPU, choose the device cpu"
        ) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(
        phrase in str(error) for phrase in _OUT_OF_MEMORY
    )


def _memory_advice(place: str, error: BaseException) -> str:
    return (
        f"not enough {place}; use smaller tiles or crops, a smaller batch, "
        f"or close other programs ({first_line(error)})"
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, at most 200 letters of it."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
