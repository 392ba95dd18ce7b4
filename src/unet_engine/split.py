"""Which labelled pixels a training learns from and which it is judged by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.dataset import HELD_OUT, TrainingPair, class_counts
from unet_engine.spec import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence

FEW_IMAGES = 5
"""With fewer labelled images than this, parts of images are held out, not images."""

_JUDGED_BY_TRAINING = (
    "Too little is labelled to hold a part of it out: the model was judged by the "
    "pixels it learned from. Label more places to get a figure you can trust."
)
_EDGES = (128, 64, 32, 16)
_ENOUGH_BLOCKS = 8
_TRIES = 32


@dataclass(frozen=True, slots=True)
class Split:
    """The labelled pixels, divided.

    Attributes
    ----------
    training
        Pairs to learn from; held-out pixels are ``HELD_OUT``. Each has labelled pixels.
    validation
        Pairs to be judged by; all other pixels are ``IGNORE``. Never empty, and each
        has labelled pixels.
    notes
        What the user should know about the split.
    """

    training: tuple[TrainingPair, ...]
    validation: tuple[TrainingPair, ...]
    notes: tuple[str, ...] = ()


def split_pairs(
    pairs: Sequence[TrainingPair],
    *,
    fraction: float,
    seed: int = 0,
    mistakes: Sequence[npt.NDArray[np.bool_]] | None = None,
) -> Split:
    """Hold out about ``fraction`` of the labelled pixels for validation.

    Whole images when at least ``FEW_IMAGES`` are mostly labelled, square blocks of
    the others. Both sides keep labelled pixels, and every class where that is
    possible. Where nothing can be spared the training pixels also validate, and a
    note says so: a figure without a single correction in it would not tell whether
    the corrections were learned.

    Parameters
    ----------
    pairs
        Pairs with at least one labelled pixel over all of them.
    fraction
        Share of the labelled pixels to hold out, in (0, 1).
    seed
        Same seed, same split.
    mistakes
        For each pair ``(Y, X)`` True where the model to be tuned is wrong; pixels that
        it gets right and wrong are held out alike.
    """
    generator = np.random.default_rng(seed)
    mistakes = mistakes or [np.zeros(pair.target.shape, dtype=bool) for pair in pairs]
    known = [
        (pair, wrong)
        for pair, wrong in zip(pairs, mistakes, strict=True)
        if class_counts(pair.target).any()
    ]
    whole = [pair for pair, _ in known if _is_mostly_labelled(pair)]
    if len(whole) < FEW_IMAGES:
        whole = []
    partial = [k for k in known if not (whole and _is_mostly_labelled(k[0]))]
    training, validation = _hold_out_images(whole, fraction, generator)
    learn, judge = _hold_out_blocks(partial, fraction, generator)
    notes: tuple[str, ...] = ()
    if partial and not judge:
        learn = judge = [pair for pair, _ in partial]
        notes = (_JUDGED_BY_TRAINING,)
    return Split((*training, *learn), (*validation, *judge), notes)


def _is_mostly_labelled(pair: TrainingPair) -> bool:
    return bool(np.mean(pair.target < HELD_OUT) >= 0.5)


def _hold_out_images(
    pairs: Sequence[TrainingPair], fraction: float, generator: np.random.Generator
) -> tuple[list[TrainingPair], list[TrainingPair]]:
    if not pairs:
        return [], []
    present = np.array([class_counts(pair.target) > 0 for pair in pairs])
    count = min(max(1, round(fraction * len(pairs))), len(pairs) - 1)
    best: tuple[int, npt.NDArray[np.intp]] | None = None
    for _ in range(_TRIES):
        order = generator.permutation(len(pairs))
        score = _classes_on_both_sides(present[order[count:]], present[order[:count]])
        if best is None or score > best[0]:
            best = score, order
        if score == np.count_nonzero(present.any(axis=0)):
            break
    assert best is not None
    order = best[1]
    return [pairs[i] for i in order[count:]], [pairs[i] for i in order[:count]]


def _classes_on_both_sides(
    one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]
) -> int:
    # A class that only validation has cannot be learned, which is worse than one
    # that only training has.
    both = one.any(axis=0) & other.any(axis=0)
    lost = other.any(axis=0) & ~one.any(axis=0)
    return int(both.sum()) - 2 * int(lost.sum())


@dataclass(frozen=True, slots=True)
class _Block:
    """A square of a plane and how many of its pixels are of each stratum."""

    pair: int
    region: tuple[slice, slice]
    counts: npt.NDArray[np.int64]


def _hold_out_blocks(
    known: Sequence[tuple[TrainingPair, npt.NDArray[np.bool_]]],
    fraction: float,
    generator: np.random.Generator,
) -> tuple[list[TrainingPair], list[TrainingPair]]:
    """Hold out blocks, as large as leaves enough of them: neighbours look alike."""
    if not known:
        return [], []
    planes, mistaken = _stratify(known)
    best: tuple[tuple[int, bool], list[_Block]] = (0, False), []
    for edge in _EDGES:
        blocks = _list_blocks(planes, edge, len(mistaken))
        held = _choose_blocks(blocks, fraction, generator)
        score = _count_strata(held), len(blocks) >= _ENOUGH_BLOCKS
        if score > best[0]:
            best = score, held
        if best[0] == (len(mistaken), True):
            break
    held = best[1]
    if mistaken.any() and not any(b.counts[mistaken].any() for b in held):
        held = []
    return _divide([pair for pair, _ in known], held)


def _stratify(
    known: Sequence[tuple[TrainingPair, npt.NDArray[np.bool_]]],
) -> tuple[list[npt.NDArray[np.int16]], npt.NDArray[np.bool_]]:
    """Number the combinations of a class and of the model being right or wrong.

    Returns
    -------
    planes
        ``(Y, X)`` int16 for each pair, -1 where nobody labelled.
    mistaken
        For each number whether the model is wrong there.
    """
    codes = [pair.target + np.int16(256) * wrong for pair, wrong in known]
    counts = sum(np.bincount(code.ravel(), minlength=512) for code in codes)
    present = np.flatnonzero(counts)
    present = present[present % 256 < HELD_OUT]
    numbers = np.full(512, -1, dtype=np.int16)
    numbers[present] = np.arange(len(present))
    return [numbers[code] for code in codes], present >= 256


def _list_blocks(
    planes: Sequence[npt.NDArray[np.int16]], edge: int, strata: int
) -> list[_Block]:
    """List the blocks of all planes that hold labelled pixels."""
    blocks = []
    for index, plane in enumerate(planes):
        labelled = plane >= 0
        rows, columns = np.flatnonzero(labelled.any(1)), np.flatnonzero(labelled.any(0))
        # The grid starts at the first labelled pixel: a small spot is cut as well.
        for y, x in product(
            range(rows[0], rows[-1] + 1, edge), range(columns[0], columns[-1] + 1, edge)
        ):
            region = slice(y, y + edge), slice(x, x + edge)
            inside = plane[region][labelled[region]]
            if inside.size:
                counts = np.bincount(inside, minlength=strata)
                blocks.append(_Block(index, region, counts))
    return blocks


def _choose_blocks(
    blocks: Sequence[_Block], fraction: float, generator: np.random.Generator
) -> list[_Block]:
    """Choose blocks until each stratum has its share, leaving it half its pixels."""
    total = np.sum([b.counts for b in blocks], axis=0)
    taken = np.zeros_like(total)
    held = []
    for i in generator.permutation(len(blocks)):
        if np.all(taken >= fraction * total):
            break
        after = taken + blocks[i].counts
        wanted = (blocks[i].counts > 0) & (taken < fraction * total)
        if wanted.any() and np.all(after <= total / 2):
            held.append(blocks[i])
            taken = after
    return held


def _count_strata(blocks: Sequence[_Block]) -> int:
    return int(np.count_nonzero(sum(b.counts for b in blocks)))


def _divide(
    pairs: Sequence[TrainingPair], held: Sequence[_Block]
) -> tuple[list[TrainingPair], list[TrainingPair]]:
    training, validation = [], []
    for i, pair in enumerate(pairs):
        regions = [b.region for b in held if b.pair == i]
        if not regions:
            training.append(pair)
            continue
        learn = pair.target.copy()
        judge = np.full_like(pair.target, IGNORE)
        for region in regions:
            judge[region] = pair.target[region]
            learn[region][judge[region] < HELD_OUT] = HELD_OUT
        validation.append(replace(pair, target=judge))
        if class_counts(learn).any():
            training.append(replace(pair, target=learn))
    return training, validation
