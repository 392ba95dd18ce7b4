"""Soft targets from the model that is tuned: what it predicts far from all labels.

A trained model that learns from partial labels is distilled from itself: where nobody
labelled, its former prediction is the target (Li and Hoiem 2016, "Learning without
forgetting", section 3). It is computed once for each place and moves with the crops,
which spares a third of the arithmetic of every step.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import zip_longest
from math import inf, prod
from typing import TYPE_CHECKING

import numpy as np
import torch

from unet_engine.compute.activation import activated
from unet_engine.compute.loading import folded_network
from unet_engine.labels import IGNORE
from unet_engine.models.spec import ARCHITECTURES
from unet_engine.tiling.tiles import Tile, TilePlan, read_reflected
from unet_engine.training.data.crops import crop_shape
from unet_engine.training.data.pairs import TrainingPair, far_from_labels, near_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from torch import nn

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.stopping import Stop

_TILE = 256
"""Edge of a tile in pixels; of a volume that of a square of as many pixels."""

_HALO = {2: 32, 3: 8}
"""Context on each side, in pixels, as for the evaluations."""

_MOST_PIXELS = 36 * 320**2
"""Pixels that are predicted, with their context: as many as in eight steps of the usual
crops, which cost three times as much each."""

# By the number of spatial dimensions.
_FORMAT = {2: torch.channels_last, 3: torch.channels_last_3d}


def with_teacher_targets(
    pairs: Sequence[TrainingPair],
    checkpoint: Checkpoint,
    device: str,
    stop: Stop,
    *,
    seconds: float = inf,
    seed: int = 0,
) -> tuple[TrainingPair, ...]:
    """Return the pairs with what a model predicts far from their labels.

    Pairs that are labelled throughout stay as they are. Of many images only some tiles
    are predicted, in turns, chosen at random.

    Parameters
    ----------
    pairs
        What is learned from.
    checkpoint
        The model to stay near to.
    device
        As ``choose_device`` names it.
    stop
        Polled before every tile; True ends it with the tiles that are there.
    seconds
        After which no further tile is begun.
    seed
        Chooses the tiles.
    """
    partial = [i for i, pair in enumerate(pairs) if (pair.target == IGNORE).any()]
    if not partial:
        return tuple(pairs)
    spec = checkpoint.spec
    network = folded_network(checkpoint, object_maps=True).to(device)
    near = near_labels(spec)
    far = {i: far_from_labels(pairs[i].target, near) for i in partial}
    classes = len(spec.classes)
    maps = {i: _known_maps(pairs[i], spec) for i in partial}
    found = {
        i: np.zeros((classes, *pairs[i].target.shape), np.float16) for i in partial
    }
    tiles = _choose_tiles(far, checkpoint, np.random.default_rng(seed))
    started = time.monotonic()
    for i, tile in tiles:
        if stop() or time.monotonic() - started > seconds:
            break
        at = tile.inner_slices
        known = _predict(network, spec, pairs[i].image, tile, device)
        found[i][:, *at] = known[:classes] * far[i][at]
        missing = np.isnan(maps[i][:, *at]) & far[i][at]
        maps[i][:, *at][missing] = known[classes:][missing]
    return tuple(
        replace(
            pair,
            soft_target=found[i],
            object_maps=maps[i] if spec.object_maps else None,
        )
        if i in found
        else pair
        for i, pair in enumerate(pairs)
    )


def _known_maps(pair: TrainingPair, spec: ModelSpec) -> npt.NDArray[np.float16]:
    """Return a copy of the object maps of a pair, NaN throughout without any."""
    if pair.object_maps is not None:
        return pair.object_maps.astype(np.float16)
    shape = (len(spec.object_maps), *pair.target.shape)
    return np.full(shape, np.nan, np.float16)


def _choose_tiles(
    far: Mapping[int, npt.NDArray[np.bool_]],
    checkpoint: Checkpoint,
    generator: np.random.Generator,
) -> list[tuple[int, Tile]]:
    """Return tiles of all images in turns, until they have enough pixels."""
    each = []
    for i, mask in far.items():
        tiles = [t for t in _plan(mask.shape, checkpoint) if mask[t.inner_slices].any()]
        each.append([(i, tiles[n]) for n in generator.permutation(len(tiles))])
    chosen: list[tuple[int, Tile]] = []
    pixels = 0
    for turn in zip_longest(*each):
        for place in turn:
            if place is None:
                continue
            pixels += prod(place[1].outer_shape)
            if chosen and pixels > _MOST_PIXELS:
                return chosen
            chosen.append(place)
    return chosen


def _plan(shape: tuple[int, ...], checkpoint: Checkpoint) -> TilePlan:
    spec = checkpoint.spec
    halo = spec.footprint.halo
    if ARCHITECTURES[spec.architecture].padded:
        halo = tuple(min(h, _HALO[spec.ndim]) for h in halo)
    tile: int | tuple[int, ...] = _TILE
    if spec.ndim == 3:
        tile = crop_shape(spec, [shape], _TILE).learned
    footprint = replace(spec.footprint, halo=halo)
    return TilePlan.for_shape(shape, tile=tile, footprint=footprint)


@torch.inference_mode()
def _predict(
    network: nn.Module,
    spec: ModelSpec,
    image: npt.NDArray[np.float32],
    tile: Tile,
    device: str,
) -> npt.NDArray[np.float32]:
    """Return the probabilities and object maps in a tile, ``(channels, *inner)``."""
    block = read_reflected(lambda at: image[:, *at], tile.outer, image.shape[1:])
    batch = torch.from_numpy(np.ascontiguousarray(block)[None]).to(device)
    logits = network(batch.contiguous(memory_format=_FORMAT[batch.ndim - 2]))
    found = activated(logits.float(), spec)[0].cpu()
    inner: npt.NDArray[np.float32] = found[
        :, *tile.local_slices(found.shape[1:])
    ].numpy()
    return inner
