"""Procedural microscopy: scenes by family, with their ground truth.

Each family draws an image and its labels from random numbers alone, so that a network
can learn what membranes, vessels, cells or granules look like without any real image.
In goes a family's name and a seed, out comes a ``Scene`` (``scene``); ``camera`` adds
blur and noise to it. The families are drawn with the shapes of ``shapes`` and the noise
of ``fields``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unet_engine.errors import DataError
from unet_engine.synthetic.scenes.camera import degrade
from unet_engine.synthetic.scenes.filaments import fibre_net, vessels
from unet_engine.synthetic.scenes.fluorescence import (
    fluorescent_cells,
    fluorescent_nuclei,
)
from unet_engine.synthetic.scenes.grains import granules, textures
from unet_engine.synthetic.scenes.scene import (
    TASKS,
    Scene,
    distance_target,
    objects_target,
)
from unet_engine.synthetic.scenes.stained import blood_smear, tissue_section
from unet_engine.synthetic.scenes.tissue import (
    cell_walls,
    milled_block,
    transmission_section,
)
from unet_engine.synthetic.scenes.transmitted import (
    bright_field,
    differential_contrast,
    phase_contrast,
    rods,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FAMILIES",
    "TASKS",
    "Scene",
    "degrade",
    "distance_target",
    "draw_scene",
    "objects_target",
]

FAMILIES: dict[str, Callable[[np.random.Generator, int], Scene]] = {
    draw.__name__: draw
    for draw in (
        transmission_section,
        milled_block,
        cell_walls,
        vessels,
        fibre_net,
        fluorescent_nuclei,
        fluorescent_cells,
        differential_contrast,
        phase_contrast,
        bright_field,
        rods,
        blood_smear,
        tissue_section,
        granules,
        textures,
    )
}
"""How each family is drawn, from random numbers and an edge in pixels."""

_SMALLEST = 16
"""Edge in pixels below which no object of a scene has an inside."""


def draw_scene(family: str, size: int, *, seed: int) -> Scene:
    """Draw a scene of a family.

    Parameters
    ----------
    family
        A name in ``FAMILIES``.
    size
        Edge in pixels, 16 or more.
    seed
        Same seed, same scene.

    Raises
    ------
    DataError
        When there is no such family or the size is too small.
    """
    if family not in FAMILIES:
        raise DataError(
            f"there is no family {family!r}; use one of {', '.join(FAMILIES)}"
        )
    if size < _SMALLEST:
        raise DataError(
            f"a scene of {size} pixels is too small; use {_SMALLEST} or more"
        )
    return FAMILIES[family](np.random.default_rng(seed), size)
