"""Unstained cells in transmitted light: hardly brighter or darker than around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.synthetic.scenes.fields import (
    between,
    border_distance,
    chance,
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
    from unet_engine.synthetic.scenes.fields import Floats, Ids, Mask, Rng


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Culture:
    ids: Ids
    inside: Floats
    nucleus: Mask
    granules: Floats
    thickness: Floats


def differential_contrast(rng: Rng, size: int) -> Scene:
    """Draw cells as differential interference contrast does: the slope of a relief."""
    culture = _culture(rng, size)
    angle = rng.uniform(0, 2 * np.pi)
    down, right = np.gradient(ndimage.gaussian_filter(culture.thickness, 0.7))
    image = np.sin(angle) * down + np.cos(angle) * right
    image = image / (image.std() + 1e-6)
    if chance(rng, 0.5):
        # Some cameras' pictures come high-pass filtered.
        image = image - ndimage.gaussian_filter(image, between(rng, 6, 20))
    image += between(rng, 0.05, 0.4) * noise(rng, size, between(rng, 0.8, 2.0))
    return _culture_scene(culture, 0.5 + 0.15 * image)


def phase_contrast(rng: Rng, size: int) -> Scene:
    """Draw cells as phase contrast does: dark or grey bodies in bright halos."""
    culture = _culture(rng, size)
    phase = culture.thickness / (np.abs(culture.thickness).max() + 1e-6)
    wide = ndimage.gaussian_filter(phase, scale_between(rng, 3, 14))
    image = between(rng, 0.3, 1.2) * wide - between(rng, 0.1, 1.0) * phase
    image -= between(rng, 0.0, 0.4) * ndimage.gaussian_laplace(phase, 1.2)
    image = image / (image.std() + 1e-6)
    image += scale_between(rng, 0.05, 0.4) * noise(rng, size, between(rng, 1, 9))
    return _culture_scene(culture, 0.5 + 0.15 * image)


def bright_field(rng: Rng, size: int) -> Scene:
    """Draw cells out of focus in plain transmitted light: edges and faint shadows."""
    culture = _culture(rng, size)
    phase = culture.thickness / (np.abs(culture.thickness).max() + 1e-6)
    edges = ndimage.gaussian_laplace(phase, between(rng, 0.9, 2.5))
    edges = edges / (edges.std() + 1e-6) * rng.choice([-1, 1])
    image = 0.08 * edges - between(rng, 0, 0.15) * phase
    image += scale_between(rng, 0.01, 0.05) * noise(rng, size, between(rng, 1, 6))
    return _culture_scene(culture, 0.6 + image)


def rods(rng: Rng, size: int) -> Scene:
    """Draw colonies of bacteria in phase contrast, bright field or fluorescence."""
    bodies = draw_bodies(rng, size, _colonies(rng, size))
    gap = border_distance(bodies.ids)
    body = soft_step(np.minimum(bodies.depth, gap), between(rng, 1.0, 2.5))
    body *= 1 + 0.1 * noise(rng, size, between(rng, 2, 9))
    image = np.full((size, size), 0.5, np.float32)
    if chance(rng, 0.6):
        halo = ndimage.gaussian_filter(body, scale_between(rng, 2, 12))
        image += between(rng, 0.2, 1.2) * halo - between(rng, 0.5, 1.3) * body
    else:
        image += between(rng, 0.2, 1.0) * body
    image += scale_between(rng, 0.01, 0.1) * noise(rng, size, between(rng, 2, 12))
    if chance(rng, 0.5):
        _out_of_focus(rng, image)
    return Scene(
        pixels=image[None].astype(np.float32),
        target=objects_target(bodies.ids),
        masks={"cell": bodies.ids > 0},
        absent=("membrane", "mitochondrion", "filament"),
        ids=bodies.ids,
    )


def _colonies(rng: Rng, size: int) -> Capsules:
    radius = scale_between(rng, 2.0, 9.0)
    count = int(rng.integers(1, 8 + int(0.25 * size**2 / radius**2 / 8)))
    centres = scatter(rng, size, count, 2.2 * radius, gathered=between(rng, 0.3, 1))
    direction, spread = rng.uniform(0, np.pi), between(rng, 0.1, 2.0)
    radii = radius * rng.lognormal(0, 0.1, len(centres))
    return Capsules(
        centres=centres,
        radii=radii,
        lengths=radii * rng.uniform(0.3, between(rng, 1, 9), len(centres)),
        angles=rng.normal(direction, spread, len(centres)),
        bend=1.0,
        rough=0.05,
    )


def _out_of_focus(rng: Rng, image: Floats) -> None:
    """Add the rings of dust above and below the focus, in place."""
    for _ in range(int(rng.integers(1, 6))):
        place, strength = rng.uniform(0, len(image), (1, 2)), between(rng, -0.3, 0.3)
        stamp(image, place, strength * disc(between(rng, 3, 9), wall=1.0))
        stamp(image, place, -strength * disc(between(rng, 1, 4)))


def _culture_scene(culture: _Culture, image: Floats) -> Scene:
    cell = culture.ids > 0
    return Scene(
        pixels=image[None].astype(np.float32),
        target=objects_target(culture.ids),
        masks={
            "cell": cell,
            "nucleus": culture.nucleus,
            "cytoplasm": cell & ~culture.nucleus,
            "granule": culture.granules > 0.5,
        },
        absent=("mitochondrion", "filament"),
        ids=culture.ids,
    )


def _culture(rng: Rng, size: int) -> _Culture:
    """Grow a sheet of touching cells or single ones, with all that is in them."""
    diameter = scale_between(rng, 22, 210)
    ids, inside = (_sheet if chance(rng, 0.6) else _single)(rng, size, diameter)
    cell = ids > 0
    nucleus, relief = _nuclei(rng, inside, diameter)
    granules = np.zeros((size, size), np.float32)
    room = np.argwhere(cell & (inside > 3))
    if len(room) and chance(rng, 0.8):
        number = int(rng.integers(3, 10 + int(0.006 * len(room))))
        places = room[rng.integers(len(room), size=number)].astype(float)
        stamp(
            granules,
            places,
            disc(scale_between(rng, 0.8, 4)),
            rng.uniform(0.4, 1, number),
        )
    dome = np.sqrt(np.clip(inside / (0.3 * diameter), 0, 1)) * cell
    fine = noise(rng, size, between(rng, 1.0, 2.5)) + noise(
        rng, size, between(rng, 3, 7)
    )
    coarse = noise(rng, size, 0.1 * diameter)
    thickness = (
        scale_between(rng, 0.5, 4) * dome
        + cell * (between(rng, 0.08, 0.35) * fine + between(rng, 0, 0.3) * coarse)
        + relief
        + between(rng, 0.3, 2.0) * np.minimum(granules, 1.5)
        + between(rng, 0.0, 0.06) * noise(rng, size, between(rng, 1.5, 4))
    )
    return _Culture(
        ids=ids,
        inside=inside,
        nucleus=nucleus & cell,
        granules=granules,
        thickness=thickness.astype(np.float32),
    )


def _sheet(rng: Rng, size: int, diameter: float) -> tuple[Ids, Floats]:
    ids, depth = partition(rng, size, diameter, unequal=(0.3, 0.9), waves=(0.1, 0.6))
    missing = rng.random(ids.max() + 1) < between(rng, 0.0, 0.5)
    inside = (
        depth
        - scale_between(rng, 0.5, 3)
        - between(rng, 0, 3) * np.clip(noise(rng, size, 0.4 * diameter), 0, None)
    )
    ids = np.where(missing[ids] | (inside <= 0), 0, ids).astype(np.int32)
    return ids, np.where(ids > 0, inside, 0).astype(np.float32)


def _single(rng: Rng, size: int, diameter: float) -> tuple[Ids, Floats]:
    count = max(1, int(between(rng, 0.1, 0.9) * size**2 / diameter**2))
    centres = scatter(rng, size, count, 0.85 * diameter, gathered=0.6)
    radii = 0.42 * diameter * rng.lognormal(0, 0.2, len(centres))
    lengths = radii * rng.choice([0.0, 0.5, 2.0], len(centres))
    outlines = Capsules(
        centres=centres,
        radii=radii,
        lengths=lengths,
        bend=1.0,
        rough=between(rng, 0.05, 0.35),
    )
    bodies = draw_bodies(rng, size, outlines)
    inside = np.minimum(bodies.depth, border_distance(bodies.ids) - 0.5)
    return bodies.ids, np.clip(inside, 0, None).astype(np.float32)


def _nuclei(rng: Rng, inside: Floats, diameter: float) -> tuple[Mask, Floats]:
    """Put a nucleus with its wall and nucleoli into roomy cells."""
    size = len(inside)
    peak = ndimage.maximum_filter(inside, size=int(0.5 * diameter) | 1)
    centres = np.argwhere((inside == peak) & (inside > 0.14 * diameter))[:200]
    if not len(centres) or chance(rng, 0.25):
        return np.zeros(inside.shape, bool), np.zeros(inside.shape, np.float32)
    radii = np.minimum(0.2 * diameter, 0.75 * inside[tuple(centres.T)])
    radii = radii * rng.uniform(0.8, 1.1, len(centres))
    outlines = Capsules(
        centres=centres.astype(float), radii=radii, lengths=0.5 * radii, rough=0.08
    )
    bodies = draw_bodies(rng, size, outlines)
    nucleus = bodies.depth > 0
    wall = np.exp(-((bodies.depth / 1.5) ** 2)) * between(rng, 0.0, 0.6)
    nucleoli = np.clip(noise(rng, size, 0.06 * diameter + 1) - 1.2, 0, 1)
    relief = wall + nucleus * (
        between(rng, -0.3, 0.5) + between(rng, 0, 1.0) * nucleoli
    )
    return nucleus, relief.astype(np.float32)
