"""Batches of crops of objects at the scale of a model, with their targets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage

from bundled_models.labelled_image import resized
from bundled_models.object_recipe import ZOOM
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from torch import Tensor

    from bundled_models.labelled_image import Floats, Ids, LabelledImage
    from bundled_models.object_recipe import ObjectRecipe, Random

_MOST_ENLARGED = 3.0
"""An image is not enlarged by more: it has no detail left."""
CONTACT_WEIGHT = 8.0
"""How much more the loss of the maps counts between two objects that touch: such pixels
are few, and decide whether the objects are separated (Ronneberger et al. 2015, section
3, whose largest weight is 10)."""
_CONTACT_REACH = 2
"""Pixels of the model's grid from both objects within which they are taken to touch."""
_AT_CONTACTS = 0.5
"""How often the crops that show objects are cut around a contact, if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Crops and their targets.

    Attributes
    ----------
    images
        ``(N, 1, Y, X)`` float32, normalised.
    target
        ``(N, Y, X)`` int64: 0, 1 or ``IGNORE``.
    maps
        ``(N, 2, Y, X)`` float32: distance and boundary, in [0, 1].
    weights
        ``(N, 1, Y, X)`` float32: how much the maps count; 0 where they are not known.
    """

    images: Tensor
    target: Tensor
    maps: Tensor
    weights: Tensor


def draw_batch(
    recipe: ObjectRecipe,
    images: dict[str, list[LabelledImage]],
    count: int,
    size: int,
    seed: Sequence[int],
) -> Batch:
    """Draw the batch of a step, which depends on the seed and on nothing else.

    ``images`` are those of each set of the recipe, and of ``GENERATED``.
    """
    rng = np.random.default_rng(seed)
    names = [name for name, found in images.items() if found]
    weights = np.array([recipe.shares[name] for name in names])
    drawn = []
    for name in rng.choice(names, count, p=weights / weights.sum()):
        chosen = images[name][rng.integers(len(images[name]))]
        drawn.append(draw_crop(recipe, chosen, size, rng))
    pixels, targets, maps, weights = (
        torch.from_numpy(np.stack(parts)) for parts in zip(*drawn, strict=True)
    )
    return Batch(images=pixels, target=targets.long(), maps=maps, weights=weights)


def draw_crop(
    recipe: ObjectRecipe, image: LabelledImage, size: int, rng: Random
) -> tuple[npt.NDArray[Any], ...]:
    """Draw a crop at a random scale, turn it, vary it, and make its targets."""
    cut = _cut(image, size, recipe.object_size, rng)
    pixels, ids, distance = _turned(*cut, size, rng)
    seen = recipe.show(image, pixels, ids, rng)
    target = np.where(ids < 0, IGNORE, ids > 0).astype(np.uint8)
    known = (ids >= 0) & image.separated
    maps = np.stack([np.clip(distance, 0, 1) * (ids > 0), boundary(ids)])
    weights = known * (1 + CONTACT_WEIGHT * contacts(ids, _CONTACT_REACH))
    return seen[None], target, maps.astype(np.float32), weights[None].astype(np.float32)


def contacts(ids: Ids, reach: int) -> npt.NDArray[np.bool_]:
    """Return the pixels that are within ``reach`` of two objects, ``(Y, X)``."""
    width = 2 * reach + 1
    last = ndimage.maximum_filter(ids, width)
    first = ndimage.minimum_filter(
        np.where(ids > 0, ids, np.iinfo(ids.dtype).max), width
    )
    found: npt.NDArray[np.bool_] = (last > 0) & (first < last)
    return found


def boundary(ids: Ids) -> npt.NDArray[np.bool_]:
    """Return the object pixels beside another object or the ground, ``(Y, X)``."""
    found = np.zeros(ids.shape, bool)
    for axis in 0, 1:
        first = [slice(None)] * 2
        second = [slice(None)] * 2
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        one, other = tuple(first), tuple(second)
        differs = (ids[one] != ids[other]) & (ids[one] >= 0) & (ids[other] >= 0)
        found[one] |= differs
        found[other] |= differs
    return found & (ids > 0)


def _cut(
    image: LabelledImage, size: int, object_size: float, rng: Random
) -> tuple[Floats, Ids, Floats]:
    """Cut a square around an object or anywhere, and bring it to a random scale.

    A crop that is to be turned is larger than ``size`` by the diagonal.
    """
    wide = math.ceil(1.42 * size) if rng.random() < 0.3 else size
    zoom = math.exp(rng.uniform(-1, 1) * math.log(ZOOM))
    factor = min(_MOST_ENLARGED, zoom * object_size / image.diameter)
    factors = [factor * math.exp(rng.normal(0, 0.07)) for _ in range(2)]
    seen = [math.ceil(wide / f) + 1 for f in factors]
    centre = [int(rng.integers(n)) for n in image.ids.shape]
    places = np.flatnonzero(image.ids > 0)
    if places.size and rng.random() < 0.7:
        if image.separated and rng.random() < _AT_CONTACTS:
            touching = np.flatnonzero(contacts(image.ids, 1))
            places = touching if touching.size else places
        place = places[rng.integers(places.size)]
        centre = [int(n) for n in np.unravel_index(place, image.ids.shape)]
    starts = [
        min(max(0, c - s // 2 + int(rng.integers(-s // 3, s // 3 + 1))), max(0, n - s))
        for c, s, n in zip(centre, seen, image.ids.shape, strict=True)
    ]
    box = tuple(slice(a, a + s) for a, s in zip(starts, seen, strict=True))
    pixels, ids, distance = image.pixels[:, *box], image.ids[box], image.distance[box]
    lacking = [(0, s - n) for s, n in zip(seen, ids.shape, strict=True)]
    if any(after for _, after in lacking):
        pixels = np.pad(pixels, [(0, 0), *lacking], mode="symmetric")
        ids = np.pad(ids, lacking, constant_values=-1)
        distance = np.pad(distance, lacking)
    scale = tuple((wide + 0.01) / s for s in seen)
    return resized(pixels, ids, distance, (scale[0], scale[1]))


def _turned(
    pixels: Floats, ids: Ids, distance: Floats, size: int, rng: Random
) -> tuple[Floats, Ids, Floats]:
    """Turn by any angle if the crop is large enough, by quarters, and mirror."""
    if len(ids) > size:
        angle = rng.uniform(0, 90)
        maps = np.concatenate([pixels, distance[None]])
        maps = ndimage.rotate(
            maps, angle, axes=(1, 2), reshape=False, order=1, mode="mirror"
        )
        ids = ndimage.rotate(ids, angle, reshape=False, order=0, cval=-1)
        edge = (len(ids) - size) // 2
        inner = slice(edge, edge + size)
        pixels, distance = maps[:-1, inner, inner], maps[-1, inner, inner]
        ids = ids[inner, inner]
    quarters, mirrored = int(rng.integers(4)), int(rng.integers(2))
    turned = [
        np.rot90(part, quarters, axes=(-2, -1))[..., :: 1 - 2 * mirrored]
        for part in (pixels, ids, distance)
    ]
    return turned[0], turned[1], turned[2]
