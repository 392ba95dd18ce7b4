"""Stained smears and tissue in colour: every stain absorbs light of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unet_engine.procedural.geometry import (
    Bodies,
    between,
    chance,
    disc,
    fibres,
    noise,
    place_bodies,
    scale_between,
    scatter,
    soft_step,
    stamp,
)
from unet_engine.procedural.scene import Scene, objects_target

if TYPE_CHECKING:
    from unet_engine.procedural.geometry import Floats, Rng

_PURPLE = (0.75, 1.0, 0.35)
_PINK = (0.12, 0.75, 0.35)
_RED = (0.10, 0.55, 0.60)
_BLUE = (0.65, 0.40, 0.12)


def blood_smear(rng: Rng, size: int) -> Scene:
    """Draw white cells with lobed nuclei among red discs."""
    radius = scale_between(rng, 11, 52)
    whites = _white_cells(rng, size, radius)
    lobes = _lobes(rng, size, whites, radius)
    inside = np.minimum(lobes, whites.depth - between(rng, 0.5, 3))
    cell = whites.ids > 0
    nucleus = (inside > 0) & cell
    reds, ring = _red_cells(rng, size, between(rng, 0.6, 0.9) * radius, cell)
    grain = noise(rng, size, between(rng, 1.0, 2.5))
    body = soft_step(whites.depth, 1.5)
    amounts = {
        _vary(rng, _RED): ring * between(rng, 0.15, 0.7),
        _vary(rng, _BLUE if chance(rng, 0.5) else _PINK): body
        * np.clip(between(rng, 0.15, 0.8) + between(rng, 0.02, 0.2) * grain, 0, None),
        _vary(rng, _PURPLE): soft_step(inside, 1.5)
        * body
        * np.clip(
            between(rng, 0.8, 2.0) + between(rng, 0.05, 0.3) * noise(rng, size, 3), 0, None
        ),
    }
    light = np.array([1.0, 0.96, 0.95])
    if chance(rng, 0.35):
        light = light * np.array([1.0, 0.8, 0.25]) ** between(rng, 0.3, 1.2)
    nothing = np.zeros(cell.shape, bool)
    return Scene(
        pixels=_absorb(light, amounts),
        target=objects_target(np.where(cell, whites.ids, reds)),
        masks={
            "nucleus": nucleus,
            "cytoplasm": cell & ~nucleus,
            "membrane": nothing,
            "mitochondrion": nothing,
            "filament": nothing,
        },
    )


def tissue_section(rng: Rng, size: int) -> Scene:
    """Draw haematoxylin and eosin: dark nuclei in fibrous or cellular tissue."""
    diameter = scale_between(rng, 9, 44)
    room = size**2 / diameter**2
    count = max(2, int(room * scale_between(rng, 0.05, 0.7)))
    centres = scatter(rng, size, count, 0.95 * diameter, gathered=between(rng, 0, 0.9))
    radii = 0.42 * diameter * rng.lognormal(0, 0.2, len(centres))
    lengths = radii * rng.choice([0.2, 0.6, 1.5, 3.0], len(centres))
    radii = radii / np.sqrt(1 + 0.5 * lengths / radii)
    along = rng.uniform(0, np.pi)
    angles = rng.normal(along, between(rng, 0.2, 2), len(centres))
    bodies = place_bodies(
        rng, size, centres, radii, lengths, bend=1.0, rough=0.2, angles=angles
    )
    nucleus = bodies.ids > 0
    stroma = 0.5 + 0.25 * fibres(rng, size, between(rng, 1.5, 5), between(rng, 2, 9))
    stroma += 0.2 * noise(rng, size, between(rng, 8, 40))
    lumen = noise(rng, size, between(rng, 15, 60)) > between(rng, 0.8, 2.5)
    stroma = np.clip(stroma, 0.05, None) * np.where(lumen & ~nucleus, 0.1, 1)
    strength = rng.lognormal(0, 0.3, int(bodies.ids.max()) + 1)[bodies.ids]
    chromatin = 1 + between(rng, 0.1, 0.4) * noise(rng, size, between(rng, 1.2, 3))
    chromatin += between(rng, 0, 0.5) * np.exp(-((bodies.depth - 1) ** 2) / 2)
    purple = soft_step(bodies.depth, between(rng, 1, 3)) * strength
    amounts = {
        _vary(rng, _PINK): stroma * between(rng, 0.3, 1.2),
        _vary(rng, _PURPLE): purple * np.clip(chromatin, 0.1, None) * between(rng, 0.5, 1.5)
        + between(rng, 0, 0.2) * np.clip(noise(rng, size, 6), 0, None),
    }
    nothing = np.zeros(nucleus.shape, bool)
    return Scene(
        pixels=_absorb(np.array([0.97, 0.95, 0.96]), amounts),
        target=objects_target(bodies.ids),
        masks={
            "nucleus": nucleus,
            "membrane": nothing,
            "mitochondrion": nothing,
            "filament": nothing,
        },
    )


def _white_cells(rng: Rng, size: int, radius: float) -> Bodies:
    count = int(rng.integers(1, 2 + int(0.3 * size**2 / radius**2 / 6)))
    centres = scatter(rng, size, count, 2.1 * radius, gathered=0.3)
    radii = radius * rng.lognormal(0, 0.15, len(centres))
    return place_bodies(rng, size, centres, radii, 0.3 * radii, rough=0.12)


def _lobes(rng: Rng, size: int, whites: Bodies, radius: float) -> Floats:
    """Return the depth in the nucleus: one to four lobes in each cell."""
    numbers = np.unique(whites.ids)[1:]
    centres, radii = [], []
    for number in numbers:
        middle = np.argwhere(whites.ids == number).mean(axis=0)
        lobes = int(rng.integers(1, 5))
        share = {1: 0.62, 2: 0.42, 3: 0.34, 4: 0.29}[lobes]
        turn = rng.uniform(0, 2 * np.pi)
        angles = turn + np.arange(lobes) * rng.uniform(0.9, 2 * np.pi / lobes + 0.1)
        away = radius * (0.15 if lobes == 1 else 0.42)
        for angle in angles:
            centres.append(middle + away * np.array([np.sin(angle), np.cos(angle)]))
            radii.append(radius * share * rng.uniform(0.85, 1.2))
    radius_of = np.array(radii)
    return place_bodies(
        rng,
        size,
        np.array(centres).reshape(-1, 2),
        radius_of,
        0.5 * radius_of,
        bend=1.0,
        rough=0.25,
    ).depth


def _red_cells(
    rng: Rng, size: int, radius: float, taken: np.ndarray
) -> tuple[np.ndarray, Floats]:
    count = int(rng.integers(0, 3 + int(0.9 * size**2 / radius**2 / 4)))
    centres = scatter(rng, size, count, between(rng, 1.4, 2.1) * radius)
    radii = radius * rng.lognormal(0, 0.08, len(centres))
    bodies = place_bodies(rng, size, centres, radii, 0.2 * radii, rough=0.05)
    outside = np.where(taken, 0.0, 1.0)
    pale = 1 - between(rng, 0, 0.7) * np.clip(bodies.depth / radius * 1.6 - 0.5, 0, 1)
    ring = soft_step(bodies.depth, 1.5) * pale * outside
    ids = np.where(taken, 0, bodies.ids)
    # Numbered after the white cells, so that neighbours differ.
    return np.where(ids > 0, ids + 1000, 0), ring.astype(np.float32)


def _vary(rng: Rng, stain: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(s) for s in np.array(stain) * rng.lognormal(0, 0.25, 3))


def _absorb(light: np.ndarray, amounts: dict[tuple[float, ...], Floats]) -> Floats:
    """Return ``(3, Y, X)`` of the light that is left (Beer and Lambert)."""
    density = sum(
        np.array(stain)[:, None, None] * amount[None] for stain, amount in amounts.items()
    )
    left: Floats = (light[:, None, None] * np.exp(-density)).astype(np.float32)
    return left
