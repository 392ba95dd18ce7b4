"""How good a mask is after how much of the user's time, as a picture."""

from __future__ import annotations

from itertools import groupby
from statistics import mean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Rows = Sequence[dict[str, Any]]

STROKE_SECONDS = 3.0
"""Time of a user for a stroke: paint and move on, without thinking for long."""
MEAN = "mean of the sets"
_COLUMNS = 4
"""Panels side by side at most."""


def user_seconds(rows: Rows, strokes: int) -> list[float]:
    """Return the time after each round of one method on one set.

    Parameters
    ----------
    rows
        Of its rounds, in order.
    strokes
        In a round, of all classes; the user waits for the computer after them.
    """
    seconds, total = [], 0.0
    for row in rows:
        total += strokes * STROKE_SECONDS + row["seconds"]
        seconds.append(total)
    return seconds


def curves(
    rows: Rows, strokes: int
) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """Return seconds and IoU by set, then method, and their means over the sets.

    A method has a mean when it ran on every set, for as many rounds as all did.
    """
    found: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for (dataset, method), group in groupby(
        rows, lambda row: (row["dataset"], row["method"])
    ):
        of_seeds = groupby(
            sorted(group, key=lambda row: row.get("seed", 0)),
            lambda row: row.get("seed", 0),
        )
        rounds = [list(one) for _, one in of_seeds]
        line = _mean(
            [
                (user_seconds(one, strokes), [row["iou"] for row in one])
                for one in rounds
            ]
        )
        found.setdefault(dataset, {})[method] = line
    if len(found) > 1:
        everywhere = set.intersection(*(set(methods) for methods in found.values()))
        found[MEAN] = {
            method: _mean([lines[method] for lines in found.values()])
            for method in dict.fromkeys(row["method"] for row in rows)
            if method in everywhere
        }
    return found


def _mean(
    lines: Sequence[tuple[list[float], list[float]]],
) -> tuple[list[float], list[float]]:
    seconds, ious = (
        [mean(values) for values in zip(*parts, strict=False)]
        for parts in zip(*lines, strict=True)
    )
    return seconds, ious


def draw(rows: Rows, strokes: int, path: Path) -> None:
    """Write a picture with a panel for each set, in the format of the ending."""
    from matplotlib.figure import Figure

    panels = curves(rows, strokes)
    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.8 * lines), layout="constrained")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    for number, (name, methods_here) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(lines, columns, number)
        for method, (seconds, ious) in methods_here.items():
            colour = f"C{methods.index(method)}"
            axes.plot(seconds, ious, marker="o", ms=3, color=colour, label=method)
        axes.set_title(name, fontsize=9, weight="bold" if name == MEAN else None)
        axes.set_ylim(0, 1)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=7)
        axes.set_xlabel("seconds of the user", fontsize=8)
        axes.set_ylabel("IoU on other images", fontsize=8)
        if number == len(panels):
            axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
