"""Which labelled pixels a training learns from and which are held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.training.data.objects.corrected_objects import without_held_out_objects
from unet_engine.training.data.pairs import TrainingPair, class_counts
from unet_engine.training.data.splits.whole_strokes import keep_strokes_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FEW_IMAGES = 5
"""With fewer labelled images than this, parts of images are held out, not images; and
with fewer labelled slices of a volume parts of slices, not slices."""

_VALIDATED_ON_TRAINING = (
    "Too little is labelled to hold a part of it out: the model was evaluated on the "
    "pixels it learned from. Label more places to get a reliable figure."
)
_ONE_SPOT = (
    "All that is labelled lies within {} pixels of an image of {}; the model learns "
    "that spot alone. Paint in other parts of the image, too."
)
_SPOT = 4
"""What is labelled is one spot when each side of the image is so many times as long."""

_EDGES = (128, 64, 32, 16)
"""Edges of held-out blocks in pixels, the first that leaves enough of them: neighbours
of a held-out pixel look like it, so large blocks are the harder test."""

_ALL = 2**31
"""Depth of a block in slices: more than any volume has."""

_ENOUGH_BLOCKS = 8
"""Labelled blocks from which a random choice has about the share that is wanted."""

_TRIES = 32
"""Random choices of images, of which that with most classes on both sides is taken."""


@dataclass(frozen=True, slots=True)
class Split:
    """The labelled pixels, divided.

    Attributes
    ----------
    training
        Pairs to learn from; held-out pixels are ``HELD_OUT``. Each has labelled pixels.
    validation
        Pairs to evaluate on; all other pixels are ``IGNORE``. Never empty, and each
        has labelled pixels.
    notes
        What the user should know about the split, one sentence each.
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

    Whole images when at least ``FEW_IMAGES`` are mostly labelled, neighbouring slices
    of volumes with as many such slices, square blocks of the others. Both sides keep
    labelled pixels, and every class where that is possible. Where nothing can be
    spared the training pixels also validate, with a note: a figure without a single
    correction in it would not show whether the corrections were learned.

    Parameters
    ----------
    pairs
        Pairs with at least one labelled pixel over all of them.
    fraction
        Share of the labelled pixels to hold out, in (0, 1).
    seed
        Same seed, same split.
    mistakes
        For each pair True, in the shape of its target, where the model to be tuned is
        wrong, bool; pixels that it predicts rightly and wrongly are held out alike.
    """
    generator = np.random.default_rng(seed)
    mistakes = mistakes or [np.zeros(pair.target.shape, dtype=bool) for pair in pairs]
    known = [
        (pair, wrong)
        for pair, wrong in zip(pairs, mistakes, strict=True)
        if class_counts(pair.target).any()
    ]
    whole = [pair for pair, _ in known if _is_mostly_labelled(pair.target)]
    if len(whole) < FEW_IMAGES:
        whole = []
    rest = [k for k in known if not (whole and _is_mostly_labelled(k[0].target))]
    training, validation = _hold_out_images(whole, fraction, generator)
    partial = []
    for pair, wrong in rest:
        if len(_labelled_slices(pair)) < FEW_IMAGES:
            partial.append((pair, wrong))
            continue
        learn, validate = _hold_out_slices(pair, fraction, generator)
        training, validation = [*training, *learn], [*validation, *validate]
    learn, validate = _hold_out_blocks(partial, fraction, generator)
    notes = _spot_notes([pair.target for pair, _ in known])
    if partial and not validate:
        learn = validate = [pair for pair, _ in partial]
        notes = (_VALIDATED_ON_TRAINING, *notes)
    return Split((*training, *learn), (*validation, *validate), notes)


def _spot_notes(targets: Sequence[npt.NDArray[np.uint8]]) -> tuple[str, ...]:
    """Return a note where the labels of the only plane that has some are one spot."""
    if len(targets) != 1:
        return ()
    shape = targets[0].shape[-2:]
    *depth, rows, columns = np.nonzero(targets[0] < HELD_OUT)
    if any(np.ptp(slices) for slices in depth):
        return ()
    extent = [int(np.ptp(places)) + 1 for places in (rows, columns)]
    if any(_SPOT * long > size for long, size in zip(extent, shape, strict=True)):
        return ()
    spot, image = (" x ".join(map(str, sizes)) for sizes in (extent, shape))
    return (_ONE_SPOT.format(spot, image),)


def _is_mostly_labelled(target: npt.NDArray[np.uint8]) -> bool:
    return bool(np.mean(target < HELD_OUT) >= 0.5)


def _labelled_slices(pair: TrainingPair) -> list[int]:
    """Return the slices of a volume that are mostly labelled; none of a plane."""
    if pair.target.ndim < 3:
        return []
    return [z for z, plane in enumerate(pair.target) if _is_mostly_labelled(plane)]


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


def _hold_out_slices(
    pair: TrainingPair, fraction: float, generator: np.random.Generator
) -> tuple[list[TrainingPair], list[TrainingPair]]:
    """Hold out slices of a volume that follow each other: neighbours look alike."""
    slices = _labelled_slices(pair)
    counts = [class_counts(pair.target[z]) for z in slices]
    present = np.array(counts) > 0
    number = min(max(1, round(fraction * len(slices))), len(slices) - 1)
    starts = generator.permutation(len(slices) - number + 1).tolist()

    def score(start: int) -> int:
        held = np.zeros(len(slices), dtype=bool)
        held[start : start + number] = True
        return _classes_on_both_sides(present[~held], present[held])

    first = max(starts, key=score)
    held = [
        _Block(0, (slice(z, z + 1), slice(None), slice(None)), counts[i])
        for i, z in enumerate(slices)
        if first <= i < first + number
    ]
    return _divide([pair], _masks([pair], held))


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
    """A square of a plane and how many of its pixels are of each stratum.

    In a volume it reaches through slices.
    """

    pair: int
    region: tuple[slice, ...]
    counts: npt.NDArray[np.int64]


def _hold_out_blocks(
    known: Sequence[tuple[TrainingPair, npt.NDArray[np.bool_]]],
    fraction: float,
    generator: np.random.Generator,
) -> tuple[list[TrainingPair], list[TrainingPair]]:
    """Hold out blocks, as large as leaves enough of them: neighbours look alike."""
    if not known:
        return [], []
    strata, mistaken = _stratify(known)
    best: tuple[tuple[int, bool], list[_Block]] = (0, False), []
    for sizes in _block_sizes(strata[0].ndim):
        blocks = _list_blocks(strata, sizes, len(mistaken))
        held = _choose_blocks(blocks, fraction, generator)
        score = _count_strata(held), len(blocks) >= _ENOUGH_BLOCKS
        if score > best[0]:
            best = score, held
        if best[0] == (len(mistaken), True):
            break
    held = best[1]
    if mistaken.any() and not any(b.counts[mistaken].any() for b in held):
        held = []
    pairs = [pair for pair, _ in known]
    cut = _masks(pairs, held)
    if not held:
        return _divide(pairs, cut)
    edge = held[0].region[-1].stop - held[0].region[-1].start
    targets = [pair.target for pair in pairs]
    return _divide(pairs, keep_strokes_whole(targets, cut, edge, strata))


def _stratify(
    known: Sequence[tuple[TrainingPair, npt.NDArray[np.bool_]]],
) -> tuple[list[npt.NDArray[np.int16]], npt.NDArray[np.bool_]]:
    """Number the combinations of a class and of the model being right or wrong.

    Returns
    -------
    strata
        int16 in the shape of each target, -1 where nobody labelled.
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


