"""The rows of several courses together: gains, losses, and the shown score."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from scipy.stats import spearmanr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Row = dict[str, Any]
    Course = list[Row]

_NEAR_LIVE = 0.02
"""IoU that a round may lie below Live."""
_NEAR_TRUTH = 0.1
"""Difference between a shown and a true IoU that is no surprise."""


def courses(rows: Sequence[Row]) -> dict[tuple[str, str, int], Course]:
    """Return the rounds in order, by set, method and seed.

    Rows of before seeds were written down are of seed 0.
    """
    found: dict[tuple[str, str, int], Course] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["round"]):
        found[row["dataset"], row["method"], row.get("seed", 0)].append(row)
    return dict(found)


def largest_drop(course: Course) -> float:
    """Return by how much the worst round lies below the best before it."""
    best, drop = 0.0, 0.0
    for row in course:
        drop = max(drop, best - row["iou"])
        best = max(best, row["iou"])
    return drop


def summarise(rows: Sequence[Row]) -> Iterator[str]:
    """Yield lines: the last rounds of each set, then figures over all rounds."""
    found = courses(rows)
    for name, method in sorted({key[:2] for key in found}):
        last = [
            c[-1]["iou"] for (d, m, _), c in found.items() if (d, m) == (name, method)
        ]
        spread = f" ± {stdev(last):.3f}" if len(last) > 1 else ""
        yield f"{name:22} {method:16} {mean(last):.3f}{spread} ({len(last)} seeds)"
    products = {key: c for key, c in found.items() if key[1] == "product"}
    if products:
        yield from _beside_others(products, found)
        yield from _shown([row for course in products.values() for row in course])


def _beside_others(
    products: dict[tuple[str, str, int], Course],
    found: dict[tuple[str, str, int], Course],
) -> Iterator[str]:
    for other in ("forest", "live"):
        gains = [
            course[-1]["iou"] - rival[-1]["iou"]
            for (name, _, seed), course in products.items()
            if (rival := found.get((name, other, seed)))
        ]
        if gains:
            yield (
                f"last round, product - {other}: "
                f"mean {mean(gains):+.3f}, least {min(gains):+.3f}"
            )
    parts = [
        (name, row["iou"] - row["live_iou"])
        for (name, _, _), course in products.items()
        for row in course
    ]
    gains = [gain for _, gain in parts]
    near = mean(gain >= -_NEAR_LIVE for gain in gains)
    yield (
        f"all rounds, product - Live on the same strokes: mean {mean(gains):+.3f}, "
        f"least {min(gains):+.3f}, {near:.0%} at least -{_NEAR_LIVE}"
    )
    for name in sorted({name for name, _ in parts}):
        yield f"  {name}: {mean(g for n, g in parts if n == name):+.3f}"
    drops = {key: largest_drop(course) for key, course in products.items()}
    worst = max(drops, key=lambda key: drops[key])
    yield (
        f"largest drop below the best round before: {drops[worst]:.3f} "
        f"({worst[0]}, seed {worst[2]})"
    )


def _shown(rows: Sequence[Row]) -> Iterator[str]:
    pairs = [(row["shown"], row["iou"]) for row in rows if row["shown"] is not None]
    if not pairs:
        yield f"scores: shown in none of {len(rows)} rounds"
        return
    errors = [abs(shown - true) for shown, true in pairs]
    near = mean(error <= _NEAR_TRUTH for error in errors)
    line = (
        f"scores: shown in {len(pairs)} of {len(rows)} rounds, {near:.0%} within "
        f"{_NEAR_TRUTH} of the truth, largest error {max(errors):.3f}"
    )
    if all(len(set(values)) > 1 for values in zip(*pairs, strict=True)):
        rank = spearmanr(*zip(*pairs, strict=True)).statistic
        line += f", rank correlation {rank:.2f}"
    yield line
