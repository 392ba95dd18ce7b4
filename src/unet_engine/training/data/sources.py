"""Where a training gets what it learns from: at its start, or while it runs too."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@runtime_checkable
class Source(Protocol[T_co]):
    """Images or pairs that may become more, fewer or others while a training runs."""

    def poll(self) -> Sequence[T_co] | None:
        """Return all of them where any has changed since the last call, else None.

        The first call returns those of the start. Called in the thread that trains,
        before every step.
        """


class Latest(Source[T]):
    """What one thread posts last, for a training in another one.

    Parameters
    ----------
    first
        For the start of the training.
    """

    def __init__(self, first: Sequence[T]) -> None:
        self._lock = Lock()
        self._posted: Sequence[T] | None = first

    def post(self, latest: Sequence[T]) -> None:
        """Replace all; nothing of it may change afterwards: post copies of strokes."""
        with self._lock:
            self._posted = latest

    def poll(self) -> Sequence[T] | None:
        """Return what was posted last, once."""
        with self._lock:
            posted, self._posted = self._posted, None
        return posted
