"""What a training learns from: pairs, the split that is never empty, crop sampling.

Numpy only; the network's side of a training lives in ``training``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unet_engine.errors import DataError
from unet_engine.spec import IGNORE
from unet_engine.tiling import read_reflected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.spec import ModelSpec

HELD_OUT = 254
"""Training target of a pixel that is kept for validation.

Like ``IGNORE`` it has no loss. It is told apart because the model's own guess, which
may stand in for a pixel that nobody labelled, must not stand in for this one.
"""


NEAR = 12
"""Distance from a label, in pixels, up to which the old guess is not to be trusted:
where a part of an object was corrected, the guess about the rest of it is as wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPair:
    """An image plane and what is known about it.

    Parameters
    ----------
    image
        ``(C, Y, X)`` float32, normalised as for prediction.
    target
        ``(Y, X)`` uint8 class ids; ``IGNORE`` where nobody labelled.
    name
        Shown in messages and kept in the history of the model.
    weight
        How often crops are taken from this pair, relative to the others.
    pixel_weights
        ``(Y, X)`` float32 from 0, how much each labelled pixel counts in the loss;
        None: all alike.

    Raises
    ------
    DataError
        When shapes or types do not fit, or the image has a value that is not finite.
    """

    image: npt.NDArray[np.float32]
    target: npt.NDArray[np.uint8]
    name: str = ""
    weight: float = 1.0
    pixel_weights: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        name = f"{self.name}: " if self.name else ""
        if self.image.ndim != 3 or self.image.dtype != np.float32:
            raise DataError(
                f"{name}a training image must be (C, Y, X) float32, got "
                f"{self.image.shape} {self.image.dtype}; normalise it as for prediction"
            )
        if self.target.shape != self.image.shape[1:]:
            raise DataError(
                f"{name}the labels are {_size(self.target.shape)} but the image is "
                f"{_size(self.image.shape[1:])} pixels; give labels of the same shape"
            )
        if self.target.dtype != np.uint8:
            raise DataError(
                f"{name}the target must be uint8 class ids, got {self.target.dtype}"
            )
        if not np.isfinite(self.image).all():
            raise DataError(
                f"{name}the image has NaN or infinite values; normalise it as for "
                "prediction, which replaces them"
            )
        if not 0 < self.weight < float("inf"):
            raise DataError(f"{name}weight {self.weight} is not a number above 0")
        if self.pixel_weights is not None:
            _check_pixel_weights(self.pixel_weights, self.target.shape, name)


