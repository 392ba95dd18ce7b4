"""The score that the history of a model records, and how far it can be relied on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unet_engine.models.checkpoint import ModelInfo

T = TypeVar("T")

Basis = Literal["", "mask", "held-out"]
"""What a score is: none; the expected IoU of the mask, which strokes bear out; or the
IoU on labels that were held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An IoU and the interval that it is expected in, in [0, 1].

    Attributes
    ----------
    value
        The IoU.
    low, high
        Ends of the interval; NaN where none was recorded.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedScore:
    """The score of a model.

    Attributes
    ----------
    mean
        Over the classes; None where there is none to rely on.
    classes
        Of each class, where it is known.
    basis
        What the scores are.
    """

    mean: Interval | None = None
    classes: Mapping[str, Interval] = field(default_factory=dict)
    basis: Basis = ""

    @property
    def text(self) -> str:
        """In words; empty where nothing was recorded or is to be relied on."""
        if self.mean is None:
            return ""
        if self.basis == "mask":
            low, high = self.mean.low, self.mean.high
            return f"expected IoU {self.mean.value:.2f} ({low:.2f} to {high:.2f})"
        return f"IoU {self.mean.value:.3f} on held-out labels"


def recorded_score(info: ModelInfo) -> RecordedScore:
    """Return the score of the last training of a model.

    After a training on strokes it is the one that was shown, the expected IoU of the
    mask: the IoU on held-out strokes, which lie on mistakes, shows little of the mask.

    Parameters
    ----------
    info
        The model.
    """
    last = info.history[-1] if info.history else {}
    record = mapping(last.get("score"))
    if not record:
        iou = held_out_score(info)
        mean = None if iou is None else Interval(value=iou)
        return RecordedScore(mean=mean, basis="" if mean is None else "held-out")
    classes = {
        name: Interval(value=parts[0], low=parts[1], high=parts[2])
        for name, values in mapping(record.get("classes")).items()
        if len(parts := _numbers(values)) == 3
    }
    if not record.get("shown") or not classes:
        return RecordedScore()
    classes = by_class(classes, info.spec.classes)
    return RecordedScore(mean=mean_of(classes), classes=classes, basis="mask")


def held_out_score(
    info: ModelInfo, when: Literal["before", "after"] = "after"
) -> float | None:
    """Return the IoU on held-out labels of the last training; None if not recorded."""
    last = info.history[-1] if info.history else {}
    iou = mapping(last.get(when)).get("iou")
    return iou if isinstance(iou, float) and math.isfinite(iou) else None


def mean_of(classes: Mapping[str, Interval]) -> Interval:
    """Return the mean of scores; the intervals of classes may err together."""
    count = len(classes)
    return Interval(
        value=sum(one.value for one in classes.values()) / count,
        low=sum(one.low for one in classes.values()) / count,
        high=sum(one.high for one in classes.values()) / count,
    )


def by_class(found: Mapping[str, T], classes: Sequence[str]) -> dict[str, T]:
    """Return values of a file in the order of the classes: it sorts their names."""
    names = [*(name for name in classes if name in found), *found]
    return {name: found[name] for name in names}


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a dict of a file that may be of another version, or of other making."""
    return value if isinstance(value, dict) else {}


def number(value: Any) -> float | None:
    """Return a number of a file that is finite and not negative, else None."""
    is_one = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_one and math.isfinite(value) and value >= 0 else None


def _numbers(values: Any) -> list[float]:
    found = [number(value) for value in values] if isinstance(values, list) else []
    return [value for value in found if value is not None]


def counts(value: Any) -> dict[str, int]:
    """Return numbers of a file above 0, by name."""
    return {
        str(name): int(count)
        for name, one in mapping(value).items()
        if (count := number(one))
    }
