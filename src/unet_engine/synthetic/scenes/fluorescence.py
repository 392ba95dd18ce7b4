"""Stained nuclei and cells, bright on dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unet_engine.synthetic.nuclei import nuclei
from unet_engine.synthetic.scenes.fields import (
    between,
    chance,
    fibres,
    noise,
    partition,
    scale_between,
    soft_step,
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
    from unet_engine.synthetic.scenes.fields import Rng


def fluorescent_nuclei(rng: Rng, size: int) -> Scene:
    """Draw nuclei with the optics of ``synthetic.nuclei``: dim, uneven or crowded."""
    diameter = scale_between(rng, 9, 70)
    room = size**2 / (np.pi / 4 * diameter**2)
    counts, ids = nuclei(
        (size, size),
        seed=int(rng.integers(2**31)),
        count=max(1, int(room * scale_between(rng, 0.06, 0.6))),
        diameter=diameter,
        photons=scale_between(rng, 40, 1500),
    )
    light = counts.astype(np.float32)
    light = (light - 100) / (np.percentile(light, 99.5) - 100 + 1)
    if chance(rng, 0.5):
        glow = np.clip(0.7 + noise(rng, size, between(rng, 20, 80)), 0, None)
        light = light + between(rng, 0.0, 0.35) * glow
    if chance(rng, 0.25):
        debris = rng.uniform(0, size, (int(rng.integers(1, 15)), 2))
        stamp(light, debris, between(rng, 0.3, 1.5) * disc(between(rng, 0.7, 2.5)))
    return Scene(
        pixels=light[None].astype(np.float32),
        target=objects_target(ids),
        masks={"nucleus": ids > 0},
        absent=("membrane", "mitochondrion", "filament"),
    )


def fluorescent_cells(rng: Rng, size: int) -> Scene:
    """Draw cells with a stained body; their nuclei are darker or brighter."""
    diameter = scale_between(rng, 24, 110)
    ids, depth = partition(rng, size, diameter, unequal=(0.5, 0.5), waves=(0.1, 0.6))
    present = rng.random(ids.max() + 1) < between(rng, 0.3, 1.0)
    present[0] = False
    inside = np.minimum(depth - between(rng, 0.5, 3), 0.6 * diameter)
    cell = present[ids] & (inside > 0)
    strength = rng.lognormal(0, between(rng, 0.1, 0.5), ids.max() + 1)
    body = (strength * present)[ids] * soft_step(inside, between(rng, 1, 4))
    texture = (
        fibres(rng, size, between(rng, 1.2, 3), 6.0)
        if chance(rng, 0.5)
        else noise(rng, size, between(rng, 1.2, 6))
    )
    body = body * np.clip(1 + between(rng, 0.1, 0.4) * texture, 0.1, None)
    body = body * (0.5 + 0.5 * np.clip(inside / (0.25 * diameter), 0, 1))
    centres = scatter(rng, size, 2 * int(ids.max()), 0.8 * diameter, gathered=0.0)
    radii = 0.17 * diameter * rng.lognormal(0, 0.15, len(centres))
    bodies = draw_bodies(
        rng, size, Capsules(centres=centres, radii=radii, lengths=0.6 * radii)
    )
    nucleus = (bodies.depth > 0) & cell & (depth > 3)
    change = rng.choice([-0.6, -0.3, 0.5])
    image = body * (1 + change * soft_step(bodies.depth, 1.5) * (depth > 3))
    image = image + between(rng, 0.02, 0.3)
    return Scene(
        pixels=image[None].astype(np.float32),
        target=objects_target(np.where(cell, ids, 0)),
        masks={"cell": cell, "nucleus": nucleus, "cytoplasm": cell & ~nucleus},
        absent=("mitochondrion",),
    )
