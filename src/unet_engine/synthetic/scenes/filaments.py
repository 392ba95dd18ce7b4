"""Thin and branching structures: vessels, and the filaments of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unet_engine.synthetic.scenes.fields import (
    between,
    chance,
    fibres,
    noise,
    scale_between,
    soft_step,
)
from unet_engine.synthetic.scenes.scene import Scene, objects_target
from unet_engine.synthetic.scenes.shapes import disc, draw_paths, stamp, walk

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.synthetic.scenes.fields import Floats, Mask, Rng

_PIECE = 12
"""Pixels of a path that have one width."""


def vessels(rng: Rng, size: int) -> Scene:
    """Draw branching vessels that taper, on shaded and spotted ground, in colour.

    A bright disc, bright and dark spots and the edge of the field are distractors.
    """
    depth = _tree(rng, size, widest=scale_between(rng, 1.5, 7.0))
    ground = _ground(rng, size)
    shade = _distractors(rng, size)
    strength = scale_between(rng, 0.12, 0.5) * (1 + 0.25 * noise(rng, size, size / 4))
    # Thin vessels take less light than wide ones.
    wide = np.clip(depth + 1.5, 0, 4) / 4
    soft = soft_step(depth, between(rng, 1.0, 2.5)) * (0.45 + 0.55 * wide)
    reflex = np.exp(-((depth - depth.max() * 0.7) ** 2) / 2) * (depth > 2)
    absorbed = np.clip(strength, 0.02, None) * (soft - between(rng, 0, 0.35) * reflex)
    colour = np.array([0.25, 1.0, 0.7]) * rng.uniform(0.5, 1.3, 3)
    tint = np.array([0.9, 0.5, 0.22]) * rng.lognormal(0, 0.25, 3)
    pixels = tint[:, None, None] * (ground + shade)[None]
    pixels = pixels * np.exp(-1.3 * colour[:, None, None] * absorbed[None])
    filament = depth > -0.3
    if chance(rng, 0.3):
        filament &= _leave_field(rng, pixels)
    if chance(rng, 0.3):
        pixels = pixels[1:2]
    return _filament_scene(pixels.astype(np.float32), filament)


def fibre_net(rng: Rng, size: int) -> Scene:
    """Draw long curly filaments as fluorescence or absorption shows them."""
    count = int(rng.integers(3, 45))
    starts = rng.uniform(-0.2 * size, 1.2 * size, (count, 2))
    if chance(rng, 0.4):
        starts = size * rng.uniform(0.2, 0.8, 2) + rng.normal(0, 0.1 * size, (count, 2))
    angles = rng.uniform(0, 2 * np.pi, count)
    if chance(rng, 0.4):
        angles = rng.normal(rng.uniform(0, np.pi), 0.3, count)
    length = int(size * between(rng, 0.3, 1.4))
    paths, _ = walk(rng, starts, angles, length, scale_between(rng, 0.005, 0.09))
    width = scale_between(rng, 0.6, 2.5)
    widths = width * rng.lognormal(0, 0.25, count)
    depth = draw_paths(size, list(paths), list(widths))
    light = soft_step(depth, between(rng, 1.0, 2.0))
    light = light * np.clip(1 + 0.3 * noise(rng, size, size / 6), 0.25, None)
    ground = between(rng, 0.05, 0.5) * (
        1 + between(rng, 0, 0.5) * noise(rng, size, between(rng, 6, 60))
    )
    image = ground + between(rng, 0.3, 1.0) * light
    if chance(rng, 0.5):
        image += between(rng, 0.02, 0.1) * noise(rng, size, between(rng, 1.2, 4))
    if chance(rng, 0.4):
        spots = rng.uniform(0, size, (int(rng.integers(2, 30)), 2))
        stamp(image, spots, between(rng, 0.2, 0.9) * disc(between(rng, 0.8, 4)))
    return _filament_scene(image[None].astype(np.float32), depth > -0.3)


def _filament_scene(pixels: Floats, filament: Mask) -> Scene:
    return Scene(
        pixels=pixels,
        target=objects_target(filament.astype(np.int32), rimless=True),
        masks={"filament": filament},
        absent=("membrane", "mitochondrion", "nucleus", "cell", "cytoplasm"),
    )


def _tree(rng: Rng, size: int, widest: float) -> Floats:
    """Grow trunks and three generations of branches; return the depth in pixels."""
    count = int(rng.integers(1, 5))
    starts = rng.uniform(0, size, (count, 2))
    starts[np.arange(count), rng.integers(0, 2, count)] = rng.choice([0, size], count)
    towards = size * rng.uniform(0.3, 0.7, (count, 2)) - starts
    angles = np.arctan2(towards[:, 0], towards[:, 1])
    radii = widest * rng.uniform(0.6, 1.0, count)
    curl = scale_between(rng, 0.008, 0.035)
    all_paths: list[npt.NDArray[np.float64]] = []
    all_widths: list[float] = []
    steps = int(1.3 * size)
    for _ in range(4):
        paths, directions = walk(rng, starts, angles, steps, curl)
        taper = np.linspace(1, between(rng, 0.4, 0.9), steps)
        for path, radius in zip(paths, radii, strict=True):
            for first in range(0, steps, _PIECE):
                all_paths.append(path[first : first + _PIECE])
                all_widths.append(max(0.5, radius * taper[first]))
        parents = rng.integers(len(paths), size=int(rng.integers(2, 9)))
        places = rng.integers(0, max(1, int(0.8 * steps)), len(parents))
        starts = paths[parents, places]
        side = rng.choice([-1, 1], len(parents)) * rng.uniform(0.3, 1.2, len(parents))
        angles = directions[parents, places] + side
        radii = radii[parents] * taper[places] * rng.uniform(0.35, 0.85, len(parents))
        steps, curl = int(0.7 * steps), 1.2 * curl
    return draw_paths(size, all_paths, all_widths)


def _ground(rng: Rng, size: int) -> Floats:
    ground = 1 + between(rng, 0.03, 0.25) * noise(rng, size, size / 2)
    ground += between(rng, 0, 0.08) * noise(rng, size, between(rng, 5, 14))
    ground += between(rng, 0, 0.03) * noise(rng, size, 1.2)
    if chance(rng, 0.4):
        ground += between(rng, 0.02, 0.07) * fibres(rng, size, between(rng, 2, 6), 5.0)
    np.clip(ground, 0.1, None, out=ground)
    return ground


def _distractors(rng: Rng, size: int) -> Floats:
    shade = np.zeros((size, size), np.float32)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    if chance(rng, 0.4):
        cy, cx = rng.uniform(0, size, 2)
        radius = between(rng, 0.1, 0.35) * size
        far = np.hypot(y - cy, x - cx) + 0.05 * radius * noise(rng, size, 10)
        shade += between(rng, 0.2, 0.9) * soft_step(radius - far, between(rng, 2, 12))
        shade += between(rng, 0, 0.3) * np.exp(-((far / (0.5 * radius)) ** 2))
    for sign in (1, -1):
        if chance(rng, 0.4):
            spots = rng.uniform(0, size, (int(rng.integers(1, 20)), 2))
            weights = sign * rng.uniform(0.1, 0.5, len(spots))
            stamp(shade, spots, disc(scale_between(rng, 1, 6)), weights)
    if chance(rng, 0.3):
        shade -= between(rng, 0.1, 0.4) * np.clip(noise(rng, size, 20) - 1, 0, 1)
    return shade


def _leave_field(rng: Rng, pixels: Floats) -> Mask:
    """Darken what lies beyond a round field of view, in place; return the field."""
    size = pixels.shape[-1]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    radius = between(rng, 1.0, 2.0) * size
    away = radius - between(rng, 0.1, 0.45) * size
    cy, cx = size / 2 + away * np.sin(angle), size / 2 + away * np.cos(angle)
    field: Mask = np.hypot(y - cy, x - cx) < radius
    pixels *= np.where(field, 1, between(rng, 0.0, 0.05))
    return field
