"""The shapes in scenes: round, long and bent bodies, tubes along paths, spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.synthetic.scenes.fields import noise, soft_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.synthetic.scenes.fields import Floats, Ids, Points, Rng


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capsules:
    """Outlines: discs without length, rods with it.

    Parameters
    ----------
    centres
        ``(n, 2)`` y and x in pixels.
    radii, lengths
        ``(n,)`` half width, and length of the axis, in pixels.
    angles
        ``(n,)`` directions of the axes in radians; any if None.
    bend
        Largest deviation of the axis from a straight line, in half widths or lengths.
    rough
        Irregularity of the outline in radii.
    """

    centres: Points
    radii: Points
    lengths: Points
    angles: Points | None = None
    bend: float = 0.0
    rough: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bodies:
    """Capsules that were drawn.

    Attributes
    ----------
    ids
        ``(Y, X)`` int32 from 1; where two overlap, the one that is deeper there.
    depth
        ``(Y, X)`` float32, pixels from the outline inwards, negative outside.
    along
        ``(Y, X)`` float32, where a pixel lies along the axis of its body, in pixels.
    """

    ids: Ids
    depth: Floats
    along: Floats


def draw_bodies(rng: Rng, size: int, capsules: Capsules) -> Bodies:
    """Draw capsules with irregular outlines; what leaves the plane is cut."""
    count = len(capsules.centres)
    bodies = Bodies(
        ids=np.zeros((size, size), np.int32),
        depth=np.full((size, size), -np.float32(size), np.float32),
        along=np.zeros((size, size), np.float32),
    )
    if not count:
        return bodies
    ripple = noise(rng, size, max(1.5, 0.6 * float(np.mean(capsules.radii))))
    angles = capsules.angles
    if angles is None:
        angles = rng.uniform(0, np.pi, count)
    bends = capsules.bend * rng.uniform(-1, 1, count)
    for number, centre in enumerate(capsules.centres):
        radius, half = capsules.radii[number], capsules.lengths[number] / 2
        box = _box_around(centre, 1.4 * radius + half + 3, size)
        if box is None:
            continue
        along, across = _turned(centre, box, angles[number])
        bend = bends[number] * min(half, 1.5 * radius)
        across -= np.float32(bend / (half + radius) ** 2) * (along**2 - half**2 / 3)
        beyond = np.maximum(np.abs(along) - half, 0)
        depth = radius * (1 + capsules.rough * ripple[box]) - np.hypot(beyond, across)
        _lay(bodies, box, number + 1, depth.astype(np.float32), along)
    return bodies


def _box_around(centre: Points, reach: float, size: int) -> tuple[slice, slice] | None:
    starts = np.clip(centre - reach, 0, size).astype(int)
    stops = np.clip(centre + reach + 1, 0, size).astype(int)
    if (starts >= stops).any():
        return None
    return slice(starts[0], stops[0]), slice(starts[1], stops[1])


def _turned(
    centre: Points, box: tuple[slice, slice], angle: float
) -> tuple[Floats, Floats]:
    """Return the coordinates of a box's pixels along a direction and across it."""
    rows, columns = (np.arange(part.start, part.stop) for part in box)
    y = (rows - centre[0]).astype(np.float32)[:, None]
    x = (columns - centre[1]).astype(np.float32)[None]
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * x + s * y, c * y - s * x


def _lay(
    bodies: Bodies, box: tuple[slice, slice], number: int, depth: Floats, along: Floats
) -> None:
    """Draw a body where it is deeper than those that are there, in place."""
    closer = depth > bodies.depth[box]
    bodies.depth[box] = np.where(closer, depth, bodies.depth[box])
    mine = closer & (depth > 0)
    bodies.ids[box][mine] = number
    bodies.along[box][mine] = along[mine]


