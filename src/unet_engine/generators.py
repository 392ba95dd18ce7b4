"""Runs are generators: they yield events while they work, and return their result.

No torch.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

Event = TypeVar("Event")
Result = TypeVar("Result")


def discard(event: object) -> None:
    """Do nothing with an event."""


def drain(
    run: Generator[Event, None, Result],
    on_event: Callable[[Event], object] = discard,
) -> Result:
    """Run a generator to its end.

    Parameters
    ----------
    run
        Of a prediction, a training, or the like.
    on_event
        Called with every event, in the thread that calls this.

    Returns
    -------
    Result
        What the generator returns.

    Raises
    ------
    Exception
        Whatever the generator or ``on_event`` raises; the generator is closed then.
    """
    with closing(run):
        while True:
            try:
                event = next(run)
            except StopIteration as end:
                result: Result = end.value
                return result
            on_event(event)
