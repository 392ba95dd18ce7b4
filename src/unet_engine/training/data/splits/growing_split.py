"""The division into learned and held-out pixels, while labels are added and removed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.training.data.objects.corrected_objects import without_held_out_objects
from unet_engine.training.data.pairs import (
    TrainingPair,
    class_counts,
    far_from_labels,
)
from unet_engine.training.data.splits.held_out_split import Split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Mask = npt.NDArray[np.bool_]
    Key = tuple[str, int]


def keyed(pairs: Sequence[TrainingPair]) -> Iterator[tuple[Key, TrainingPair]]:
    """Yield pairs with what identifies them: name, and number among those of it."""
    seen: Counter[str] = Counter()
    for pair in pairs:
        yield (pair.name, seen[pair.name]), pair
        seen[pair.name] += 1


def overlap(
    old: TrainingPair, new: TrainingPair
) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
    """Return where two regions show the same pixels, in each; None if nowhere."""
    there: list[tuple[slice, slice]] = []
    zero = (0,) * new.target.ndim
    if old.target.ndim != new.target.ndim:
        return None
    for a, b, n, m in zip(
        old.origin or zero,
        new.origin or zero,
        old.target.shape,
        new.target.shape,
        strict=True,
    ):
        low, high = max(a, b), min(a + n, b + m)
        if low >= high:
            return None
        there.append((slice(low - a, high - a), slice(low - b, high - b)))
    one, other = (tuple(part) for part in zip(*there, strict=True))
    if not np.array_equal(old.image[:, *one], new.image[:, *other]):
        return None
    return one, other


@dataclass(frozen=True, slots=True)
class _Divided:
    """A pair and which of its labelled pixels are held out."""

    pair: TrainingPair
    held: Mask


class GrowingSplit:
    """Keeps what was held out held out, and divides what is new by strokes.

    A new stroke that lies near learned pixels is learned, near held-out ones it is
    held out, as neighbours look alike; any other is held out while its class has less
    than its share there. A class that nothing is learned of is learned first.

    Parameters
    ----------
    pairs
        All that was divided.
    split
        How.
    fraction
        Share of the labelled pixels of a class to hold out.
    near
        Distance along each axis up to which pixels are neighbours.
    """

    def __init__(
        self,
        pairs: Sequence[TrainingPair],
        split: Split,
        *,
        fraction: float,
        near: Sequence[int],
    ) -> None:
        self._fraction, self._near = fraction, tuple(near)
        learned = {id(pair.image): pair.target for pair in split.training}
        held = {id(pair.image): pair.target for pair in split.validation}
        self._divided: dict[Key, _Divided] = {}
        for key, pair in keyed(pairs):
            mask = np.zeros(pair.target.shape, dtype=bool)
            if (target := held.get(id(pair.image))) is not None:
                mask = target < HELD_OUT
            if (target := learned.get(id(pair.image))) is not None:
                # Too little was labelled, and all of it both learned and evaluated.
                mask &= target >= HELD_OUT
            self._divided[key] = _Divided(pair, mask)

    def extended(self, pairs: Sequence[TrainingPair]) -> Split:
        """Divide the labels as they are now."""
        divided = {key: self._carried(key, pair) for key, pair in keyed(pairs)}
        held, learned = (np.zeros(HELD_OUT, np.int64) for _ in range(2))
        for one, new in divided.values():
            target = one.pair.target
            held += class_counts(target[one.held])
            learned += class_counts(target[~one.held & ~new])
        for one, new in divided.values():
            self._divide(one, new, held, learned)
        self._divided = {key: one for key, (one, _) in divided.items()}
        return self._split()

    def _carried(self, key: Key, pair: TrainingPair) -> tuple[_Divided, Mask]:
        """Return what is held out of a pair so far, and which of its labels are new."""
        held = np.zeros(pair.target.shape, dtype=bool)
        new = labelled = pair.target < HELD_OUT
        before = self._divided.get(key)
        shared = None if before is None else overlap(before.pair, pair)
        if before is not None and shared is not None:
            old, here = shared
            held[here] = before.held[old]
            held &= labelled
            known = np.zeros_like(held)
            known[here] = before.pair.target[old] < HELD_OUT
            new = labelled & ~known
        return _Divided(pair, held), new

    def _divide(
        self,
        one: _Divided,
        new: Mask,
        held: npt.NDArray[np.int64],
        learned: npt.NDArray[np.int64],
    ) -> None:
        """Hold strokes out; counts of pixels by class follow."""
        if not new.any():
            return
        target = one.pair.target
        by_learned = self._near_to((target < HELD_OUT) & ~one.held & ~new)
        by_held = self._near_to(one.held)
        for label in np.unique(target[new]).tolist():
            strokes, count = ndimage.label(new & (target == label))
            for number in range(1, count + 1):
                stroke = strokes == number
                size = int(np.count_nonzero(stroke))
                share = (held[label] + size / 2) / (held[label] + learned[label] + size)
                wanted = by_held[stroke].any() or share <= self._fraction
                if learned[label] and wanted and not by_learned[stroke].any():
                    one.held[stroke] = True
                    held[label] += size
                else:
                    learned[label] += size

    def _near_to(self, mask: Mask) -> Mask:
        if not mask.any():
            return mask
        marked = np.where(mask, 0, IGNORE).astype(np.uint8)
        return ~far_from_labels(marked, self._near)

    def _split(self) -> Split:
        training, validation = [], []
        for pair, held in ((one.pair, one.held) for one in self._divided.values()):
            learn = np.where(held, HELD_OUT, pair.target).astype(np.uint8)
            if class_counts(learn).any():
                learned = replace(pair, target=learn) if held.any() else pair
                training.append(without_held_out_objects(learned))
            if held.any():
                target = np.where(held, pair.target, IGNORE).astype(np.uint8)
                validation.append(replace(pair, target=target))
        return Split(tuple(training), tuple(validation or training))
