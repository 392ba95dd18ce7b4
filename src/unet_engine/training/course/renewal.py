"""What a training goes on with, when labels were added or removed while it runs."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.errors import DataError
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.training.course.interfaces import Renewed
from unet_engine.training.data.pairs import (
    TrainingPair,
    check_pairs,
    class_counts,
    far_from_labels,
)
from unet_engine.training.data.splits.growing_split import keyed, overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unet_engine.models.spec import ModelSpec
    from unet_engine.training.course.interfaces import Evaluator
    from unet_engine.training.data.sources import Source
    from unet_engine.training.data.splits.growing_split import GrowingSplit
    from unet_engine.training.data.splits.held_out_split import Split

    Pairs = Sequence[TrainingPair]

REST = 20.0
"""Time between two computations of all soft targets, in the time that one takes: so
they take a twentieth of a training, however often strokes are made."""

_LATER_CLASS = (
    "Class {} was painted during the training and is not one of this model's. It is "
    "learned by the next training."
)
_UNUSABLE = "The training goes on with the labels that it had: {}."


class Renewal:
    """Follows a source of pairs.

    Parameters
    ----------
    source
        Was polled for the start.
    spec
        Of the model that is trained.
    split
        How its pairs were divided at the start.
    soft_targets
        Adds soft targets to what is learned from.
    make_evaluator
        Returns what evaluates on the held-out pixels of a split of some pairs.
    """

    def __init__(
        self,
        source: Source[TrainingPair],
        spec: ModelSpec,
        split: GrowingSplit,
        soft_targets: Callable[[Pairs], Pairs],
        make_evaluator: Callable[[Split, Pairs], Evaluator],
    ) -> None:
        self._source, self._spec = source, spec
        self._split = split
        self._soft_targets = soft_targets
        self._make_evaluator = make_evaluator
        self._noted: set[str] = set()

    def __call__(self) -> Renewed | None:
        """Return what to go on with, if anything has changed."""
        found = self._source.poll()
        if found is None:
            return None
        pairs, notes = of_known_classes(found, len(self._spec.classes))
        try:
            check_pairs(pairs, self._spec)
        except DataError as error:
            notes = [*notes, _UNUSABLE.format(error)]
            return self._noting(Renewed(training=(), evaluator=None), notes)
        split = self._split.extended(pairs)
        renewed = Renewed(
            training=self._soft_targets(split.training),
            evaluator=self._make_evaluator(split, pairs),
            names=sorted({pair.name for pair in pairs}),
            pixels=sum(int(class_counts(pair.target).sum()) for pair in pairs),
        )
        return self._noting(renewed, notes)

    def _noting(self, renewed: Renewed, notes: Sequence[str]) -> Renewed:
        new = tuple(note for note in notes if note not in self._noted)
        self._noted.update(new)
        return replace(renewed, notes=new)


def of_known_classes(
    pairs: Pairs, classes: int
) -> tuple[list[TrainingPair], list[str]]:
    """Leave out labels of classes that a model does not have.

    Returns
    -------
    pairs
        With ``IGNORE`` in their place.
    notes
        One sentence for each such class.
    """
    known, later = [], set()
    for pair in pairs:
        other = (pair.target >= classes) & (pair.target < HELD_OUT)
        if other.any():
            later.update(np.unique(pair.target[other]).tolist())
            target = np.where(other, IGNORE, pair.target).astype(np.uint8)
            pair = replace(pair, target=target)
        known.append(pair)
    return known, [_LATER_CLASS.format(label) for label in sorted(later)]


class CarriedTargets:
    """Soft targets that are computed now and then, and carried over in between.

    Parameters
    ----------
    compute
        Returns pairs with soft targets.
    near
        Distance along each axis from a label up to which there are none; None: they
        may be anywhere.
    """

    def __init__(
        self, compute: Callable[[Pairs], Pairs], near: Sequence[int] | None
    ) -> None:
        self._compute, self._near = compute, near
        self._last: dict[tuple[str, int], TrainingPair] = {}
        self._done, self._cost = -math.inf, 0.0

    def __call__(self, pairs: Pairs) -> Pairs:
        """Return pairs with soft targets."""
        carried = [self._carried(key, pair) for key, pair in keyed(pairs)]
        rested = time.monotonic() - self._done >= REST * self._cost
        found: Pairs = [pair for pair in carried if pair is not None]
        if rested or len(found) < len(carried):
            started = time.monotonic()
            found = self._compute(pairs)
            self._done = time.monotonic()
            self._cost = self._done - started
        self._last = dict(keyed(found))
        return found

    def _carried(self, key: tuple[str, int], pair: TrainingPair) -> TrainingPair | None:
        """Return a pair with what was known of its pixels; None of a new image."""
        before = self._last.get(key)
        shared = None if before is None else overlap(before, pair)
        if before is None or shared is None:
            return None
        if before.soft_target is None:
            return pair
        maps = pair.object_maps
        old, here = shared
        known = np.zeros(
            (len(before.soft_target), *pair.target.shape), before.soft_target.dtype
        )
        known[:, *here] = before.soft_target[:, *old]
        if self._near is not None:
            known *= far_from_labels(pair.target, self._near)
        if before.object_maps is not None:
            carried = np.full((len(before.object_maps), *pair.target.shape), np.nan)
            carried[:, *here] = before.object_maps[:, *old]
            # Where there is no soft target they were labels, perhaps undone by now.
            carried[:, ~known.any(axis=0)] = np.nan
            maps = carried if maps is None else np.where(np.isnan(maps), carried, maps)
            maps = maps.astype(before.object_maps.dtype)
        return replace(pair, soft_target=known, object_maps=maps)
