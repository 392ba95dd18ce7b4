"""Shapes that scenes are made of: noise fields, partitions, bodies, paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.synthetic import clouds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int32]
    Mask = npt.NDArray[np.bool_]
    Rng = np.random.Generator


def between(rng: Rng, low: float, high: float) -> float:
    """Draw a number, uniform."""
    return float(rng.uniform(low, high))


def scale_between(rng: Rng, low: float, high: float) -> float:
    """Draw a length, uniform in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def chance(rng: Rng, probability: float) -> bool:
    """Return True with a probability."""
    return bool(rng.random() < probability)


def noise(rng: Rng, size: int, scale: float) -> Floats:
    """Return smooth noise ``(size, size)`` of mean 0 and variance 1."""
    return clouds(rng, (size, size), (scale, scale))


def fibres(rng: Rng, size: int, scale: float, elongation: float) -> Floats:
    """Return noise that is stretched along one direction, variance 1."""
    reach = int(size * 1.5)
    straight = clouds(rng, (reach, reach), (scale, scale * elongation))
    angle = rng.uniform(0, np.pi)
    y, x = warped_grid(rng, size, 8 * scale, 1.5 * scale)
    y, x = y - size / 2, x - size / 2
    rows = np.cos(angle) * y - np.sin(angle) * x + reach / 2
    columns = np.sin(angle) * y + np.cos(angle) * x + reach / 2
    turned: Floats = ndimage.map_coordinates(
        straight, (rows, columns), order=1, mode="reflect"
    )
    return turned / (turned.std() + 1e-6)


def warped_grid(
    rng: Rng, size: int, scale: float, strength: float
) -> tuple[Floats, Floats]:
    """Return row and column of each pixel, displaced by smooth noise."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return (
        y + strength * noise(rng, size, scale),
        x + strength * noise(rng, size, scale),
    )


def soft_step(depth: Floats, width: float = 1.0) -> Floats:
    """Return 0 outside (``depth`` < 0) and 1 inside, with a ramp of ``width`` px."""
    step: Floats = np.clip(depth / width + 0.5, 0, 1)
    return step


def partition(
    rng: Rng, size: int, diameter: float, *, unequal: float = 0.5, waves: float = 0.25
) -> tuple[Ids, Floats]:
    """Divide the plane into cells of unequal size and elongation.

    A Voronoi diagram in which every site has a metric of its own, on warped ground.

    Parameters
    ----------
    diameter
        Of a cell of mean size in pixels.
    unequal
        Spread of size and elongation; 0 is plain Voronoi.
    waves
        How wavy borders are, in diameters.

    Returns
    -------
    ids, depth
        ``(size, size)`` int32 from 1, and the distance to the next border in pixels.
    """
    margin = diameter
    count = int(np.clip(((size + 2 * margin) / diameter) ** 2, 3, 260))
    y, x = warped_grid(rng, size, 0.7 * diameter, waves * diameter * 0.5)
    y = y + 0.1 * waves * diameter * noise(rng, size, max(2.0, 0.15 * diameter))
    sites = rng.uniform(-margin, size + margin, (count, 2))
    forms = np.stack([y * y, y * x, x * x, y, x, np.ones_like(y)], axis=-1)
    distance = forms.reshape(-1, 6) @ _metrics(rng, sites, unequal).astype(np.float32)
    ids = (distance.argmin(axis=1) + 1).astype(np.int32).reshape(size, size)
    return ids, border_distance(ids)


def _metrics(
    rng: Rng, sites: npt.NDArray[np.float64], unequal: float
) -> npt.NDArray[np.float64]:
    """Write each site's squared distance as a polynomial of y and x, ``(6, sites)``."""
    turn = rng.uniform(0, np.pi, len(sites))
    stretch = np.exp(rng.normal(0, 0.7 * unequal, len(sites)))
    size = np.exp(rng.normal(0, 0.8 * unequal, len(sites)))
    long, short = 1 / (size * stretch), stretch / size
    c, s = np.cos(turn), np.sin(turn)
    a = c * c * long + s * s * short
    b = 2 * c * s * (long - short)
    d = s * s * long + c * c * short
    v, u = sites.T
    constant = a * v * v + b * v * u + d * u * u
    return np.stack([a, b, d, -2 * a * v - b * u, -2 * d * u - b * v, constant])


def border_distance(ids: npt.NDArray[np.integer]) -> Floats:
    """Return the distance of each pixel to the next one with another id."""
    border = np.zeros(ids.shape, bool)
    rows, columns = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
    border[1:] |= rows
    border[:, 1:] |= columns
    if not border.any():
        return np.full(ids.shape, max(ids.shape), np.float32)
    distance: Floats = ndimage.distance_transform_edt(~border).astype(np.float32)
    return distance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bodies:
    """Round, long or bent bodies in a plane.

    Attributes
    ----------
    ids
        ``(Y, X)`` int32 from 1; where two overlap, the one that is deeper there.
    depth
        Pixels from the outline inwards, negative outside, float32.
    along, across
        Coordinates of a pixel in its body, in pixels; 0 where there is none.
    """

    ids: Ids
    depth: Floats
    along: Floats
    across: Floats


