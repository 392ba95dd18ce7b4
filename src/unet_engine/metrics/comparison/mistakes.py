"""What is wrong with which object: missed, extra, merged, split or inexact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scipy import sparse

MistakeKind = Literal["class", "missed", "extra", "merged", "split", "inexact"]
"""What is wrong at a place; ``class`` is of pixels, the others are of objects."""
MISTAKE_KINDS: tuple[MistakeKind, ...] = get_args(MistakeKind)[1:]
"""Of objects."""

MOSTLY = 0.5
"""Share of an object inside another above which the other covers it."""
HARDLY = 0.1
"""Share of an object on any other below which it has no counterpart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMistake:
    """What is wrong with an object.

    Attributes
    ----------
    kind
        ``missed``: a true object that hardly any predicted one covers; ``extra``: the
        reverse; ``merged``: a predicted object that covers most of several true ones;
        ``split``: a true object that covers most of several predicted ones;
        ``inexact``: a true object, none of these, whose best partner has an IoU of 0.5
        at most.
    true, predicted
        Rows and columns of the table that it concerns.
    pixels
        How many are wrong by it.
    """

    kind: MistakeKind
    true: tuple[int, ...]
    predicted: tuple[int, ...]
    pixels: int


def find_mistakes(table: sparse.csr_array) -> Iterator[ObjectMistake]:
    """Yield what is wrong with the objects of a table of overlaps.

    Parameters
    ----------
    table
        Of `count_overlaps`: true objects by predicted ones, background first.

    Yields
    ------
    ObjectMistake
        Merged, then split, missed, extra and inexact ones.
    """
    true_areas, predicted_areas = table.sum(axis=1), table.sum(axis=0)
    inside = table[1:, 1:].tocoo()
    rows, columns = inside.coords[0] + 1, inside.coords[1] + 1
    shared = inside.data
    known: set[int] = set()
    covered = shared > MOSTLY * true_areas[rows]
    for column, parts in _groups(columns[covered], rows[covered]):
        areas = true_areas[list(parts)]
        lost = int(areas.sum() - areas.max())
        known.update(parts)
        yield ObjectMistake(kind="merged", true=parts, predicted=(column,), pixels=lost)
    within = shared > MOSTLY * predicted_areas[columns]
    for row, parts in _groups(rows[within], columns[within]):
        areas = predicted_areas[list(parts)]
        lost = int(areas.sum() - areas.max())
        known.add(row)
        yield ObjectMistake(kind="split", true=(row,), predicted=parts, pixels=lost)
    on_predicted = np.bincount(rows, shared, len(true_areas))
    on_true = np.bincount(columns, shared, len(predicted_areas))
    for row in _hardly(on_predicted, true_areas):
        known.add(row)
        yield ObjectMistake(
            kind="missed", true=(row,), predicted=(), pixels=int(true_areas[row])
        )
    for column in _hardly(on_true, predicted_areas):
        area = int(predicted_areas[column])
        yield ObjectMistake(kind="extra", true=(), predicted=(column,), pixels=area)
    union = true_areas[rows] + predicted_areas[columns] - shared
    yield from _inexact(rows, columns, shared, union, known)


def _groups(
    keys: np.ndarray, values: np.ndarray
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield each key that comes more than once, with its values."""
    order = np.lexsort((values, keys))
    keys, values = keys[order], values[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    for key, group in zip(keys[starts], np.split(values, starts[1:]), strict=False):
        if len(group) > 1:
            yield int(key), tuple(group.tolist())


def _hardly(on_others: np.ndarray, areas: np.ndarray) -> list[int]:
    alone = on_others[1:] < HARDLY * areas[1:]
    found: list[int] = (np.flatnonzero(alone) + 1).tolist()
    return found


def _inexact(
    rows: np.ndarray,
    columns: np.ndarray,
    shared: np.ndarray,
    union: np.ndarray,
    known: set[int],
) -> Iterator[ObjectMistake]:
    """Yield true objects whose best partner is not good enough to be their match."""
    order = np.lexsort((columns, -(shared / union), rows))
    best = order[np.unique(rows[order], return_index=True)[1]]
    for at in best[2 * shared[best] <= union[best]]:
        row = int(rows[at])
        if row not in known:
            yield ObjectMistake(
                kind="inexact",
                true=(row,),
                predicted=(int(columns[at]),),
                pixels=int(union[at] - shared[at]),
            )
