"""The label images of one run, with what was chosen for them: facts, no decision."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from unet_engine.images.labels.choices import LabelValues, Unlabelled, Wording
    from unet_engine.images.labels.tallies import Tally

MOST_CLASSES = 16
"""Highest value that is taken for a class where nobody named the classes."""

FEWEST_OBJECTS = 4
"""Values of one piece each from which they are objects beside unlabelled pixels too."""

WHITE = (IGNORE, 2**16 - 1)
"""White of 8 and of 16 bits: the foreground of a mask, or not labelled."""


@dataclass(frozen=True, slots=True)
class Case:
    """The files of a run and the options for them."""

    tallies: tuple[Tally, ...]
    unlabelled: Unlabelled
    known: int | None
    segmented: bool
    wording: Wording

    def values(self, void: int | None) -> frozenset[int]:
        """Return the values that occur, the unlabelled one aside."""
        return frozenset().union(*(t.values(void) for t in self.tallies))

    def negative(self) -> int | None:
        """Return the unlabelled value that was named, or -1 if it occurs."""
        void = self.unlabelled if isinstance(self.unlabelled, int) else None
        negative = {v for v in self.values(void) if v < 0}
        if negative == {-1} and self.unlabelled == "auto":
            return -1
        if negative:
            name = next(
                t.name for t in self.tallies if min(t.values(void), default=0) < 0
            )
            only = min(negative) if len(negative) == 1 else None
            if void is None and only is not None:
                advice = f"{self.omit(only)} if these pixels are not labelled"
            else:
                advice = "renumber the labels from 0"
            raise DataError(
                f"{name} holds negative numbers down to {min(negative)}; labels start "
                f"at 0: {advice}"
            )
        return void

    def use(self, values: LabelValues) -> str:
        """Return the words by which the user chooses what the values are."""
        if values == "objects" and self.wording.objects:
            return self.wording.objects
        return self.wording.values.format(values)

    def omit(self, unlabelled: int | str) -> str:
        """Return the words by which the user names the value of unlabelled pixels."""
        return self.wording.unlabelled.format(unlabelled)

    def is_grey(self, void: int | None) -> bool:
        """Whether the values look like a mask that was resampled or compressed.

        Then most of what is not nearly black is nearly white, and what is between lies
        at the rims.
        """
        pixels: Counter[int] = sum((t.pixels for t in self.tallies), Counter())
        counts = {v: n for v, n in pixels.items() if v != void}
        highest = max(counts)
        several = any(len(t.values(void) - {0}) > 1 for t in self.tallies)
        bright = sum(n for v, n in counts.items() if v > 0.75 * highest)
        visible = sum(n for v, n in counts.items() if v > 0.1 * highest)
        return several and highest > MOST_CLASSES and 2 * bright > visible
