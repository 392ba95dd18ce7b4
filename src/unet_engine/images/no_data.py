"""Pixels that were never recorded: what stitching, rotation and registration fill in.

NaN and infinite pixels are no data wherever they are. A constant is, if it is the fill
of a border; which constants are, is decided once for an image from the sample on which
its brightness is measured. A fill is a value of all samples of a pixel (of each channel
by itself, of red, green and blue together) that

- runs along the border of the image, or is black and meets it,
- can be reached from the border in a straight line, row or column, nearly everywhere
  where it occurs: the background between objects cannot,
- lies apart from all else: less than half a percent of the rest is nearer to it than a
  quarter of the distance of the tenth percentile. A background of true zeros, clipped
  noise and saturated glass go over into the values beside them.

Where a fill is known, each of its pixels in a straight run of 16 or more is no data;
what lies beyond the border of the image counts as part of a run. That is a property of
the neighbourhood, so every region that is read gives the same, however it is cut.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    Pixels = npt.NDArray[Any]

Value = tuple[float, ...]
"""Of a pixel, one number for each sample that belongs together."""

Fill = tuple[Value, ...]
"""The values that fill the border: of one channel, or of red, green and blue."""

RUN = 16
"""Pixels in a row or column that a fill has at least: chance has fewer alike."""

_FEWEST = 32
"""Pixels below which nothing is taken for a border: no statistic depends on them."""

_LEAST_SHARE = 0.0005
"""Share of the sample that a fill has at least: less changes no percentile much."""

_LEAST_REST = 0.2
"""Share of the planes that must be image: objects on a black background cover less."""

_NEAR = 0.25
"""Part of the distance between a fill and the tenth percentile of the rest within which
a pixel counts as near to the fill."""

_MOST_NEAR = 0.005
"""Share of the rest that may be near to a fill: chosen on the images of "The brightness
of images with filled borders" in benchmarks/RESULTS.md."""

_COMPARED = 2**18
"""Pixels of the rest that are compared with a fill, evenly chosen."""

_MOST_FILLS = 3
"""Values that a border may have: black and white margins, and one more."""

_UNLABELLED = np.uint8(IGNORE)

_MOST_CANDIDATES = 4
"""Values along the border that are tried: each costs a pass over the sample."""

_EXACT_BYTES = 4
"""Of integers that a float of 8 bytes holds exactly."""

_ROWS = 64
"""Rows in which columns are followed at a time: they fit the cache of a processor."""


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """A block of the sample on which the brightness is measured.

    Attributes
    ----------
    pixels
        ``(samples, h, w)``.
    sides
        Whether its first row, last row, first and last column are those of the image.
    """

    pixels: Pixels
    sides: tuple[bool, bool, bool, bool]

    def of(self, samples: slice) -> SampleBlock:
        """Return the block with some of its samples."""
        return SampleBlock(self.pixels[samples], self.sides)

    def edges(self) -> Iterable[Pixels]:
        """Return the rows and columns that are the border of the image.

        Each ``(samples, n)``.
        """
        lines = (
            self.pixels[:, 0],
            self.pixels[:, -1],
            self.pixels[:, :, 0],
            self.pixels[:, :, -1],
        )
        return (
            line for line, is_side in zip(lines, self.sides, strict=True) if is_side
        )


def find_fill(blocks: Sequence[SampleBlock]) -> Fill:
    """Return the values that fill the border of an image; ``()`` if none does.

    Parameters
    ----------
    blocks
        The sample, of samples that belong together.
    """
    if any(min(block.pixels.shape[1:]) < RUN for block in blocks):
        # In a narrow image every pixel is near to the border.
        return ()
    found: Fill = ()
    for _ in range(_MOST_FILLS):
        candidates = _on_edges(blocks)
        if found or _is_black_somewhere(blocks):
            # A black corner may lie behind a white margin, and the other way round; a
            # black line of a scan meets the border at its ends only.
            candidates += _extremes(blocks[0].pixels)
        new = [v for v in dict.fromkeys(candidates) if v not in found]
        value = next((v for v in new if _is_fill(blocks, v, found)), None)
        if value is None:
            break
        found = (*found, value)
    return found


def equals(pixels: Pixels, fill: Fill) -> Mask:
    """Compare pixels ``(samples, ...)`` with the values of a fill: ``(...)`` bool."""
    same: Mask | None = None
    for value in fill:
        each = _same_as(pixels[0], value[0])
        for sample, number in zip(pixels[1:], value[1:], strict=True):
            each &= _same_as(sample, number)
        same = each if same is None else np.logical_or(same, each, out=same)
    return np.zeros(pixels.shape[1:], bool) if same is None else same


