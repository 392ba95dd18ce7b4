"""Cells that fill the plane: electron microscopy and stained cell walls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unet_engine.synthetic.scenes.fields import (
    between,
    chance,
    fibres,
    noise,
    partition,
    scale_between,
    soft_step,
)
from unet_engine.synthetic.scenes.scene import BACKGROUND, BOUNDARY, INTERIOR, Scene
from unet_engine.synthetic.scenes.shapes import Capsules, disc, draw_bodies, stamp

if TYPE_CHECKING:
    from unet_engine.synthetic.scenes.fields import Floats, Ids, Mask, Rng
    from unet_engine.synthetic.scenes.shapes import Bodies

_NARROWEST = 4.0
"""Half width in pixels from which a mitochondrion differs from a vesicle."""


def transmission_section(rng: Rng, size: int) -> Scene:
    """Draw neural tissue as a thin section in transmission shows it.

    Cells with dark membranes; in them mitochondria with double membrane and cristae,
    vesicles, reticulum and dark spots, which look like membranes and are none.
    """
    diameter = scale_between(rng, 22, 95)
    ids, depth = partition(rng, size, diameter, unequal=(0.4, 1.0), waves=(0.2, 0.9))
    tint = rng.normal(0.72, between(rng, 0.02, 0.09), ids.max() + 1).astype(np.float32)
    if chance(rng, 0.4):
        tint[rng.random(len(tint)) < 0.2] -= between(rng, 0.1, 0.3)
    image = tint[ids]
    image += between(rng, 0.03, 0.10) * noise(rng, size, between(rng, 1.2, 2.6))
    image += between(rng, 0.0, 0.04) * noise(rng, size, between(rng, 4, 10))
    _reticulum(rng, image, ids, depth)
    vesicles = _vesicles(rng, image, ids, depth)
    radius = scale_between(rng, 6, 24)
    mitochondria = _mitochondria(rng, image, depth, radius, cristae=True)
    membrane = _dark_membranes(rng, image, depth)
    _densities(rng, image, depth)
    return _neural_scene(image, membrane, mitochondria, vesicles)


def milled_block(rng: Rng, size: int) -> Scene:
    """Draw neural tissue as a milled block in a scanning microscope shows it.

    Smoother and thicker than a section: grey spotted cytoplasm, membranes that blur
    into each other, large mitochondria that are moderately darker.
    """
    diameter = scale_between(rng, 28, 150)
    ids, depth = partition(rng, size, diameter, unequal=(0.6, 1.3), waves=(0.3, 1.0))
    tint = rng.normal(0.74, between(rng, 0.03, 0.08), ids.max() + 1).astype(np.float32)
    image = tint[ids]
    spots = noise(rng, size, between(rng, 2.0, 4.0))
    image += between(rng, 0.03, 0.07) * spots
    image -= between(rng, 0.0, 0.15) * np.clip(spots - 1.2, 0, 1.5)
    image += between(rng, 0.02, 0.05) * noise(rng, size, 1.0)
    _reticulum(rng, image, ids, depth)
    vesicles = _vesicles(rng, image, ids, depth)
    radius = scale_between(rng, 9, 42)
    mitochondria = _mitochondria(rng, image, depth, radius, cristae=False)
    membrane = _dark_membranes(rng, image, depth, least=1.2, most=3.0)
    _densities(rng, image, depth)
    return _neural_scene(image, membrane, mitochondria, vesicles)


def cell_walls(rng: Rng, size: int) -> Scene:
    """Draw a tissue whose cell walls are stained, bright on dark."""
    diameter = scale_between(rng, 18, 80)
    ids, depth = partition(rng, size, diameter, unequal=(0.1, 0.6), waves=(0.0, 0.3))
    width = np.clip(scale_between(rng, 1.0, 4.0), 0, diameter / 8)
    strength = np.clip(1 + between(rng, 0, 0.35) * noise(rng, size, diameter), 0.25, 2)
    wall = np.exp(-((depth / width) ** 2) / 1.4) * strength
    inside = between(rng, 0.02, 0.25) * (1 + 0.3 * noise(rng, size, diameter))
    tint = rng.gamma(2.0, 0.5, ids.max() + 1).astype(np.float32)
    image = np.clip(inside, 0.01, None) * tint[ids] + wall
    spots = np.zeros_like(depth)
    if chance(rng, 0.4):
        centres = rng.uniform(0, size, (int(rng.integers(2, 25)), 2))
        stamp(spots, centres, disc(between(rng, 1, 3)))
        image += between(rng, 0.2, 0.7) * spots
    lumen = np.zeros(ids.shape, bool)
    if chance(rng, 0.3):
        lumen = np.isin(ids, rng.integers(1, ids.max() + 1, 2)) & (depth > 1.5 * width)
        image[lumen] *= 0.3
    membrane = depth < max(1.0, 0.9 * float(width))
    target = np.where(membrane, BOUNDARY, INTERIOR).astype(np.uint8)
    target[lumen & ~membrane] = BACKGROUND
    return Scene(
        pixels=image[None].astype(np.float32),
        target=target,
        masks={"membrane": membrane, "granule": spots > 0.5},
        absent=("mitochondrion", "filament", "nucleus"),
    )


def _neural_scene(
    image: Floats, membrane: Mask, mitochondria: Mask, vesicles: Mask
) -> Scene:
    return Scene(
        pixels=image[None],
        target=np.where(membrane, BOUNDARY, INTERIOR).astype(np.uint8),
        masks={
            "membrane": membrane,
            "mitochondrion": mitochondria & ~membrane,
            "granule": vesicles & ~membrane,
        },
        absent=("filament", "nucleus"),
    )


def _dark_membranes(
    rng: Rng, image: Floats, depth: Floats, *, least: float = 0.8, most: float = 2.2
) -> Mask:
    """Darken the borders in place: uneven, with gaps, and blurred where they graze."""
    size = len(image)
    width = between(rng, least, most) * np.exp(0.25 * noise(rng, size, 12))
    grazing = np.clip(noise(rng, size, between(rng, 14, 30)) - 1.1, 0, 1)
    width = width * (1 + between(rng, 0, 6) * grazing)
    strength = between(rng, 0.3, 0.6) * (1 + 0.2 * noise(rng, size, 9))
    strength *= 1 - between(rng, 0.2, 0.7) * grazing
    gaps = np.clip(noise(rng, size, 7) - between(rng, 1.6, 2.6), 0, 1)
    strength = np.clip(strength * (1 - gaps), 0.02, None)
    image -= strength * np.exp(-((depth / (1.1 * width)) ** 2))
    membrane: Mask = depth <= np.clip(width, 1.0, 4.0)
    return membrane


def _mitochondria(
    rng: Rng, image: Floats, depth: Floats, radius: float, *, cristae: bool
) -> Mask:
    size = len(image)
    # In narrow cells there are narrow ones, or none.
    radius = min(radius, 0.9 * float(depth.max()))
    roomy = np.argwhere(depth > 0.7 * radius)
    count = int(rng.integers(0, 3 + int(0.06 * size**2 / radius**2)))
    if radius < _NARROWEST or not count:
        return np.zeros(image.shape, bool)
    centres = roomy[rng.integers(len(roomy), size=count)].astype(float)
    radii = radius * rng.lognormal(0, 0.2, count)
    lengths = radii * rng.choice([0.2, 1.0, 2.5, 5.0], count)
    outlines = Capsules(
        centres=centres, radii=radii, lengths=lengths, bend=1.5, rough=0.12
    )
    bodies = draw_bodies(rng, size, outlines)
    inside = np.minimum(bodies.depth, depth - between(rng, 1.5, 3.5))
    _draw_organelle(rng, image, bodies, inside, cristae=cristae)
    organelles: Mask = inside > 0
    return organelles


def _draw_organelle(
    rng: Rng, image: Floats, bodies: Bodies, inside: Floats, *, cristae: bool
) -> None:
    size = len(image)
    dark = between(rng, 0.06, 0.34)
    body = soft_step(inside, 1.5)
    texture = between(rng, 0.02, 0.07) * noise(rng, size, between(rng, 1.5, 3))
    period = between(rng, 3.5, 9.0)
    # Cristae cross the organelle or follow its outline.
    phase = bodies.along if chance(rng, 0.6) else inside
    phase = phase + between(rng, 0.5, 3.5) * noise(rng, size, 8)
    stripes = np.sin(2 * np.pi * phase / period) * (inside > 2.5)
    if not cristae:
        stripes = stripes * np.clip(between(rng, 0, 1) + noise(rng, size, 10), 0, 1)
    texture = texture + between(rng, 0.03, 0.18) * stripes
    rim = np.exp(-((inside - 1) ** 2) / between(rng, 0.8, 2.0))
    light = np.exp(-((inside - 3.5) ** 2) / 1.5) * between(rng, 0.0, 0.1)
    image += body * (texture - dark + light) - between(rng, 0.1, 0.3) * rim
    halo = np.exp(-((inside + 2) ** 2) / 2) * between(rng, 0.0, 0.08)
    image += halo


def _vesicles(rng: Rng, image: Floats, ids: Ids, depth: Floats) -> Mask:
    """Draw small rings or dots in some cells, in place."""
    drawn = np.zeros(image.shape, np.float32)
    if chance(rng, 0.75):
        radius = between(rng, 1.8, 4.5)
        cells = rng.integers(1, ids.max() + 1, max(1, int(0.4 * ids.max())))
        room = np.argwhere(np.isin(ids, cells) & (depth > radius + 2))
        count = int(rng.integers(5, 30 + int(0.002 * image.size)))
        if len(room):
            centres = room[rng.integers(len(room), size=count)].astype(float)
            ring = disc(radius, wall=0.0 if chance(rng, 0.3) else 0.7)
            stamp(drawn, centres, ring)
            np.minimum(drawn, 1, out=drawn)
            image -= between(rng, 0.15, 0.4) * drawn
            filled = np.zeros(image.shape, np.float32)
            stamp(filled, centres, disc(radius))
            return filled > 0.5
    return np.zeros(image.shape, bool)


def _reticulum(rng: Rng, image: Floats, ids: Ids, depth: Floats) -> None:
    """Draw faint dark lines in some cells, in place."""
    if chance(rng, 0.4):
        return
    size = len(image)
    field = (
        noise(rng, size, between(rng, 8, 20))
        if chance(rng, 0.5)
        else fibres(rng, size, between(rng, 3, 7), 5.0)
    )
    slope = np.hypot(*np.gradient(field)) + 0.02
    line = np.exp(-((field / slope / between(rng, 0.7, 1.4)) ** 2))
    cells = np.isin(ids, rng.integers(1, ids.max() + 1, max(1, ids.max() // 3)))
    image -= between(rng, 0.08, 0.3) * line * (cells & (depth > 3))


def _densities(rng: Rng, image: Floats, depth: Floats) -> None:
    """Darken a few places beside membranes, as synapses do, in place."""
    spots = np.clip(noise(rng, len(image), between(rng, 8, 16)) - 1.7, 0, 1)
    reach = between(rng, 3, 7)
    image -= between(rng, 0.0, 0.6) * spots * np.exp(-((depth / reach) ** 2))
