"""Crops of what a training learns from: how large they are and where they lie.

Numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.models.spec import ARCHITECTURES
from unet_engine.tiling.tiles import read_reflected
from unet_engine.training.data.pairs import class_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unet_engine.models.spec import ModelSpec
    from unet_engine.training.data.pairs import TrainingPair


_VOXELS = 1
"""Voxels in a crop of a volume for each pixel in a crop of a plane."""

_THIN = 2.0
"""Depth of a stack, in depths of a crop, up to which it is not cut."""


class CropShape(NamedTuple):
    """How large crops are, per spatial axis.

    Attributes
    ----------
    learned
        Pixels that the network predicts.
    margin
        Context that a network without padding needs on each side; else 0.
    """

    learned: tuple[int, ...]
    margin: tuple[int, ...]

    @property
    def outer(self) -> tuple[int, ...]:
        """Size of the network's input."""
        return tuple(n + 2 * m for n, m in zip(self.learned, self.margin, strict=True))

    @property
    def inner(self) -> tuple[slice, ...]:
        """Which part of its input the network predicts."""
        return tuple(
            slice(m, m + n) for n, m in zip(self.learned, self.margin, strict=True)
        )


def crop_shape(
    spec: ModelSpec, shapes: Sequence[tuple[int, ...]], crop: int
) -> CropShape:
    """Choose crops that the network can take, not larger than the largest image needs.

    Parameters
    ----------
    spec
        Of the network.
    shapes
        Spatial shapes of all images.
    crop
        Edge in a plane. A crop of a volume has about as many voxels as the square of
        it; it is as deep as it is wide in the volume that the poolings make of the
        slices, and takes in the whole depth of a thin stack.
    """
    footprint = spec.footprint
    padded = ARCHITECTURES[spec.architecture].padded
    margin = (0,) * spec.ndim if padded else footprint.halo
    extent = tuple(max(sizes) for sizes in zip(*shapes, strict=True))
    widest = max(extent[-2:])
    wanted: tuple[int, ...] = (min(crop, widest),) * 2
    if spec.ndim == 3:
        wanted = _volume(crop, extent[0], widest, spec)
    fitting = (
        footprint.allowed_size(size + 2 * m, axis) - 2 * m
        for axis, (size, m) in enumerate(zip(wanted, margin, strict=True))
    )
    return CropShape(tuple(fitting), margin)


def volume_around(
    labelled: npt.NDArray[np.bool_], spec: ModelSpec, crop: int
) -> tuple[slice, ...]:
    """Return the box around the labelled voxels, with what the crops read around it.

    Parameters
    ----------
    labelled
        ``(Z, Y, X)`` bool, True somewhere.
    spec, crop
        As for ``crop_shape``.

    Returns
    -------
    tuple of slice
        Of Z, Y and X, inside the volume.
    """
    (box,) = ndimage.find_objects(labelled.astype(np.uint8))
    return with_context(box, labelled.shape, spec, crop)


def with_context(
    box: Sequence[slice], shape: tuple[int, ...], spec: ModelSpec, crop: int
) -> tuple[slice, ...]:
    """Enlarge a box of labelled voxels by what crops read around it in a volume."""
    # A crop is turned and zoomed, and its centre moves by a third of it.
    context = [2 * size for size in crop_shape(spec, [shape], crop).outer]
    return tuple(
        slice(max(0, part.start - reach), min(size, part.stop + reach))
        for part, reach, size in zip(box, context, shape, strict=True)
    )


def _volume(
    crop: int, depth: int, widest: int, spec: ModelSpec
) -> tuple[int, int, int]:
    """Return sizes that become those of a crop when rounded up to the pooling grid."""
    across, *_, along = spec.footprint.divisor
    voxels = _VOXELS * crop**2
    deep = (voxels * (across / along) ** 2) ** (1 / 3)
    deep = depth if depth <= _THIN * deep else _nearest(deep, across)
    edge = _nearest(sqrt(voxels / max(deep, across)), along)
    return deep, min(edge, widest), min(edge, widest)


