"""Pixels counted by true and predicted class, and the scores that follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.errors import DataError
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterable


class Confusion:
    """Count truth against prediction over any number of images.

    Parameters
    ----------
    classes
        Number of classes, background included.

    Attributes
    ----------
    counts
        ``(classes, classes)`` int64: pixels by true class (row) and predicted class
        (column). Pixels whose truth is ``IGNORE`` are left out.
    """

    def __init__(self, classes: int) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((classes, classes), np.int64)

    def add(
        self, truth: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer]
    ) -> None:
        """Count the pixels of one image.

        Parameters
        ----------
        truth, predicted
            Integer class ids of one shape, which may be any; pixels that are
            ``IGNORE`` in ``truth`` are left out.

        Raises
        ------
        DataError
            When the shapes differ or a class id is not below ``classes``.
        """
        classes = len(self.counts)
        if truth.shape != predicted.shape:
            raise DataError(
                f"truth {truth.shape} and prediction {predicted.shape} differ in shape"
            )
        known = truth != IGNORE
        rows, columns = truth[known].astype(np.intp), predicted[known].astype(np.intp)
        for name, ids in (("truth", rows), ("prediction", columns)):
            if wrong := sorted(
                {int(i) for i in np.unique(ids) if i not in range(classes)}
            ):
                raise DataError(
                    f"the {name} has class {wrong[0]} but there are {classes} classes; "
                    "if these are object ids, measure them as 'instances'"
                )
        self.counts += np.bincount(
            rows * classes + columns, minlength=classes**2
        ).reshape(classes, classes)

    @property
    def pixels(self) -> int:
        """Number of pixels counted."""
        return int(self.counts.sum())

    @property
    def pixel_error(self) -> float:
        """Fraction of the pixels with a wrong class; 0 when none was counted."""
        return 1 - float(np.trace(self.counts)) / self.pixels if self.pixels else 0.0

    @property
    def pixel_accuracy(self) -> float:
        """Fraction of the pixels with the right class; 1 when none was counted.

        Long, Shelhamer and Darrell 2015, section 5, as are the other scores.
        """
        return 1 - self.pixel_error

    @property
    def mean_accuracy(self) -> float:
        """Mean over the true classes of their right fraction; 0 when none occurs."""
        return _mean(
            int(right) / int(total) if total else None
            for right, total in zip(
                np.diag(self.counts), self.counts.sum(axis=1), strict=True
            )
        )

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean IoU weighted by the pixels of the true classes; 0 when none occurs."""
        shares = self.counts.sum(axis=1) / max(self.pixels, 1)
        return float(
            sum(
                share * (iou or 0.0)
                for share, iou in zip(shares, self.iou, strict=True)
            )
        )

    @property
    def iou(self) -> tuple[float | None, ...]:
        """Intersection over union per class; None for a class that occurs nowhere."""
        return self._per_class(weight=1)

    @property
    def dice(self) -> tuple[float | None, ...]:
        """Dice coefficient per class; None for a class that occurs nowhere."""
        return self._per_class(weight=2)

    @property
    def missed(self) -> tuple[int, ...]:
        """Classes that are there and were found nowhere."""
        there, found = self.counts.sum(axis=1) > 0, self.counts.sum(axis=0) > 0
        return tuple(np.flatnonzero(there & ~found).tolist())

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes that occur; 0 when none was counted."""
        return _mean(self.iou)

    @property
    def mean_dice(self) -> float:
        """Mean Dice coefficient over the classes that occur; 0 when none does."""
        return _mean(self.dice)

    def _per_class(self, *, weight: int) -> tuple[float | None, ...]:
        """Return ``w * common / (w * common + errors)``: IoU for 1, Dice for 2."""
        common = np.diag(self.counts)
        errors = self.counts.sum(axis=0) + self.counts.sum(axis=1) - 2 * common
        return tuple(
            weight * int(c) / (weight * int(c) + int(e)) if c + e else None
            for c, e in zip(common, errors, strict=True)
        )


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0
