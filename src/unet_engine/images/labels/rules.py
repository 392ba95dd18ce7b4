"""What label values mean: the rule that a run follows, and its description."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from unet_engine.images.labels.tallies import whole_numbers
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

Meaning = Literal["classes", "objects", "mask"]

_SHOWN = 6
"""Values that a message or line names before it gives only the first and the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRule:
    """What the values of all label images of a run mean.

    Attributes
    ----------
    meaning
        ``classes``: a value is a class; ``objects``: a value is an object, and all of
        them the foreground; ``mask``: foreground or background.
    unlabelled
        The value of pixels that nobody labelled, if there is one.
    first
        The value of class 0.
    above
        Values above it are the foreground, unless they are classes.
    pixels
        Number of pixels of every value in all files of the run.
    notes
        What is odd about the files, one sentence each.
    """

    meaning: Meaning
    unlabelled: int | None = None
    first: int = 0
    above: int = 0
    pixels: Counter[int] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes that the values need, at least two."""
        if self.meaning != "classes":
            return 2
        highest = max(self.pixels.keys() - {self.unlabelled}, default=self.first)
        return max(2, highest - self.first + 1)

    def apply(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Turn label values into class ids, ``IGNORE`` where nobody labelled.

        Parameters
        ----------
        labels
            Whole numbers of any shape and type.

        Returns
        -------
        ndarray
            uint8 of the same shape.

        Raises
        ------
        DataError
            When a label is no whole number.
        """
        ids = whole_numbers(np.asarray(labels), "a label image")
        if self.meaning == "classes":
            found = (ids - self.first if self.first else ids).astype(np.uint8)
        else:
            found = (ids > self.above).astype(np.uint8)
        if self.unlabelled is not None:
            found[ids == self.unlabelled] = IGNORE
        return found

    def object_ids(
        self, labels: npt.NDArray[np.integer[Any]]
    ) -> npt.NDArray[np.integer[Any]] | None:
        """Return labels as object ids, 0 where nobody labelled; None if they are none.

        Parameters
        ----------
        labels
            Whole numbers of any shape and type.
        """
        if self.meaning != "objects":
            return None
        if self.unlabelled is None:
            return labels
        return np.where(labels == self.unlabelled, 0, labels)

    def unused(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return a sentence for each class of which no pixel is labelled."""
        if self.meaning != "classes":
            used = {int(v > self.above) for v in self.pixels if v != self.unlabelled}
        else:
            used = {v - self.first for v in self.pixels if v != self.unlabelled}
        if len(used) < 2:
            # Nothing can be learned at all, which is an error of its own.
            return ()
        return tuple(
            f"no pixel of the labels is {name!r} (class {number}), so nothing is "
            "learned of it; label some, or leave the class out"
            for number, name in enumerate(names)
            if number not in used
        )

    def describe(self, names: Sequence[str] = ()) -> str:
        """Return one line on what the values mean and how frequent they are.

        Parameters
        ----------
        names
            Of the classes.
        """
        names = names or default_names(self.classes)
        total = max(1, sum(self.pixels.values()))
        parts = [f"{what} {_share(count / total)}" for what, count in self._rows(names)]
        if self.unlabelled is not None:
            count = self.pixels[self.unlabelled]
            parts.append(f"{self.unlabelled} unlabelled {_share(count / total)}")
        return "labels: " + ", ".join(parts)

    def _rows(self, names: Sequence[str]) -> Iterable[tuple[str, int]]:
        counts = {v: n for v, n in self.pixels.items() if v != self.unlabelled}
        if self.meaning == "classes":
            values = sorted(counts.keys() | set(range(self.first, self._end(names))))
            for value in values:
                name = _class_name(value - self.first, names)
                yield f"{value} {name}", counts.get(value, 0)
            return
        low = sorted(v for v in counts if v <= self.above)
        high = sorted(v for v in counts if v > self.above)
        name = "foreground" if len(names) < 2 else names[1]
        what = f"{named(high)} {'object ids' if self.meaning == 'objects' else name}"
        background = _class_name(0, names)
        yield f"{named(low) or '0'} {background}", sum(counts[v] for v in low)
        yield what.strip(), sum(counts[v] for v in high)

    def _end(self, names: Sequence[str]) -> int:
        return self.first + max(len(names), 1)


def default_names(count: int) -> tuple[str, ...]:
    """Name classes that nobody named."""
    if count <= 2:
        return ("background", "foreground")
    return ("background", *(f"class {i}" for i in range(1, count)))


def _class_name(number: int, names: Sequence[str]) -> str:
    if 0 <= number < len(names):
        return names[number]
    return "background" if number == 0 else f"class {number}"


def named(values: Iterable[int]) -> str:
    """List values; of many the first and the last."""
    found = sorted(values)
    if len(found) > _SHOWN:
        return f"{found[0]} to {found[-1]}"
    return ", ".join(map(str, found))


def _share(share: float) -> str:
    if 0 < share < 0.01:
        return f"{max(share * 100, 0.01):.2g} %"
    return f"{share * 100:.0f} %"
