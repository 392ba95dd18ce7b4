"""Spots, rings, and regions that differ by nothing but their texture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.labels import IGNORE
from unet_engine.synthetic.scenes.fields import (
    between,
    chance,
    fibres,
    noise,
    partition,
    scale_between,
)
from unet_engine.synthetic.scenes.scene import Scene, objects_target
from unet_engine.synthetic.scenes.shapes import (
    Capsules,
    disc,
    draw_bodies,
    scatter,
    stamp,
)

if TYPE_CHECKING:
    from unet_engine.synthetic.scenes.fields import Floats, Rng


def granules(rng: Rng, size: int) -> Scene:
    """Draw spots, rings or small discs on uneven, textured ground."""
    radius = scale_between(rng, 1.0, 9.0)
    count = int(rng.integers(3, 10 + int(0.15 * size**2 / radius**2 / 8)))
    centres = scatter(rng, size, count, 2.4 * radius, gathered=between(rng, 0, 1))
    drawn = np.zeros((size, size), np.float32)
    weights = rng.lognormal(0, 0.3, len(centres))
    hollow = chance(rng, 0.3) and radius > 2
    stamp(drawn, centres, disc(radius, wall=0.8 if hollow else 0.0), weights)
    filled = np.zeros((size, size), np.float32)
    stamp(filled, centres, disc(radius))
    ground = between(rng, 0.05, 0.3) * noise(rng, size, between(rng, 10, 60))
    ground += between(rng, 0.0, 0.12) * noise(rng, size, between(rng, 1.5, 5))
    if chance(rng, 0.3):
        ground += 0.1 * fibres(rng, size, between(rng, 2, 5), 5.0)
    image = 0.5 + ground + between(rng, 0.25, 0.8) * np.minimum(drawn, 1.5)
    granule = filled > 0.4
    ids = ndimage.label(granule)[0]
    return Scene(
        pixels=image[None].astype(np.float32),
        target=objects_target(ids, rimless=radius < 4),
        masks={"granule": granule},
        absent=("membrane", "filament", "mitochondrion"),
    )


def textures(rng: Rng, size: int) -> Scene:
    """Draw regions that are as bright as their surround and differ in texture."""
    if chance(rng, 0.5):
        diameter = scale_between(rng, 30, 110)
        ids, _ = partition(rng, size, diameter, unequal=(0.6, 0.6), waves=(0.5, 0.5))
        chosen = (rng.random(ids.max() + 1) < 0.45)[ids]
    else:
        radius = scale_between(rng, 9, 45)
        count = int(rng.integers(1, 3 + int(size**2 / radius**2 / 12)))
        centres = scatter(rng, size, count, 2.2 * radius)
        radii = radius * rng.lognormal(0, 0.2, len(centres))
        outlines = Capsules(
            centres=centres, radii=radii, lengths=radii, bend=1.0, rough=0.3
        )
        chosen = draw_bodies(rng, size, outlines).ids > 0
    smooth, rough = between(rng, 3.5, 9), between(rng, 0.9, 2.2)
    strength = between(rng, 0.05, 0.12)
    first = strength * between(rng, 0.3, 0.9) * _texture(rng, size, smooth)
    second = strength * _texture(rng, size, rough)
    blend = ndimage.gaussian_filter(chosen.astype(np.float32), between(rng, 0.5, 1.5))
    image = 0.5 + (1 - blend) * first + blend * second
    image += between(rng, 0, 0.06) * noise(rng, size, 50)
    image += between(rng, -0.06, 0.06) * blend
    return Scene(
        pixels=image[None].astype(np.float32),
        target=np.full(chosen.shape, IGNORE, np.uint8),
        masks={"texture": chosen},
    )


def _texture(rng: Rng, size: int, scale: float) -> Floats:
    if chance(rng, 0.5):
        return noise(rng, size, scale)
    return fibres(rng, size, scale, between(rng, 2, 6))
