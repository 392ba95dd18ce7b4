"""The images that the ``cells`` model learns from, real and generated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from bundled_models.labelled_image import (
    LabelledImage,
    median_diameter,
    relative_distance,
)
from bundled_models.microscopes import ramp
from bundled_models.optics import camera_noise, clouds, debris
from bundled_models.sets import list_blocks, read_ids
from unet_engine.images import Image, Normalisation, open_image
from unet_engine.synthetic.scenes import draw_scene

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from bundled_models.labelled_image import Floats, Ids
    from bundled_models.object_recipe import Random


@dataclass(frozen=True, slots=True)
class _Set:
    """How often a set is drawn, and the diameter of cells without ids."""

    share: float
    semantic_diameter: float | None = None


SETS = {
    "phc_t98g_cells": _Set(0.32),
    "phc_monolayer_nist": _Set(0.24, 35.0),
    "brightfield_celegans": _Set(0.12),
    "brightfield_neurons": _Set(0.04, 160.0),
}
"""The diameters in pixels are those of single cells in the images, by eye."""
FAMILIES = {
    "differential_contrast": 0.4,
    "phase_contrast": 0.3,
    "bright_field": 0.15,
    "rods": 0.15,
}
"""Families of generated scenes, and the part that each has of them."""
GENERATED_SHARE = 0.28
"""How often a generated image is drawn, relative to the sets."""
_SCENES, _EDGE = 400, 288
"""Generated images, and pixels of their edge."""
LARGEST = 90.0
"""Diameter that is kept of larger cells: a little more than is ever drawn."""
_INVERTED = 0.15
"""How often dark and bright are exchanged, as by a phase ring of the other sign."""
_FEWEST = 0.001
"""Part of a generated image below which its cells are too few to learn from."""


def read_cells(data: Path, name: str, *, held_out: bool) -> list[LabelledImage]:
    """Read one side of a set; of instance labels, images without a cell are left out.

    Of a semantic set is learned where cells are, not what separates them.
    """
    found = []
    for path, labels in list_blocks(data / name, held_out=held_out):
        ids = read_ids(labels)
        pixels = open_image(path).read()
        diameter = SETS[name].semantic_diameter
        found.append(_labelled(path.stem, pixels, ids, diameter))
    return [image for image in found if image.diameter]


def generate_cells(seed: int) -> list[LabelledImage]:
    """Generate cells and rods in transmitted light, many of them touching."""
    rng = np.random.default_rng(seed)
    found = []
    families = rng.choice(list(FAMILIES), _SCENES, p=list(FAMILIES.values()))
    for number, family in enumerate(families):
        scene = draw_scene(family, _EDGE, seed=10_000 * seed + number)
        if scene.ids is not None and (scene.ids > 0).mean() > _FEWEST:
            found.append(_labelled(f"{family} {number}", scene.pixels, scene.ids, None))
    return found


def show_cells(_: LabelledImage, pixels: Floats, ids: Ids, rng: Random) -> Floats:
    """Return a crop of transmitted light as another microscope shows it, ``(Y, X)``."""
    seen = pixels.mean(axis=0)
    if rng.random() < _INVERTED:
        seen = 1 - seen
    if rng.random() < 0.1:
        # Some cameras' pictures come high-pass filtered.
        seen = 0.5 + seen - ndimage.gaussian_filter(seen, rng.uniform(8, 24))
    if rng.random() < 0.4:
        seen = seen + rng.uniform(0, 0.5) * ramp(seen.shape, rng)
    if rng.random() < 0.3:
        seen = seen + rng.uniform(0, 0.12) * clouds(len(seen), rng)
    if rng.random() < 0.15:
        seen = seen + rng.uniform(-0.2, 0.2) * debris(seen.shape, rng)
    if rng.random() < 0.35:
        seen = ndimage.gaussian_filter(seen, rng.uniform(0.3, 1.4))
    if rng.random() < 0.5:
        level = math.exp(rng.uniform(math.log(0.004), math.log(0.08)))
        seen = seen + level * camera_noise(seen.shape, rng)
    # Percentiles depend on what else is in an image, contrast on the aperture.
    middle = float(np.median(seen))
    seen = middle + (seen - middle) * rng.lognormal(0, 0.35) + rng.normal(0, 0.1)
    return np.clip(seen, -2, 4).astype(np.float32)


def _labelled(
    name: str, pixels: npt.NDArray[Any], ids: Ids, semantic_diameter: float | None
) -> LabelledImage:
    """Prepare grey pixels as the engine does, and shrink cells larger than needed."""
    grey = pixels.astype(np.float32).mean(axis=0, keepdims=True)
    image = Image.from_array(grey[0], "YX")
    known = semantic_diameter is None
    return LabelledImage(
        name=name,
        pixels=Normalisation.measure(image).apply(grey),
        ids=ids,
        distance=relative_distance(ids) if known else np.zeros(ids.shape, np.float32),
        diameter=median_diameter(ids) if known else float(semantic_diameter or 0),
        separated=known,
    ).shrunk(LARGEST)
