"""``NumberSet``: whole numbers, kept as the ranges that they make up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Set

__all__ = ["NumberSet"]


class NumberSet(Set[int]):
    """A set of whole numbers that takes as much memory as it has gaps.

    The finished tiles of a run are nearly all from the first to the last one.

    Parameters
    ----------
    ranges
        Pairs of a first number and the one after the last, in any order.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in ranges:
            self.add_range(start, stop)

    @property
    def ranges(self) -> Iterator[tuple[int, int]]:
        """Pairs of a first number and the one after the last, in their order."""
        return zip(self._starts, self._stops, strict=True)

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        place = bisect_right(self._starts, number) - 1
        return place >= 0 and number < self._stops[place]

    def __iter__(self) -> Iterator[int]:
        for start, stop in self.ranges:
            yield from range(start, stop)

    def __len__(self) -> int:
        return sum(self._stops) - sum(self._starts)

    def add(self, number: int) -> None:
        """Add a number."""
        self.add_range(number, number + 1)

    def add_range(self, start: int, stop: int) -> None:
        """Add the numbers from ``start`` to before ``stop``."""
        if start >= stop:
            return
        # Those that it touches become one.
        first = bisect_right(self._starts, start) - 1
        if first < 0 or self._stops[first] < start:
            first += 1
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._starts[first:last] = [start]
        self._stops[first:last] = [stop]

    def discard(self, number: int) -> None:
        """Take a number out, if it is there."""
        place = bisect_right(self._starts, number) - 1
        if number not in self:
            return
        start, stop = self._starts[place], self._stops[place]
        parts = [(start, number), (number + 1, stop)]
        kept = [(low, high) for low, high in parts if low < high]
        self._starts[place : place + 1] = [low for low, _ in kept]
        self._stops[place : place + 1] = [high for _, high in kept]
