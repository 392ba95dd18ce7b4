"""Find out whether the gain of the next round of strokes can be forecast.

::

    python benchmarks/forecast.py

Reads recorded courses of a simulated user (``courses.csv``, as ``few_strokes.py``
writes their rows: the true IoU of other images after each round of five strokes a
class) and forecasts the gain of each next round from the other sets of images. A
forecast is worth showing if it is nearer to the truth than *no gain* is, and if the
truth lies within its ± as often as stated.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Forecast = Callable[["Gain"], float]

COURSES = Path(__file__).with_name("courses.csv")
STATED = 0.8
"""Share of the gains that the ± is to hold."""


@dataclass(frozen=True)
class Gain:
    """What a round gained.

    Attributes
    ----------
    dataset
        Set of images.
    after
        Rounds before it.
    iou, last
        IoU after these, and what the last of them gained; NaN for the first.
    gain
        Of this round.
    """

    dataset: str
    after: int
    iou: float
    last: float
    gain: float


def read_gains(path: Path = COURSES) -> list[Gain]:
    """Return the gains of all rounds but the first ones of recorded courses."""
    courses: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            course = courses[row["set"], row["method"], row["seed"]]
            course[int(row["round"])] = float(row["iou"])
    return [
        Gain(
            dataset=dataset,
            after=number,
            iou=iou,
            last=iou - course.get(number - 1, math.nan),
            gain=course[number + 1] - iou,
        )
        for (dataset, _, _), course in courses.items()
        for number, iou in sorted(course.items())
        if number + 1 in course
    ]


def no_gain(known: Sequence[Gain]) -> Forecast:
    """Forecast that nothing changes."""
    return lambda one: 0.0


def typical(known: Sequence[Gain]) -> Forecast:
    """Forecast the mean of all rounds."""
    mean = float(np.mean([one.gain for one in known]))
    return lambda one: mean


def typical_of_round(known: Sequence[Gain]) -> Forecast:
    """Forecast the mean of the rounds of this number."""
    return lambda one: float(np.mean([k.gain for k in known if k.after == one.after]))


def share_of_rest(known: Sequence[Gain]) -> Forecast:
    """Forecast a share of what is missing to 1, less for each stroke there is."""

    def expected(one: Gain) -> float:
        return (1 - one.iou) * math.log((one.after + 1) / one.after)

    each = np.array([expected(one) for one in known])
    slope = float(each @ [one.gain for one in known] / (each @ each))
    return lambda one: slope * expected(one)


def course_and_typical(known: Sequence[Gain]) -> Forecast:
    """Forecast the last gain of the course, shrunk towards the mean of all rounds."""
    mean = float(np.mean([one.gain for one in known]))
    pairs = [(k.last - mean, k.gain - mean) for k in known if not math.isnan(k.last)]
    last, gain = np.array(pairs).T
    spread = float(last @ last)
    slope = float(np.clip(last @ gain / spread, 0, 1)) if spread else 0.0
    return lambda one: mean + (0 if math.isnan(one.last) else slope * (one.last - mean))


FORECASTS = (no_gain, typical, typical_of_round, share_of_rest, course_and_typical)


def judge(
    gains: Sequence[Gain], make: Callable[[Sequence[Gain]], Forecast]
) -> tuple[float, float, float]:
    """Forecast each set of images from the others.

    Returns
    -------
    tuple
        Mean absolute error; share of the gains within the ±, which holds ``STATED`` of
        the gains that the forecast was made from; and the mean ±.
    """
    errors, inside, widths = [], [], []
    for dataset in sorted({one.dataset for one in gains}):
        known = [one for one in gains if one.dataset != dataset]
        forecast = make(known)
        width = float(np.quantile([abs(k.gain - forecast(k)) for k in known], STATED))
        for one in (one for one in gains if one.dataset == dataset):
            error = abs(one.gain - forecast(one))
            errors.append(error)
            inside.append(error <= width)
            widths.append(width)
    return float(np.mean(errors)), float(np.mean(inside)), float(np.mean(widths))


def lines(gains: Sequence[Gain]) -> Iterator[str]:
    """Yield a table: after the first round, and from the second on."""
    yield "| rounds before | forecast | gains | mean error | within the ± | ± |"
    yield "|---|---|---|---|---|---|"
    parts = {"1 or more": gains, "2 or more": [one for one in gains if one.after > 1]}
    for title, part in parts.items():
        for make in FORECASTS:
            error, inside, width = judge(part, make)
            name = make.__name__.replace("_", " ")
            yield (
                f"| {title} | {name} | {len(part)} | {error:.4f} | {inside:.0%} | "
                f"{width:.3f} |"
            )


def main() -> None:
    """Print the table."""
    print("\n".join(lines(read_gains())))


if __name__ == "__main__":
    main()