def scatter(
    rng: Rng, size: int, count: int, gap: float, *, gathered: float = 0.5
) -> Points:
    """Draw centres, ``(n, 2)``, no two of them closer than ``gap``.

    Parameters
    ----------
    rng
        Random numbers.
    size
        Edge of the plane in pixels; some centres lie a little beyond.
    count
        How many; fewer where there is no room.
    gap
        In pixels.
    gathered
        Share that lies in loose groups.
    """
    hubs = rng.uniform(0, size, (max(1, count // 8), 2))
    points = rng.uniform(-0.1 * size, 1.1 * size, (3 * count, 2))
    grouped = rng.random(3 * count) < gathered
    near = hubs[rng.integers(len(hubs), size=3 * count)]
    near = near + rng.normal(0, 1.8 * gap, near.shape)
    points[grouped] = near[grouped]
    kept: list[Points] = []
    for point in points:
        if len(kept) == count:
            break
        if not kept or ((np.array(kept) - point) ** 2).sum(axis=1).min() > gap * gap:
            kept.append(point)
    return np.array(kept).reshape(-1, 2)


def walk(
    rng: Rng, starts: Points, angles: Points, steps: int, curl: float
) -> tuple[Points, Points]:
    """Walk from each start in steps of a pixel, turning smoothly.

    Returns
    -------
    paths, directions
        ``(n, steps, 2)`` y and x, and ``(n, steps)`` in radians.
    """
    turns = rng.normal(0, 1, (len(starts), steps))
    # Smoothing over 6 steps makes turns 4.6 times as small.
    turns = 4.6 * ndimage.gaussian_filter1d(turns, 6, axis=1, mode="nearest")
    directions = angles[:, None] + np.cumsum(curl * turns, axis=1)
    moves = np.stack([np.sin(directions), np.cos(directions)], axis=-1)
    return starts[:, None] + np.cumsum(moves, axis=1), directions


def draw_paths(size: int, paths: Sequence[Points], widths: Sequence[float]) -> Floats:
    """Draw paths as tubes and return the depth in pixels, negative outside.

    Parameters
    ----------
    size
        Edge of the plane in pixels.
    paths
        Each ``(n, 2)``, in steps of a pixel.
    widths
        Radius of each path; those within a quarter are drawn alike.
    """
    depth = np.full((size, size), -np.float32(size), np.float32)
    radii = np.array(widths)
    classes = np.round(3 * np.log2(np.maximum(radii, 0.3)))
    for number in np.unique(classes):
        members = [int(i) for i in np.flatnonzero(classes == number)]
        points = np.concatenate([paths[i] for i in members])
        rows, columns = np.round(points).astype(int).T
        seen = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
        if not seen.any():
            continue
        line = np.ones((size, size), bool)
        line[rows[seen], columns[seen]] = False
        tube = radii[members].mean() - ndimage.distance_transform_edt(line)
        depth = np.maximum(depth, tube.astype(np.float32))
    return depth


def stamp(
    canvas: Floats, centres: Points, profile: Floats, weights: Points | float = 1.0
) -> None:
    """Add a profile at each centre, in place; what leaves the canvas is cut.

    Parameters
    ----------
    canvas
        ``(Y, X)`` float32.
    centres
        ``(n, 2)`` y and x in pixels.
    profile
        ``(2 n + 1, 2 n + 1)`` float32, as of ``disc``.
    weights
        Factor of each, ``(n,)``, or of all.
    """
    half = profile.shape[0] // 2
    dy, dx = np.mgrid[-half : half + 1, -half : half + 1]
    rows = np.round(centres[:, 0]).astype(int)[:, None] + dy.ravel()
    columns = np.round(centres[:, 1]).astype(int)[:, None] + dx.ravel()
    height, width = canvas.shape
    seen = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    values = np.asarray(weights).reshape(-1, 1) * profile.ravel()[None]
    values = np.broadcast_to(values, rows.shape)
    np.add.at(canvas, (rows[seen], columns[seen]), values[seen])


def disc(radius: float, *, wall: float = 0.0) -> Floats:
    """Return a soft disc for ``stamp``, or a ring of twice the ``wall`` in pixels.

    ``(2 n + 1, 2 n + 1)`` float32 in [0, 1], with ``n`` a little above ``radius``.
    """
    half = int(np.ceil(radius + 1))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    distance = np.hypot(y, x).astype(np.float32)
    depth = wall - np.abs(distance - radius) if wall else radius - distance
    return soft_step(depth)