def _same_as(sample: Pixels, number: float) -> Mask:
    """Compare pixels with a number; whole numbers as such, not as floats."""
    kind, size = sample.dtype.kind, sample.dtype.itemsize
    if kind not in "iu" or size > _EXACT_BYTES:
        return np.asarray(sample == number)
    bounds = np.iinfo(sample.dtype)
    if not (number.is_integer() and bounds.min <= number <= bounds.max):
        return np.zeros(sample.shape, bool)
    return np.asarray(sample == sample.dtype.type(int(number)))


def missing(pixels: Pixels, fill: Fill, sides: Sequence[bool]) -> Mask:
    """Find the pixels of a region that are the fill of a border.

    Parameters
    ----------
    pixels
        ``(samples, h, w)``, with ``RUN`` pixels of context where the image goes on.
    fill
        As ``find_fill`` returns it.
    sides
        Whether the first row, last row, first and last column are those of the image.

    Returns
    -------
    ndarray
        ``(h, w)`` bool.
    """
    same = equals(pixels, fill)
    if not same.any():
        return same
    top, bottom, left, right = (RUN * bool(side) for side in sides)
    rows = _in_runs(np.pad(same, ((0, 0), (left, right)), constant_values=True))
    columns = _in_runs(np.pad(same, ((top, bottom), (0, 0)), constant_values=True).T).T
    height, width = same.shape
    return rows[:, left : left + width] | columns[top : top + height]


def unrecorded(block: Pixels) -> Mask | None:
    """Find where no channel of a block is a finite number.

    Parameters
    ----------
    block
        ``(C, *spatial)`` as ``read`` of a marked image returns it.

    Returns
    -------
    ndarray or None
        ``(*spatial)`` bool; None where every pixel has a number.
    """
    if block.dtype.kind != "f":
        return None
    lost: Mask = np.logical_not(np.isfinite(block).any(axis=0))
    return lost if lost.any() else None


def recorded_target(target: npt.NDArray[np.uint8], block: Pixels) -> Any:
    """Return a training target without the pixels of no data: nothing is learned there.

    Parameters
    ----------
    target
        ``(*spatial)`` class ids.
    block
        ``(C, *spatial)`` of the same place, as ``read`` of a marked image returns it.

    Returns
    -------
    ndarray
        ``(*spatial)`` uint8, ``IGNORE`` where there are no data.
    """
    lost = unrecorded(block)
    return target if lost is None else np.where(lost, _UNLABELLED, target)


def count_unrecorded(target: npt.NDArray[np.uint8], block: Pixels) -> int:
    """Return how many labelled pixels `recorded_target` leaves out.

    The target is ``(*spatial)`` and the block ``(C, *spatial)``, as it takes them.
    """
    lost = unrecorded(block)
    return 0 if lost is None else int(np.count_nonzero(lost & (target != _UNLABELLED)))


def describe_unrecorded(count: int) -> str:
    """Return the note that labelled pixels have no data; "" for none."""
    if not count:
        return ""
    return (
        f"{count} labelled pixel{'s' * (count != 1)} without data (NaN, or the fill of "
        "a border) left out"
    )


def _in_runs(same: Mask) -> Mask:
    """Find the pixels that lie in a run of ``RUN`` along the last axis."""
    length = same.shape[-1]
    if length < RUN:
        return np.zeros_like(same)
    total = np.cumsum(np.pad(same, ((0, 0), (1, 0))), axis=-1, dtype=np.int32)
    begins = total[:, RUN:] - total[:, :-RUN] == RUN
    reached = np.cumsum(
        np.pad(begins, ((0, 0), (RUN, RUN - 1))), axis=-1, dtype=np.int32
    )
    found: Mask = reached[:, RUN:] > reached[:, :-RUN]
    return found


def _on_edges(blocks: Sequence[SampleBlock]) -> list[Value]:
    """Return the values that run along the border, the most frequent first."""
    counts: Counter[Value] = Counter()
    for block in blocks:
        for line in block.edges():
            run = _same_along(line)
            if run.any():
                values, number = np.unique(line[:, run], axis=1, return_counts=True)
                for value, count in zip(values.T.tolist(), number, strict=True):
                    counts[tuple(map(float, value))] += int(count)
    return [value for value, _ in counts.most_common(_MOST_CANDIDATES)]


