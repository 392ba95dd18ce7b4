"""The images that the ``nuclei`` model learns from, real and generated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage
from skimage.measure import label as connected_components

from bundled_models.sets import list_files, read_labels
from unet_engine.images import open_image
from unet_engine.images.brightness.foreground import foreground_limits
from unet_engine.images.stains import (
    dye_of_nuclei,
    full_light,
    is_stain,
    optical_density,
)
from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from unet_engine.images.stains import Dye

    Floats = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int32]

FLUORESCENT, STAINED = "dsb2018_nuclei", "dsb2018_histology"
MERGED = "histology_tnbc_nuclei"
"""Its touching nuclei are one object: nothing is known of what separates them."""
STACK = "fluo_mouse_embryo_3d"
SETS = {
    FLUORESCENT: 0.30,
    STAINED: 0.20,
    "fluo_u2os_nuclei_hcs": 0.10,
    "fluo_neuroblastoma_nuclei": 0.09,
    MERGED: 0.08,
    STACK: 0.05,
    "fluo_ecoli_dapi": 0.03,
}
"""How often the images of a set are drawn, relative to each other."""
GENERATED = 0.15
"""The same of generated images."""

OBJECT_SIZE = 24.0
"""Diameter in pixels, of the circle of the same area, that the median object has."""
_LARGEST = 56.0
"""Diameter that is kept of larger objects: a little more than is ever drawn."""
_MERGED_SIZE = 30.0
"""The same of the merged set: as of other tissue that was taken at 40x."""
_PLANES, _SCENES = 40, 60
"""Generated planes of stacks, and generated planes."""
_SMALLEST = 20
"""Pixels of an object in a generated plane below which it is left out of the loss."""


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


def read_images(data: Path, name: str, *, held_out: bool) -> list[LabelledImage]:
    """Read one side of a set; images without an object are left out."""
    found = []
    for image, labels in list_files(data / name, held_out=held_out):
        if name == STACK:
            found += list(_planes(image, labels))
            continue
        ids = read_labels(labels).astype(np.int32)
        if name == MERGED:
            ids = connected_components(ids > 0, connectivity=1).astype(np.int32)
        unknown = data / name / "ignore" / labels.name
        if unknown.is_file():
            ids[read_labels(unknown) > 0] = -1
        pixels = open_image(image).read()
        found.append(_labelled(image.stem, pixels, ids, separated=name != MERGED))
    return [image for image in found if image.diameter]


def generate_images(seed: int) -> list[LabelledImage]:
    """Generate planes of nuclei, alone and out of stacks, many of them touching."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(_SCENES):
        diameter = rng.uniform(18, 30)
        count = round(rng.uniform(0.05, 0.75) * 256**2 / (0.785 * diameter**2))
        image, ids = nuclei(
            (256, 256),
            seed=1000 * seed + number,
            diameter=diameter,
            count=count,
            photons=float(np.exp(rng.uniform(2, 6))),
        )
        found.append(_labelled(f"scene {number}", image[None], ids))
    for number in range(_PLANES // 8):
        stack, labels = nuclei(
            (24, 224, 224), seed=1000 * seed + 500 + number, diameter=26.0, z_step=3.0
        )
        for z in range(2, 24, 3)[:8]:
            ids = labels[z].copy()
            sizes = np.bincount(ids.ravel())
            ids[(sizes[ids] < _SMALLEST) & (ids > 0)] = -1
            found.append(_labelled(f"stack {number} {z}", stack[z][None], ids))
    return [image for image in found if image.diameter]


def _planes(image: Path, labels: Path) -> Iterator[LabelledImage]:
    stack, truth = open_image(image), open_image(labels)
    for index in stack.indices():
        ids = truth.read(index)[0].astype(np.int32)
        yield _labelled(f"{image.stem} {index}", stack.read(index), ids)


def _labelled(
    name: str, pixels: npt.NDArray[Any], ids: Ids, *, separated: bool = True
) -> LabelledImage:
    """Prepare pixels as the engine does, and shrink objects larger than needed."""
    bright = True
    dye: Dye = "haematoxylin"
    if len(pixels) == 3 and is_stain(pixels.reshape(3, -1)):
        full = full_light(pixels)
        prepared = optical_density(pixels, full)
        dye = dye_of_nuclei(pixels.reshape(3, -1), full)
    else:
        if len(pixels) == 3:
            # Grey in three channels, or transmitted light without a dye.
            pixels = pixels.astype(np.float32).mean(axis=0, keepdims=True)
        low, high = foreground_limits([pixels[0]])
        prepared = (pixels.astype(np.float32) - low) / max(high - low, 1e-6)
        objects = ids > 0
        if objects.any() and (ids == 0).any():
            bright = bool(prepared[0][objects].mean() > prepared[0][ids == 0].mean())
    areas = np.bincount(np.maximum(ids, 0).ravel())[1:]
    areas = areas[areas > 0]
    diameter = float(np.median(2 * np.sqrt(areas / np.pi))) if areas.size else 0.0
    if areas.size and not separated:
        diameter = _MERGED_SIZE
    distance = relative_distance(ids)
    if diameter > _LARGEST:
        prepared, ids, distance = resized(prepared, ids, distance, _LARGEST / diameter)
        diameter = _LARGEST
    return LabelledImage(
        name=name,
        pixels=prepared,
        ids=ids,
        distance=distance,
        diameter=diameter,
        bright=bright,
        separated=separated,
        dye=dye,
    )


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