def _check_pixel_weights(
    weights: npt.NDArray[np.float32], shape: tuple[int, ...], name: str
) -> None:
    if weights.shape != shape or weights.dtype != np.float32:
        raise DataError(
            f"{name}the pixel weights are {_size(weights.shape)} {weights.dtype}; give "
            f"float32 of the size of the labels, {_size(shape)}"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise DataError(
            f"{name}a pixel weight is negative or not finite; use 0 or more"
        )


def targets_from_instances(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Turn object ids into the classes background (0) and foreground (1).

    Parameters
    ----------
    labels
        Object ids of any integer type; 0 and below are background.
    """
    return (np.asarray(labels) > 0).astype(np.uint8)


def check_pairs(pairs: Sequence[TrainingPair], spec: ModelSpec) -> None:
    """Check that a model of ``spec`` can learn from the pairs.

    Raises
    ------
    DataError
        Without labelled pixels, with fewer than two classes over all pairs, with a
        class the model does not have, or with the wrong number of channels.
    """
    if not pairs:
        raise DataError("there is nothing to learn from; give an image and its labels")
    for pair in pairs:
        if pair.image.shape[0] != spec.in_channels:
            raise DataError(
                f"{pair.name or 'an image'} has {pair.image.shape[0]} channels but the "
                f"model takes {spec.in_channels}; train images of one kind together "
                "and start from a model made for it"
            )
    used = sum(np.bincount(pair.target.ravel(), minlength=256) for pair in pairs)
    present = np.flatnonzero(used)
    present = present[present != IGNORE]
    if not present.size:
        raise DataError(
            "no pixel is labelled; paint at least one stroke of two classes"
        )
    if present.size < 2:
        raise DataError(
            f"all labelled pixels are class {present[0]}; paint at least one stroke "
            "of two classes, such as background and foreground"
        )
    if present[-1] >= len(spec.classes):
        raise DataError(
            f"the labels have class {present[-1]} but the model has "
            f"{len(spec.classes)} classes ({', '.join(spec.classes)}); give it more "
            "classes, or say that the labels are object ids"
        )


def class_counts(target: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Count the pixels of each class id, ``(HELD_OUT,)``; the unlabelled left out."""
    return np.bincount(target.ravel(), minlength=256)[:HELD_OUT]


def far_from_labels(target: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return the unlabelled pixels farther than ``NEAR`` from any label, ``(Y, X)``."""
    near = ndimage.maximum_filter(target != IGNORE, size=2 * NEAR + 1)
    return ~np.asarray(near, dtype=bool)


class Crops(NamedTuple):
    """What a training step sees.

    Attributes
    ----------
    images
        ``(N, C, size, size)`` float32.
    targets
        ``(N, size, size)`` uint8.
    weights
        ``(N, size, size)`` float32, or None when all pixels count alike.
    """

    images: npt.NDArray[np.float32]
    targets: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class _Centres:
    """Where the crops of one class may be centred in one pair."""

    pair: int
    pixels: npt.NDArray[np.int64]


class CropSampler:
    """Draw crops around labelled pixels, with replacement.

    A crop is centred near a labelled pixel: half of the time of a class chosen evenly,
    so that a rare class is seen, else of any class as often as it occurs. Each pair
    counts by its weight, whatever its size.

    Parameters
    ----------
    pairs
        What to draw from; pairs without a labelled pixel are left out.
    size
        Edge of the returned crops in pixels.
    jitter
        Largest distance per axis of the crop's centre from the labelled pixel, which
        stays in the crop.
    generator
        Source of chance.
    anywhere
        Share of the crops that may be centred on any pixel, labelled or not.
    """

    _MOST_CENTRES = 16384

    def __init__(
        self,
        pairs: Sequence[TrainingPair],
        *,
        size: int,
        jitter: int,
        generator: np.random.Generator,
        anywhere: float = 0.0,
    ) -> None:
        self._pairs = tuple(pairs)
        self._anywhere = anywhere
        self._size = size
        self._jitter = min(jitter, (size - 1) // 2)
        self._generator = generator
        self._weighted_pixels = any(p.pixel_weights is not None for p in pairs)
        self._centres: dict[int, list[_Centres]] = {}
        self._shares: list[npt.NDArray[np.float64]] = []
        for index, pair in enumerate(self._pairs):
            counts = class_counts(pair.target)
            self._shares.append(counts / max(1, counts.sum()))
            for label in np.flatnonzero(counts):
                pixels = np.flatnonzero(pair.target == label)
                if pixels.size > self._MOST_CENTRES:
                    pixels = generator.choice(pixels, self._MOST_CENTRES, replace=False)
                self._centres.setdefault(int(label), []).append(_Centres(index, pixels))
        self._classes = sorted(self._centres)
        self._labelled = [i for i, s in enumerate(self._shares) if s.any()]
        self._lookup = {
            (c.pair, label): c for label, cs in self._centres.items() for c in cs
        }

    def draw(self, count: int) -> Crops:
        """Draw crops, mirrored beyond the image, where their target is ``IGNORE``."""
        crops = [self._crop(*self._choose()) for _ in range(count)]
        images, targets, weights = (np.stack(part) for part in zip(*crops, strict=True))
        return Crops(images, targets, weights if self._weighted_pixels else None)

    def _choose(self) -> tuple[TrainingPair, int]:
        """Choose a pair and the flat position of a pixel in it."""
        rng = self._generator
        if rng.random() < self._anywhere:
            pair = self._pairs[self._weighted(range(len(self._pairs)))]
            return pair, int(rng.integers(pair.target.size))
        if rng.random() < 0.5:
            label = int(rng.choice(self._classes))
            candidates = self._centres[label]
            chosen = candidates[self._weighted([c.pair for c in candidates])]
        else:
            index = self._labelled[self._weighted(self._labelled)]
            label = int(rng.choice(HELD_OUT, p=self._shares[index]))
            chosen = self._lookup[index, label]
        return self._pairs[chosen.pair], int(rng.choice(chosen.pixels))

    def _weighted(self, indices: Sequence[int]) -> int:
        weights = np.array([self._pairs[i].weight for i in indices], dtype=np.float64)
        return int(self._generator.choice(len(indices), p=weights / weights.sum()))

    def _crop(self, pair: TrainingPair, position: int) -> tuple[npt.NDArray[Any], ...]:
        shape = pair.target.shape
        jitter = self._generator.integers(-self._jitter, self._jitter + 1, size=2)
        centre = np.array(np.unravel_index(position, shape)) + jitter
        starts = centre - self._size // 2
        outer = [(int(s), int(s) + self._size) for s in starts]
        image = read_reflected(lambda at: pair.image[:, *at], outer, shape)
        target = np.full((self._size, self._size), IGNORE, dtype=np.uint8)
        weights = np.ones(target.shape, dtype=np.float32)
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
        return image.astype(np.float32, copy=False), target, weights


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
