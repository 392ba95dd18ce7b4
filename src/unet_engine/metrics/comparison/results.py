"""What a comparison returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unet_engine.metrics.comparison.mistakes import MistakeKind
    from unet_engine.metrics.confusion import Confusion
    from unet_engine.metrics.objects import Matches
    from unet_engine.places import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScores:
    """How right a class is.

    Attributes
    ----------
    value, name
        Its id, and what it is called.
    iou, dice
        In [0, 1]; None for a class that occurs nowhere.
    true_pixels, predicted_pixels
        Where the truth has a label.
    """

    value: int
    name: str
    iou: float | None
    dice: float | None
    true_pixels: int
    predicted_pixels: int


def class_scores(confusion: Confusion, names: Sequence[str]) -> tuple[ClassScores, ...]:
    """Return the scores of all classes that have a name or occur."""
    true, predicted = confusion.counts.sum(axis=1), confusion.counts.sum(axis=0)
    return tuple(
        ClassScores(
            value=value,
            name=names[value] if value < len(names) else str(value),
            iou=iou,
            dice=dice,
            true_pixels=int(true[value]),
            predicted_pixels=int(predicted[value]),
        )
        for value, (iou, dice) in enumerate(
            zip(confusion.iou, confusion.dice, strict=True)
        )
        if value < len(names) or true[value] or predicted[value]
    )


def wrong_pixels(confusion: Confusion) -> int:
    """Return how many pixels have another class than the truth."""
    return confusion.pixels - int(confusion.counts.trace())


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectScores:
    """How right the objects are, those of all frames together.

    Attributes
    ----------
    matches
        Found, invented and missed objects at an IoU above 0.5.
    mistakes
        How many of each kind.
    """

    matches: Matches
    mistakes: Mapping[MistakeKind, int] = field(default_factory=dict)

    @property
    def ap_50(self) -> float:
        """``TP / (TP + FP + FN)`` at an IoU above 0.5."""
        return self.matches.average_precision

    @property
    def true_objects(self) -> int:
        """Objects of the truth."""
        return self.matches.true_positives + self.matches.false_negatives

    @property
    def predicted_objects(self) -> int:
        """Objects of the prediction."""
        return self.matches.true_positives + self.matches.false_positives


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstPlace:
    """A place where truth and prediction differ.

    Attributes
    ----------
    kind
        ``"class"`` for pixels of a wrong class, else what is wrong with an object.
    index
        Plane; of an object in a volume the one in its middle.
    rows, columns
        Around what differs, in pixels of the plane.
    pixels
        How many differ.
    true, predicted
        Ids that differ there: the class of most of the pixels, or the objects.
    """

    kind: MistakeKind
    index: Index
    rows: slice
    columns: slice
    pixels: int
    true: tuple[int, ...]
    predicted: tuple[int, ...]

    def describe(self, classes: Sequence[str] = ()) -> str:
        """Return what is wrong there, such as ``"12 px cell read as background"``.

        Parameters
        ----------
        classes
            Their names, background first; numbers where there is none.
        """
        size = f"{self.pixels:,} px"
        if self.kind == "class":
            true, found = (
                classes[value] if value < len(classes) else f"class {value}"
                for value in (self.true[0], self.predicted[0])
            )
            return f"{size}, {true} read as {found}"
        several = {"merged": self.true, "split": self.predicted}.get(self.kind)
        return f"{size}, {_WHAT[self.kind].format(len(several or ()))}"


_WHAT: dict[MistakeKind, str] = {
    "missed": "an object is missed",
    "extra": "an extra object",
    "merged": "{} objects are merged",
    "split": "an object is split in {}",
    "inexact": "the outline is inexact",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs between truth and prediction.

    Attributes
    ----------
    classes
        Of class ids that are named or occur; for objects that of the foreground.
    objects
        Of object ids; None for classes.
    pixels
        Pixels where the truth has a label.
    wrong_pixels
        Those of them with another class; for objects, objects and background count as
        classes.
    worst
        The worst places, the first one first.
    """

    classes: tuple[ClassScores, ...]
    objects: ObjectScores | None
    pixels: int
    wrong_pixels: int
    worst: tuple[WorstPlace, ...]