def _same_along(line: Pixels) -> Mask:
    """Find the pixels of ``(samples, n)`` at which a run of one value begins."""
    length = min(RUN, line.shape[1])
    steps = (line[:, 1:] == line[:, :-1]).all(axis=0)
    total = np.cumsum(np.pad(steps, (1, 0)), dtype=np.int32)
    runs = total[length - 1 :] - total[: total.size - length + 1] == length - 1
    return np.pad(runs, (0, length - 1))


def _is_black_somewhere(blocks: Sequence[SampleBlock]) -> bool:
    """Whether a pixel of the border is zero in all samples."""
    return any(
        bool((~line.any(axis=0)).any()) for block in blocks for line in block.edges()
    )


def _extremes(pixels: Pixels) -> list[Value]:
    """Return black, and white where the type has one, as values of a pixel."""
    most = [float(np.iinfo(pixels.dtype).max)] if pixels.dtype.kind in "iu" else []
    return [(number,) * len(pixels) for number in (0.0, *most)]


def _is_fill(blocks: Sequence[SampleBlock], value: Value, known: Fill) -> bool:
    """Whether a value fills the border and hardly occurs elsewhere."""
    total = sum(block.pixels[0].size for block in blocks)
    step = max(1, total // _COMPARED)
    reached = rest = seen = 0
    others = []
    if known and not any(equals(block.pixels, (value,)).any() for block in blocks):
        return False
    for block in blocks:
        same = equals(block.pixels, (*known, value))
        straight = _straight_from_sides(same)
        own = straight & equals(block.pixels, (value,)) if known else straight
        reached += int(np.count_nonzero(own))
        if straight.all():
            continue
        seen += straight.size
        rest += straight.size - int(np.count_nonzero(straight))
        other = ~straight.ravel()[::step]
        chosen = block.pixels.reshape(len(value), -1)[:, ::step]
        others.append(np.stack([sample[other] for sample in chosen]))
    if reached < max(_FEWEST, _LEAST_SHARE * total) or rest < _LEAST_REST * seen:
        return False
    return bool(others) and _lies_apart(np.concatenate(others, axis=1), value)


def _straight_from_sides(same: Mask) -> Mask:
    """Find the pixels that a straight line from a side reaches through such only."""
    if not same.any() or same.all():
        return same
    # The ends of the lines are far fewer than the pixels that are compared with them,
    # in the smallest type that holds them.
    height, width = same.shape
    ends = np.min_scalar_type(max(height, width))
    rows, columns = np.arange(height, dtype=ends)[:, None], np.arange(width, dtype=ends)
    right = width - _run_length(same[:, ::-1])
    bottom = height - _column_run_length(same[::-1])
    reached: Mask = columns < _run_length(same).astype(ends)[:, None]
    reached |= columns >= right.astype(ends)[:, None]
    reached |= rows < _column_run_length(same).astype(ends)
    reached |= rows >= bottom.astype(ends)
    return reached


def _run_length(same: Mask) -> npt.NDArray[np.intp]:
    """Return how many pixels of each row are such before the first that is not."""
    first: npt.NDArray[np.intp] = same.argmin(axis=1)
    first[same[np.arange(len(same)), first]] = same.shape[1]
    return first


def _column_run_length(same: Mask) -> npt.NDArray[np.intp]:
    """Return the same of each column, from some rows at a time as they lie in memory.

    Most columns end after a few rows, and numpy goes through all of each.
    """
    length = np.full(same.shape[1], len(same), np.intp)
    going = np.arange(same.shape[1])
    for start in range(0, len(same), _ROWS):
        part = same[start : start + _ROWS]
        if going.size < same.shape[1]:
            part = part[:, going]
        ends = ~part.all(axis=0)
        length[going[ends]] = start + part[:, ends].argmin(axis=0)
        going = going[~ends]
        if not going.size:
            break
    return length


def _lies_apart(rest: Pixels, value: Value) -> bool:
    """Whether hardly a pixel of ``(samples, n)`` is near to a value."""
    with np.errstate(invalid="ignore"):
        distance = np.abs(rest.astype(np.float64) - np.array(value)[:, None])
    distance = distance.max(axis=0)
    distance = distance[np.isfinite(distance)]
    if not distance.size or distance.min() == distance.max():
        # What is left has no structure: a drawing, not an image in a frame.
        return False
    near = distance <= _NEAR * np.percentile(distance, 10)
    return float(near.mean()) < _MOST_NEAR
