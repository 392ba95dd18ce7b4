"""An image in memory with its objects, as the models that see objects learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.images.stains import Dye

    Floats = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledImage:
    """An image in memory with its objects.

    Attributes
    ----------
    pixels
        ``(1, Y, X)`` brightness normalised as for prediction, or ``(3, Y, X)`` optical
        densities of red, green and blue.
    ids
        ``(Y, X)`` int32; -1 where nothing is known.
    distance
        ``(Y, X)``: of each pixel to the nearest one outside its object, in parts of
        the largest distance in that object.
    diameter
        Median of its objects, in pixels.
    bright
        Whether objects are brighter than what is around them.
    separated
        Whether touching objects have ids of their own.
    dye
        Of the nuclei of a stain.
    """

    name: str
    pixels: Floats
    ids: Ids
    distance: Floats
    diameter: float
    bright: bool = True
    separated: bool = True
    dye: Dye = "haematoxylin"

    @property
    def stained(self) -> bool:
        """Whether the pixels are optical densities."""
        return len(self.pixels) == 3

    def shrunk(self, largest: float) -> LabelledImage:
        """Return it with median objects of ``largest`` pixels at most."""
        if self.diameter <= largest:
            return self
        pixels, ids, distance = resized(
            self.pixels, self.ids, self.distance, largest / self.diameter
        )
        return replace(
            self, pixels=pixels, ids=ids, distance=distance, diameter=largest
        )


def median_diameter(ids: Ids) -> float:
    """Return that of circles of the objects' areas, in pixels; 0 without an object."""
    areas = np.bincount(np.maximum(ids, 0).ravel())[1:]
    areas = areas[areas > 0]
    return float(np.median(2 * np.sqrt(areas / np.pi))) if areas.size else 0.0


def relative_distance(ids: Ids) -> Floats:
    """Return the distance map of the objects, ``(Y, X)`` in [0, 1]."""
    found = np.zeros(ids.shape, np.float32)
    for number, box in enumerate(ndimage.find_objects(np.maximum(ids, 0)), start=1):
        if box is None:
            continue
        inside = np.pad(ids[box] == number, 1)
        distance = ndimage.distance_transform_edt(inside)[1:-1, 1:-1]
        found[box] = np.maximum(found[box], distance / max(distance.max(), 1e-6))
    return found


def resized(
    pixels: Floats,
    ids: Ids,
    distance: Floats,
    factor: float | tuple[float, float],
) -> tuple[Floats, Ids, Floats]:
    """Resize an image and its maps smoothly, its ids by the nearest pixel."""
    factors = (factor, factor) if isinstance(factor, float) else factor
    shape = [max(1, round(n * f)) for n, f in zip(ids.shape, factors, strict=True)]
    maps = torch.from_numpy(np.concatenate([pixels, distance[None]]))[None]
    smooth = torch.nn.functional.interpolate(
        maps, size=shape, mode="bilinear", antialias=True
    )[0].numpy()
    rows, columns = (
        ((np.arange(m) + 0.5) * n / m).astype(np.intp)
        for n, m in zip(ids.shape, shape, strict=True)
    )
    return smooth[:-1], ids[np.ix_(rows, columns)], smooth[-1]
