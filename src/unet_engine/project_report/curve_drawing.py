"""The scores of the rounds as a drawing with named axes, SVG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.models.collection.learning_curve import RoundRow

_WIDTH, _HEIGHT = 440, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 20, 12, 40
"""Margins for numbers and names of the axes."""

_LINE, _POINT = "#b06f00", "#e69f00"
_FEWEST = 2
"""Points that make a curve."""


def curve_points(rows: Sequence[RoundRow]) -> list[tuple[int, RoundRow]]:
    """Return the rounds that have a score and strokes, with the number of these."""
    return [
        (row.stroke_count, row)
        for row in rows
        if row.score is not None and row.stroke_count is not None
    ]


def draw_curve(rows: Sequence[RoundRow]) -> str:
    """Draw the IoU against the number of strokes; empty with fewer than two rounds.

    Parameters
    ----------
    rows
        The first round first.
    """
    points = curve_points(rows)
    if len(points) < _FEWEST:
        return ""
    last = max(count for count, _ in points)
    step = _step(last)
    most = step * math.ceil(last / step)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" '
        f'height="{_HEIGHT}" font-family="sans-serif" font-size="11">'
    ]
    for tenths in range(0, 11, 2):
        y = _y(tenths / 10)
        parts.append(_segment(_LEFT, y, _WIDTH - _RIGHT, y, "#dddddd"))
        parts.append(_text(_LEFT - 6, y + 4, f"{tenths / 10:.1f}", "end"))
    for count in range(0, most + 1, step):
        x = _x(count, most)
        parts.append(_segment(x, _y(0), x, _y(0) + 4, "#555555"))
        parts.append(_text(x, _y(0) + 16, str(count), "middle"))
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, "strokes", "middle"))
    parts.append(
        f'<text transform="translate(14 {middle:.1f}) rotate(-90)" '
        'text-anchor="middle" fill="#333333">IoU</text>'
    )
    places = [(_x(n, most), row) for n, row in points if row.score is not None]
    line = " ".join(f"{x:.1f},{_y(r.score.value):.1f}" for x, r in places if r.score)
    parts.append(
        f'<polyline points="{line}" fill="none" stroke="{_LINE}" stroke-width="2"/>'
    )
    for x, row in places:
        assert row.score is not None
        if not math.isnan(row.score.low):
            low, high = _y(row.score.low), _y(row.score.high)
            parts.append(_segment(x, low, x, high, _LINE))
        y = _y(row.score.value)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_POINT}"/>')
    return "".join([*parts, "</svg>"])


def _step(most: int) -> int:
    """Return a round distance of ticks, of which there are some five."""
    power: int = 10 ** max(0, math.floor(math.log10(max(1, most))) - 1)
    return next(n * power for n in (1, 2, 5, 10, 20, 50) if most <= 6 * n * power)


def _x(count: float, most: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * count / most


def _y(iou: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * iou


def _segment(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
        f'fill="#333333">{text}</text>'
    )
