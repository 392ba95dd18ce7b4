"""Stained smears and tissue in colour: every stain absorbs light of its own."""

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
from unet_engine.synthetic.scenes.shapes import Bodies, Capsules, draw_bodies, scatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.synthetic.scenes.fields import Floats, Ids, Mask, Points, Rng

    _Colour = tuple[float, float, float]

# Optical density of a stain in red, green and blue; light of the lamp in the same.
_PURPLE, _PINK = (0.75, 1.0, 0.35), (0.12, 0.75, 0.35)
_RED, _BLUE = (0.10, 0.55, 0.60), (0.65, 0.40, 0.12)
_WHITE, _YELLOW = (1.0, 0.96, 0.95), (1.0, 0.8, 0.25)
_LOBES = {1: 0.62, 2: 0.42, 3: 0.34, 4: 0.29}
"""Radius of a lobe in radii of its cell, by the number of lobes."""

_MOST_WHITES = 10_000
"""Above the id of every white cell: ids of red cells begin after it."""


def blood_smear(rng: Rng, size: int) -> Scene:
    """Draw white cells with lobed nuclei among red discs."""
    radius = scale_between(rng, 11, 52)
    whites = _white_cells(rng, size, radius)
    lobes = _lobes(rng, size, whites, radius)
    inside = np.minimum(lobes, whites.depth - between(rng, 0.5, 3))
    cell = whites.ids > 0
    nucleus = (inside > 0) & cell
    reds, haemoglobin = _red_cells(rng, size, between(rng, 0.6, 0.9) * radius, cell)
    body = soft_step(whites.depth, 1.5)
    grain = between(rng, 0.02, 0.2) * noise(rng, size, between(rng, 1.0, 2.5))
    chromatin = between(rng, 0.05, 0.3) * noise(rng, size, 3)
    cytoplasm = body * (between(rng, 0.15, 0.8) + grain)
    purple = soft_step(inside, 1.5) * body * (between(rng, 0.8, 2.0) + chromatin)
    stains = (
        (_RED, haemoglobin * between(rng, 0.15, 0.7)),
        (_BLUE if chance(rng, 0.5) else _PINK, cytoplasm),
        (_PURPLE, purple),
    )
    light = np.array(_WHITE)
    if chance(rng, 0.35):
        light = light * np.array(_YELLOW) ** between(rng, 0.3, 1.2)
    return Scene(
        pixels=_absorb(rng, light, stains),
        target=objects_target(np.where(cell, whites.ids, reds)),
        masks={"nucleus": nucleus, "cytoplasm": cell & ~nucleus},
        absent=("membrane", "mitochondrion", "filament"),
    )


def tissue_section(rng: Rng, size: int) -> Scene:
    """Draw haematoxylin and eosin: dark nuclei in fibrous or cellular tissue."""
    bodies = draw_bodies(rng, size, _tissue_nuclei(rng, size))
    nucleus = bodies.ids > 0
    stroma = 0.5 + 0.25 * fibres(rng, size, between(rng, 1.5, 5), between(rng, 2, 9))
    stroma += 0.2 * noise(rng, size, between(rng, 8, 40))
    lumen = noise(rng, size, between(rng, 15, 60)) > between(rng, 0.8, 2.5)
    stroma = np.clip(stroma, 0.05, None) * np.where(lumen & ~nucleus, 0.1, 1)
    strength = rng.lognormal(0, 0.3, int(bodies.ids.max()) + 1)[bodies.ids]
    chromatin = 1 + between(rng, 0.1, 0.4) * noise(rng, size, between(rng, 1.2, 3))
    chromatin += between(rng, 0, 0.5) * np.exp(-((bodies.depth - 1) ** 2) / 2)
    purple = soft_step(bodies.depth, between(rng, 1, 3)) * strength
    purple *= np.clip(chromatin, 0.1, None) * between(rng, 0.5, 1.5)
    # Cytoplasm and nuclei out of focus take some of the stain as well.
    purple += between(rng, 0, 0.2) * np.clip(noise(rng, size, 6), 0, None)
    stains = (_PINK, stroma * between(rng, 0.3, 1.2)), (_PURPLE, purple)
    return Scene(
        pixels=_absorb(rng, np.array(_WHITE), stains),
        target=objects_target(bodies.ids),
        masks={"nucleus": nucleus},
        absent=("membrane", "mitochondrion", "filament"),
    )