def _block_sizes(ndim: int) -> list[tuple[int, ...]]:
    """Return the sizes to try, the best ones first.

    In a volume a block goes through all slices, as the slices beside it look nearly
    like it; only where that is too much it is of one slice.
    """
    squares = [(edge, edge) for edge in _EDGES]
    if ndim == 2:
        return [*squares]
    return [(depth, *square) for depth in (_ALL, 1) for square in squares]


def _list_blocks(
    strata: Sequence[npt.NDArray[np.int16]], sizes: Sequence[int], count: int
) -> list[_Block]:
    """List the blocks of all images that hold labelled pixels."""
    blocks = []
    for index, image in enumerate(strata):
        labelled = image >= 0
        for region in product(*_intervals(labelled, sizes)):
            inside = image[region][labelled[region]]
            if inside.size:
                counts = np.bincount(inside, minlength=count)
                blocks.append(_Block(index, region, counts))
    return blocks


def _intervals(
    labelled: npt.NDArray[np.bool_], sizes: Sequence[int]
) -> Iterator[list[slice]]:
    """Cut each axis into intervals that hold labelled pixels."""
    for axis, size in enumerate(sizes):
        others = tuple(i for i in range(labelled.ndim) if i != axis)
        known = np.flatnonzero(labelled.any(axis=others))
        # The grid starts at the first labelled pixel: a small spot is cut as well.
        first = int(known[0])
        starts = first + size * np.unique((known - first) // size)
        yield [slice(start, start + size) for start in starts.tolist()]


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


def _masks(
    pairs: Sequence[TrainingPair], held: Sequence[_Block]
) -> list[npt.NDArray[np.bool_]]:
    """Return which labelled pixels of each pair lie in the blocks."""
    masks = [np.zeros(pair.target.shape, dtype=bool) for pair in pairs]
    for block in held:
        labels = pairs[block.pair].target[block.region]
        masks[block.pair][block.region] = labels < HELD_OUT
    return masks


def _divide(
    pairs: Sequence[TrainingPair], held: Sequence[npt.NDArray[np.bool_]]
) -> tuple[list[TrainingPair], list[TrainingPair]]:
    training, validation = [], []
    for pair, mask in zip(pairs, held, strict=True):
        if not mask.any():
            training.append(pair)
            continue
        learn = np.where(mask, np.uint8(HELD_OUT), pair.target)
        validate = np.where(mask, pair.target, np.uint8(IGNORE))
        validation.append(replace(pair, target=validate))
        if class_counts(learn).any():
            training.append(without_held_out_objects(replace(pair, target=learn)))
    return training, validation
