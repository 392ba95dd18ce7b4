"""The images that the ``nuclei`` model learns from, real and generated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bundled_models.labelled_image import (
    LabelledImage,
    median_diameter,
    relative_distance,
)
from bundled_models.optics import expose, vary_specimen
from bundled_models.sets import list_files, read_ids
from unet_engine.images import open_image
from unet_engine.images.brightness.foreground import foreground_limits
from unet_engine.images.stains import (
    LUMINANCE,
    dye_of_nuclei,
    dye_weights,
    full_light,
    is_stain,
    optical_density,
)
from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from bundled_models.labelled_image import Floats, Ids
    from bundled_models.object_recipe import Random
    from unet_engine.images.stains import Dye

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
GENERATED_SHARE = 0.15
"""The same of generated images."""

_LARGEST = 56.0
"""Diameter that is kept of larger objects: a little more than is ever drawn."""
_MERGED_SIZE = 30.0
"""The same of the merged set: as of other tissue that was taken at 40x."""
_OTHER_DYE = 0.25
"""How often a stain is read as if its nuclei had the other dye."""
_UNLIKE = 0.13
"""Standard deviation of the weights of colours, in parts of the norm of those of a dye:
of the dyes of other laboratories."""
_INVERTED = 0.04
"""How often dark and bright are exchanged."""
_PLANES, _SCENES = 40, 60
"""Generated planes of stacks, and generated planes."""
_SMALLEST = 20
"""Pixels of an object in a generated plane below which it is left out of the loss."""


def read_images(data: Path, name: str, *, held_out: bool) -> list[LabelledImage]:
    """Read one side of a set; images without an object are left out."""
    found = []
    for image, labels in list_files(data / name, held_out=held_out):
        if name == STACK:
            found += list(_planes(image, labels))
            continue
        ids = read_ids(labels, merged=name == MERGED)
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
    diameter = median_diameter(ids)
    if diameter and not separated:
        diameter = _MERGED_SIZE
    return LabelledImage(
        name=name,
        pixels=prepared,
        ids=ids,
        distance=relative_distance(ids),
        diameter=diameter,
        bright=bright,
        separated=separated,
        dye=dye,
    ).shrunk(_LARGEST)


def show_nuclei(image: LabelledImage, pixels: Floats, ids: Ids, rng: Random) -> Floats:
    """Return a crop as another specimen on another microscope, ``(Y, X)``."""
    grey, bright = _grey(image, pixels, rng)
    if bright:
        grey = vary_specimen(grey, ids, rng)
    seen = expose(grey, rng)
    return 1 - seen if rng.random() < _INVERTED else seen


def _grey(image: LabelledImage, pixels: Floats, rng: Random) -> tuple[Floats, bool]:
    """Return the crop in one channel as the engine reads it, and its polarity."""
    if not image.stained:
        return pixels[0], image.bright
    # Other dyes, other scanners; sometimes luminance, as of a grey scan, or inverted.
    gains = rng.lognormal(0, 0.12, 3)
    kind = rng.choice(["density", "luminance", "inverted"], p=[0.8, 0.1, 0.1])
    if kind == "density":
        other = rng.random() < _OTHER_DYE
        dye = dye_weights(
            "violet" if (image.dye == "violet") != other else "haematoxylin"
        )
        weights = (dye + _UNLIKE * np.linalg.norm(dye) * rng.normal(0, 1, 3)) * gains
        views = [np.tensordot(weights, p, axes=1) for p in (image.pixels, pixels)]
    else:
        sign = -1 if kind == "inverted" else 1
        views = [
            sign * np.tensordot(LUMINANCE, np.exp(-p * gains[:, None, None]), axes=1)
            for p in (image.pixels, pixels)
        ]
    low, high = foreground_limits([views[0]])
    grey = (views[1] - low) / max(high - low, 1e-6)
    return grey.astype(np.float32), kind != "luminance"
