"""Blind spots: pixels that are hidden from a network, which has to predict them.

Krull, Buchholz, Jug 2019, Noise2Void.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from unet_engine.labels import HELD_OUT
from unet_engine.tiling.tiles import TilePlan, read_reflected
from unet_engine.training.validation import HeldOutScores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from torch import Tensor, nn

    from unet_engine.models.spec import ModelSpec
    from unet_engine.tiling.tiles import Tile
    from unet_engine.training.data.pairs import TrainingPair

SHARE = 0.05
"""Of the pixels that become blind spots: the more, the more is learned in a step."""

_REACH = 2
"""Pixels along Y and X from which the neighbour of a blind spot is drawn: a square of 5
by 5, as of Krull et al. 2019, section 4; beyond what is hidden with it."""

_TILE = 256
"""Edge of an evaluated tile in pixels."""

_MOST_TILES = 16
"""Tiles that are evaluated: a million pixels, evenly chosen."""


def middle_slice(spec: ModelSpec) -> slice:
    """Return which of the ``input_maps`` are restored: the channels of the middle."""
    first = spec.slices // 2 * spec.in_channels
    return slice(first, first + spec.in_channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blinding:
    """Which pixels become blind spots, and what is hidden with them.

    Attributes
    ----------
    share
        Of the pixels: the more, the more is learned in a step.
    margin
        Pixels around a spot that are hidden too, where neighbours share their noise.
    """

    share: float = SHARE
    margin: int = 0

    @property
    def spots(self) -> float:
        """Share of spots: fewer where each hides more."""
        return self.share / max(1, 3 * self.margin)


def blind(
    images: Tensor,
    known: Tensor,
    generator: torch.Generator,
    blinding: Blinding | None = None,
) -> tuple[Tensor, Tensor]:
    """Replace a few pixels by one of their neighbours.

    Parameters
    ----------
    images
        ``(N, C, Y, X)`` float32.
    known
        ``(N, Y, X)`` bool, the pixels that may be spots.
    generator
        Random numbers, on the CPU.
    blinding
        How many, and what is replaced around them; None for the defaults.

    Returns
    -------
    blinded, spots
        ``(N, C, Y, X)`` float32, the images with replaced pixels, and ``(N, 1, Y, X)``
        float32, 1 at the spots.
    """
    blinding = blinding or Blinding()
    count, _, height, width = images.shape
    shape = (count, height, width)
    drawn = torch.rand(shape, generator=generator).to(images.device)
    spots = ((drawn < blinding.spots) & known).unsqueeze(1)
    # A hidden pixel gets the value of none that is hidden by the same spot.
    within = 2 * blinding.margin
    steps = _steps(within, within + _REACH)
    chosen = steps[torch.randint(len(steps), shape, generator=generator)]
    rows = _moved(torch.arange(height)[:, None], chosen[..., 0], height)
    columns = _moved(torch.arange(width), chosen[..., 1], width)
    places = (rows * width + columns).to(images.device).flatten(1).unsqueeze(1)
    neighbours = images.flatten(2).gather(2, places.expand(-1, images.shape[1], -1))
    hidden = around(spots, blinding.margin)
    blinded = torch.where(hidden, neighbours.reshape(images.shape), images)
    return blinded, spots.float()


def blind_middle(
    images: Tensor,
    known: Tensor,
    generator: torch.Generator,
    middle: slice,
    blinding: Blinding | None = None,
) -> tuple[Tensor, Tensor]:
    """Replace a few pixels of the middle slice by their neighbours, as ``blind`` does.

    ``images`` are ``(N, input_maps, Y, X)``; the other slices stay as they are.
    """
    blinded, spots = blind(images[:, middle], known, generator, blinding)
    if blinded.shape[1] < images.shape[1]:
        others = images[:, : middle.start], images[:, middle.stop :]
        blinded = torch.cat((others[0], blinded, others[1]), dim=1)
    return blinded, spots


def around(spots: Tensor, margin: int) -> Tensor:
    """Return the squares around spots, ``(N, 1, Y, X)`` bool as they are."""
    if not margin:
        return spots
    edge = 2 * margin + 1
    return functional.max_pool2d(spots.float(), edge, 1, margin) > 0


@cache
def _steps(within: int, reach: int) -> Tensor:
    """Return all steps along Y and X beyond a square and within another, ``(n, 2)``."""
    sides = range(-reach, reach + 1)
    found = [(y, x) for y in sides for x in sides if max(abs(y), abs(x)) > within]
    return torch.tensor(found)


def _moved(positions: Tensor, steps: Tensor, size: int) -> Tensor:
    """Go some steps, or as many in the other direction where that leaves the image."""
    there = positions + steps
    outside = (there < 0) | (there >= size)
    return torch.where(outside, positions - steps, there).clamp(0, size - 1)


class BlindSpots:
    """Evaluate a network on blind spots that are the same each time.

    Parameters
    ----------
    pairs
        Held-out pixels are below ``HELD_OUT``.
    spec
        Of the network.
    margin
        Pixels around a spot that are hidden too.

    Attributes
    ----------
    blinding
        What is hidden.
    """

    def __init__(
        self, pairs: Sequence[TrainingPair], spec: ModelSpec, margin: int = 0
    ) -> None:
        self.blinding = Blinding(margin=margin)
        footprint = replace(spec.footprint, halo=(0, 0))
        tiles = [
            (pair, tile)
            for pair in pairs
            for tile in TilePlan.for_shape(
                pair.target.shape, tile=_TILE, footprint=footprint
            )
            if (pair.target[tile.inner_slices] < HELD_OUT).any()
        ]
        count = min(len(tiles), _MOST_TILES)
        self._tiles = [tiles[i * len(tiles) // count] for i in range(count)]
        self._middle = middle_slice(spec)

    def evaluate(
        self, network: nn.Module, device: str, *, step: int = 0
    ) -> HeldOutScores:
        """Measure the mean square error at the blind spots, in evaluation mode."""
        generator = torch.Generator().manual_seed(0)
        total = values = 0.0
        with torch.inference_mode():
            for pair, tile in self._tiles:
                image, known = _read_tile(pair, tile)
                blinded, spots = blind_middle(
                    image, known, generator, self._middle, self.blinding
                )
                found = network(blinded.to(device)).float().cpu()
                image = image[:, self._middle]
                total += float(((found - image) ** 2 * spots).sum())
                values += float(spots.sum()) * image.shape[1]
        return HeldOutScores(loss=total / max(1.0, values), iou=math.nan)

    def tiles(self) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]]:
        """Yield the evaluated tiles.

        Yields
        ------
        image, known
            ``(input_maps, Y, X)`` float32, and ``(Y, X)`` bool, the held-out pixels.
        """
        for pair, tile in self._tiles:
            image, known = _read_tile(pair, tile)
            yield image[0].numpy(), known[0].numpy()


def _read_tile(pair: TrainingPair, tile: Tile) -> tuple[Tensor, Tensor]:
    shape = pair.target.shape
    block = read_reflected(lambda at: pair.image[:, *at], tile.outer, shape)
    known = np.zeros(tile.outer_shape, dtype=bool)
    inner = pair.target[tile.inner_slices]
    known[: inner.shape[0], : inner.shape[1]] = inner < HELD_OUT
    image = torch.from_numpy(np.ascontiguousarray(block, dtype=np.float32))
    return image[None], torch.from_numpy(known)[None]