def _nearest(size: float, divisor: int) -> int:
    return max(1, round(size / divisor)) * divisor


class Crops(NamedTuple):
    """The input of a training step.

    Attributes
    ----------
    images
        ``(N, C, *shape)`` float32.
    targets
        ``(N, *shape)`` uint8.
    weights
        ``(N, *shape)`` float32, or None when all pixels count alike.
    soft_targets
        ``(N, classes, *shape)`` float32, 0 where nothing is known, or None when
        nothing is known anywhere.
    object_maps
        ``(N, maps, *shape)`` float32, NaN where nothing is known; None as above.
    """

    images: npt.NDArray[np.float32]
    targets: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float32] | None
    soft_targets: npt.NDArray[np.float32] | None = None
    object_maps: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class _Centres:
    """Where the crops of one class may be centred in one pair."""

    pair: int
    pixels: npt.NDArray[np.int64]


class CropSampler:
    """Draw crops around labelled pixels, with replacement.

    A crop is centred near a labelled pixel: half of the time of a class chosen evenly,
    so that a rare class is not missed, else of any class as often as it occurs. Each
    pair counts by its weight, whatever its size.

    Parameters
    ----------
    pairs
        What to draw from; pairs without a labelled pixel are left out.
    shape
        Spatial shape of the returned crops.
    jitter
        Largest distance per axis of the crop's centre from the labelled pixel, which
        stays in the crop.
    generator
        Random numbers.
    anywhere
        Share of the crops that may be centred on any pixel, labelled or not; of a pair
        with soft targets on any pixel that has one, if there is one.
    margin
        Border per axis that nothing is learned from.
    """

    _MOST_CENTRES = 16384
    """Pixels of a class and pair that are remembered as centres: 128 KiB."""

    def __init__(
        self,
        pairs: Sequence[TrainingPair],
        *,
        shape: Sequence[int],
        jitter: Sequence[int],
        generator: np.random.Generator,
        anywhere: float = 0.0,
        margin: Sequence[int] | None = None,
    ) -> None:
        self._pairs = tuple(pairs)
        self._anywhere = anywhere
        self._shape = tuple(shape)
        self._jitter = [
            min(j, (n - 1) // 2) for j, n in zip(jitter, shape, strict=True)
        ]
        self._margin = tuple(margin or (0,) * len(self._shape))
        self._generator = generator
        self._weighted_pixels = any(p.pixel_weights is not None for p in pairs)
        soft_targets = [len(p.soft_target) for p in pairs if p.soft_target is not None]
        self._soft_classes = soft_targets[0] if soft_targets else 0
        maps = [len(p.object_maps) for p in pairs if p.object_maps is not None]
        self._maps = maps[0] if maps else 0
        self._soft_pixels = [self._find_soft_pixels(p) for p in self._pairs]
        self._centres: dict[int, list[_Centres]] = {}
        self._shares: list[npt.NDArray[np.float64]] = []
        for index, pair in enumerate(self._pairs):
            counts = class_counts(pair.target)
            self._shares.append(counts / max(1, counts.sum()))
            for label in np.flatnonzero(counts):
                pixels = self._some(np.flatnonzero(pair.target == label))
                self._centres.setdefault(int(label), []).append(_Centres(index, pixels))
        self._classes = sorted(self._centres)
        self._labelled = [i for i, s in enumerate(self._shares) if s.any()]
        self._lookup = {
            (c.pair, label): c for label, cs in self._centres.items() for c in cs
        }

    def draw(self, count: int) -> Crops:
        """Draw crops, mirrored beyond the image, where their target is ``IGNORE``."""
        crops = [self._crop(*self._choose()) for _ in range(count)]
        images, targets, weights, soft_targets, maps = (
            np.stack(part) for part in zip(*crops, strict=True)
        )
        return Crops(
            images,
            targets,
            weights if self._weighted_pixels else None,
            soft_targets if self._soft_classes else None,
            maps if self._maps else None,
        )

    def _choose(self) -> tuple[TrainingPair, int]:
        """Choose a pair and the flat position of a pixel in it."""
        rng = self._generator
        if rng.random() < self._anywhere:
            index = self._weighted(range(len(self._pairs)))
            pair, soft_pixels = self._pairs[index], self._soft_pixels[index]
            if soft_pixels is None:
                return pair, int(rng.integers(pair.target.size))
            if soft_pixels.size:
                return pair, int(rng.choice(soft_pixels))
            # Time ran out before this pair got any soft target: its labels remain.
        if rng.random() < 0.5:
            label = int(rng.choice(self._classes))
            candidates = self._centres[label]
            chosen = candidates[self._weighted([c.pair for c in candidates])]
        else:
            index = self._labelled[self._weighted(self._labelled)]
            label = int(rng.choice(HELD_OUT, p=self._shares[index]))
            chosen = self._lookup[index, label]
        return self._pairs[chosen.pair], int(rng.choice(chosen.pixels))

    def _find_soft_pixels(self, pair: TrainingPair) -> npt.NDArray[np.int64] | None:
        """Return where soft targets are; None without any or for everywhere."""
        if pair.soft_target is None:
            return None
        known = pair.soft_target.any(axis=0)
        return None if known.all() else self._some(np.flatnonzero(known))

    def _some(self, pixels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if pixels.size <= self._MOST_CENTRES:
            return pixels
        return self._generator.choice(pixels, self._MOST_CENTRES, replace=False)

    def _weighted(self, indices: Sequence[int]) -> int:
        weights = np.array([self._pairs[i].weight for i in indices], dtype=np.float64)
        return int(self._generator.choice(len(indices), p=weights / weights.sum()))

    def _crop(self, pair: TrainingPair, position: int) -> tuple[npt.NDArray[Any], ...]:
        shape = pair.target.shape
        starts = self._starts(np.unravel_index(position, shape), shape)
        outer = [(s, s + n) for s, n in zip(starts, self._shape, strict=True)]
        image = read_reflected(lambda at: pair.image[:, *at], outer, shape)
        target = np.full(self._shape, IGNORE, dtype=np.uint8)
        weights = np.ones(self._shape, dtype=np.float32)
        soft_target = np.zeros((self._soft_classes, *self._shape), dtype=np.float32)
        maps = np.full((self._maps, *self._shape), np.nan, dtype=np.float32)
        inside = tuple(
            slice(max(0, low), min(high, n))
            for (low, high), n in zip(outer, shape, strict=True)
        )
        local = tuple(
            slice(s.start - low, s.stop - low)
            for s, (low, _) in zip(inside, outer, strict=True)
        )
        target[local] = pair.target[inside]
        if pair.pixel_weights is not None:
            weights[local] = pair.pixel_weights[inside]
        if pair.soft_target is not None:
            soft_target[:, *local] = pair.soft_target[:, *inside]
        if pair.object_maps is not None:
            maps[:, *local] = pair.object_maps[:, *inside]
        return image.astype(np.float32, copy=False), target, weights, soft_target, maps

    def _starts(self, centre: Sequence[np.intp], shape: Sequence[int]) -> Iterator[int]:
        """Yield where a crop begins along each axis."""
        for axis, (size, jitter) in enumerate(
            zip(self._shape, self._jitter, strict=True)
        ):
            moved = int(self._generator.integers(-jitter, jitter + 1))
            start = int(centre[axis]) + moved - size // 2
            margin = self._margin[axis]
            spare = size - 2 * margin - shape[axis]
            if axis == len(shape) - 3 and spare >= 0:
                # All slices of a stack that fits: each crop then holds all that is
                # annotated above and below.
                start = min(max(start, -margin - spare), -margin)
            yield start