def _tissue_nuclei(rng: Rng, size: int) -> Capsules:
    diameter = scale_between(rng, 9, 44)
    count = max(2, int(size**2 / diameter**2 * scale_between(rng, 0.05, 0.7)))
    centres = scatter(rng, size, count, 0.95 * diameter, gathered=between(rng, 0, 0.9))
    radii = 0.42 * diameter * rng.lognormal(0, 0.2, len(centres))
    elongation = rng.choice([0.2, 0.6, 1.5, 3.0], len(centres))
    direction = rng.uniform(0, np.pi)
    return Capsules(
        centres=centres,
        radii=radii / np.sqrt(1 + 0.5 * elongation),
        lengths=radii * elongation,
        angles=rng.normal(direction, between(rng, 0.2, 2), len(centres)),
        bend=1.0,
        rough=0.2,
    )


def _white_cells(rng: Rng, size: int, radius: float) -> Bodies:
    count = int(rng.integers(1, 2 + int(0.3 * size**2 / radius**2 / 6)))
    # One is in the image for certain: it is what such images are taken of.
    middle = rng.uniform(0.2 * size, 0.8 * size, (1, 2))
    others = scatter(rng, size, count, 2.1 * radius, gathered=0.3)
    apart = np.hypot(*(others - middle).T) > 2 * radius
    centres = np.concatenate([middle, others[apart]])
    radii = radius * rng.lognormal(0, 0.15, len(centres))
    outlines = Capsules(centres=centres, radii=radii, lengths=0.3 * radii, rough=0.12)
    return draw_bodies(rng, size, outlines)


def _lobes(rng: Rng, size: int, whites: Bodies, radius: float) -> Floats:
    """Return the depth in the nucleus: one to four lobes in each cell."""
    centres: list[Points] = []
    radii: list[float] = []
    for number in np.unique(whites.ids)[1:]:
        middle = np.argwhere(whites.ids == number).mean(axis=0)
        lobes = int(rng.integers(1, 5))
        turn, step = (
            rng.uniform(0, 2 * np.pi),
            rng.uniform(0.9, 2 * np.pi / lobes + 0.1),
        )
        away = radius * (0.15 if lobes == 1 else 0.42)
        for angle in turn + np.arange(lobes) * step:
            centres.append(middle + away * np.array([np.sin(angle), np.cos(angle)]))
            radii.append(radius * _LOBES[lobes] * rng.uniform(0.85, 1.2))
    outlines = Capsules(
        centres=np.array(centres).reshape(-1, 2),
        radii=np.array(radii),
        lengths=0.5 * np.array(radii),
        bend=1.0,
        rough=0.25,
    )
    return draw_bodies(rng, size, outlines).depth


def _red_cells(rng: Rng, size: int, radius: float, taken: Mask) -> tuple[Ids, Floats]:
    """Draw discs with pale centres beside the white cells: ids, and their stain."""
    count = int(rng.integers(0, 3 + int(0.9 * size**2 / radius**2 / 4)))
    centres = scatter(rng, size, count, between(rng, 1.4, 2.1) * radius)
    radii = radius * rng.lognormal(0, 0.08, len(centres))
    outlines = Capsules(centres=centres, radii=radii, lengths=0.2 * radii, rough=0.05)
    bodies = draw_bodies(rng, size, outlines)
    pale = between(rng, 0, 0.7) * np.clip(1.6 * bodies.depth / radius - 0.5, 0, 1)
    stain = soft_step(bodies.depth, 1.5) * (1 - pale) * ~taken
    # Numbered after the white cells, so that neighbours differ.
    ids = np.where((bodies.ids > 0) & ~taken, bodies.ids + _MOST_WHITES, 0)
    return ids.astype(np.int32), stain.astype(np.float32)


def _absorb(
    rng: Rng,
    light: Points,
    stains: Sequence[tuple[_Colour, npt.NDArray[np.floating]]],
) -> Floats:
    """Return ``(3, Y, X)`` of the light that is left (Beer and Lambert).

    Every stain's colour varies somewhat, as between laboratories.
    """
    density = np.zeros((3, *stains[0][1].shape), np.float32)
    for colour, amount in stains:
        varied = np.array(colour) * rng.lognormal(0, 0.25, 3)
        density += varied[:, None, None] * np.clip(amount, 0, None)
    left: Floats = (light[:, None, None] * np.exp(-density)).astype(np.float32)
    return left