def place_bodies(
    rng: Rng,
    size: int,
    centres: npt.NDArray[np.float64],
    radius: npt.NDArray[np.float64],
    length: npt.NDArray[np.float64],
    *,
    bend: float = 0.0,
    rough: float = 0.15,
    angles: npt.NDArray[np.float64] | None = None,
) -> Bodies:
    """Draw capsules: discs without length, rods with it, irregular outlines.

    Parameters
    ----------
    centres
        ``(n, 2)`` y and x in pixels.
    radius, length
        ``(n,)`` half width, and length of the axis, in pixels.
    bend
        Largest deviation of the axis from a straight line, in half widths or lengths.
    rough
        Irregularity of the outline in radii.
    angles
        Directions of the axes; any by default.
    """
    count = len(centres)
    ids = np.zeros((size, size), np.int32)
    depth = np.full((size, size), -np.float32(size), np.float32)
    along, across = np.zeros_like(depth), np.zeros_like(depth)
    ripple = noise(rng, size, max(1.5, 0.6 * float(np.mean(radius)))) if count else depth
    if angles is None:
        angles = rng.uniform(0, np.pi, count)
    bends = bend * rng.uniform(-1, 1, count)
    for number in range(count):
        r, half = float(radius[number]), float(length[number]) / 2
        reach = 1.4 * r + half + 3
        (y0, y1), (x0, x1) = (
            (int(np.clip(c - reach, 0, size)), int(np.clip(c + reach + 1, 0, size)))
            for c in centres[number]
        )
        if y0 >= y1 or x0 >= x1:
            continue
        v = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(centres[number][0])
        u = np.arange(x0, x1, dtype=np.float32)[None] - np.float32(centres[number][1])
        c, s = np.float32(np.cos(angles[number])), np.float32(np.sin(angles[number]))
        a, b = c * u + s * v, c * v - s * u
        if half > 0:
            curve = bends[number] * min(half, 1.5 * r) / (half + r) ** 2
            b = b - np.float32(curve) * (a * a - half * half / 3)
        beyond = np.maximum(np.abs(a) - np.float32(half), 0)
        box = slice(y0, y1), slice(x0, x1)
        inside = r - np.hypot(beyond, b) + np.float32(rough * r) * ripple[box]
        closer = inside > depth[box]
        depth[box] = np.where(closer, inside, depth[box])
        mine = closer & (inside > 0)
        ids[box][mine] = number + 1
        along[box][mine] = a[mine]
        across[box][mine] = b[mine]
    return Bodies(ids=ids, depth=depth, along=along, across=across)


def scatter(
    rng: Rng, size: int, count: int, gap: float, *, gathered: float = 0.5
) -> npt.NDArray[np.float64]:
    """Draw centres, ``(n, 2)``, of which hardly any two are closer than ``gap``.

    Parameters
    ----------
    gathered
        Share that lies in loose groups.
    """
    hubs = rng.uniform(0, size, (max(1, count // 8), 2))
    points = rng.uniform(-0.1 * size, 1.1 * size, (3 * count, 2))
    grouped = rng.random(3 * count) < gathered
    near = hubs[rng.integers(len(hubs), size=3 * count)]
    near = near + rng.normal(0, 1.8 * gap, near.shape)
    points[grouped] = near[grouped]
    kept: list[npt.NDArray[np.float64]] = []
    for point in points:
        if len(kept) == count:
            break
        if not kept or ((np.array(kept) - point) ** 2).sum(axis=1).min() > gap * gap:
            kept.append(point)
    return np.array(kept).reshape(-1, 2)


def walk(
    rng: Rng,
    starts: npt.NDArray[np.float64],
    angles: npt.NDArray[np.float64],
    steps: int,
    curl: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Walk from each start in steps of a pixel, turning smoothly.

    Returns
    -------
    paths, directions
        ``(n, steps, 2)`` y and x, and ``(n, steps)`` in radians.
    """
    turns = rng.normal(0, 1, (len(starts), steps))
    turns = ndimage.gaussian_filter1d(turns, 6, axis=1, mode="nearest") * 4.6
    directions = angles[:, None] + np.cumsum(curl * turns, axis=1)
    moves = np.stack([np.sin(directions), np.cos(directions)], axis=-1)
    return starts[:, None] + np.cumsum(moves, axis=1), directions


def draw_paths(
    size: int, paths: Sequence[npt.NDArray[np.float64]], widths: Sequence[float]
) -> Floats:
    """Draw paths as tubes and return the depth in pixels, negative outside.

    Parameters
    ----------
    paths
        Each ``(n, 2)``.
    widths
        Radius of each path.
    """
    depth = np.full((size, size), -np.float32(size), np.float32)
    radii = np.array(widths)
    classes = np.round(3 * np.log2(np.maximum(radii, 0.3))).astype(int)
    for number in np.unique(classes):
        members = np.flatnonzero(classes == number)
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
    canvas: Floats,
    centres: npt.NDArray[np.float64],
    profile: Floats,
    weights: npt.NDArray[np.float64] | float = 1.0,
) -> None:
    """Add a small picture at each centre, in place; what leaves the canvas is cut."""
    half = profile.shape[0] // 2
    dy, dx = np.mgrid[-half : half + 1, -half : half + 1]
    rows = np.round(centres[:, 0]).astype(int)[:, None] + dy.ravel()
    columns = np.round(centres[:, 1]).astype(int)[:, None] + dx.ravel()
    size_y, size_x = canvas.shape
    seen = (rows >= 0) & (rows < size_y) & (columns >= 0) & (columns < size_x)
    values = np.asarray(weights).reshape(-1, 1) * profile.ravel()[None]
    values = np.broadcast_to(values, rows.shape)
    np.add.at(canvas, (rows[seen], columns[seen]), values[seen])


def disc(radius: float, *, hollow: float = 0.0) -> Floats:
    """Return a soft disc, or a ring with a wall of ``hollow`` px, for ``stamp``."""
    half = int(np.ceil(radius + 1))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    distance = np.hypot(y, x).astype(np.float32)
    if hollow:
        return np.clip(hollow - np.abs(distance - radius) + 0.5, 0, 1)
    return np.clip(radius - distance + 0.5, 0, 1)
