"""How a run is stopped: a function that is polled. No torch."""

from collections.abc import Callable

Stop = Callable[[], bool]
"""Polled every tile or training step; ``True`` ends the run with what it has."""


def never() -> bool:
    """Never stop: the default of every run."""
    return False
