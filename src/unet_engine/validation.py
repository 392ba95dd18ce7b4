"""How a model does on the pixels that were held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from unet_engine.dataset import HELD_OUT, TrainingPair, class_counts
from unet_engine.metrics import Confusion
from unet_engine.spec import IGNORE
from unet_engine.tiling import Tile, TilePlan, read_reflected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from unet_engine.spec import ModelSpec

_TILE = 256
_HALO = 32
"""Context on each side, in pixels: enough to judge by, a third of what is exact."""
_MOST_PIXELS = 1_000_000


@dataclass(frozen=True, slots=True)
class _View:
    pair: TrainingPair
    tile: Tile


class HeldOut:
    """The held-out pixels of a run, in tiles.

    Parameters
    ----------
    pairs
        Targets are ``IGNORE`` but for the held-out pixels.
    spec
        Of the model to be judged.
    seed
        Chooses the tiles when there are more pixels than a look should take.
    """

    def __init__(
        self, pairs: Sequence[TrainingPair], spec: ModelSpec, *, seed: int
    ) -> None:
        self._classes = len(spec.classes)
        footprint = spec.footprint
        halo = tuple(min(h, _HALO) for h in footprint.halo)
        views = [
            _View(pair, tile)
            for pair in pairs
            for tile in TilePlan.for_shape(
                pair.target.shape, tile=_TILE, footprint=replace(footprint, halo=halo)
            )
            if (pair.target[tile.inner_slices] < HELD_OUT).any()
        ]
        self._views = _affordable(views, np.random.default_rng(seed))

    def evaluate(self, network: nn.Module, device: str) -> tuple[float, float]:
        """Judge a network in evaluation mode.

        Returns
        -------
        loss, iou
            Mean cross entropy over the held-out pixels, and mean IoU over the classes.
        """
        confusion = Confusion(self._classes)
        total = 0.0
        with torch.inference_mode():
            for view in self._views:
                target = view.pair.target[view.tile.inner_slices]
                logits = self._predict(network, view, device)
                truth = torch.from_numpy(target.astype(np.int64))[None]
                total += float(
                    functional.cross_entropy(
                        logits, truth, ignore_index=IGNORE, reduction="sum"
                    )
                )
                confusion.add(target, logits[0].argmax(dim=0).numpy())
        return total / max(1, confusion.pixels), confusion.mean_iou

    @staticmethod
    def _predict(network: nn.Module, view: _View, device: str) -> Tensor:
        image = view.pair.image
        block = read_reflected(
            lambda at: image[:, *at], view.tile.outer, image.shape[1:]
        )
        batch = torch.from_numpy(np.ascontiguousarray(block)[None]).to(device)
        batch = batch.contiguous(memory_format=torch.channels_last)
        logits: Tensor = network(batch).float().cpu()
        rows, columns = view.tile.local_slices(logits.shape[2:])
        return logits[..., rows, columns]


def _affordable(
    views: Sequence[_View], generator: np.random.Generator
) -> tuple[_View, ...]:
    """Choose views at random up to the pixel limit, those with a new class first."""
    shuffled = [views[i] for i in generator.permutation(len(views))]
    seen = np.zeros(HELD_OUT, dtype=bool)
    first: list[_View] = []
    rest: list[_View] = []
    for view in shuffled:
        present = class_counts(view.pair.target[view.tile.inner_slices]) > 0
        (first if np.any(present & ~seen) else rest).append(view)
        seen |= present
    chosen: list[_View] = []
    pixels = 0
    for view in (*first, *rest):
        pixels += prod(view.tile.outer_shape)
        if chosen and pixels > _MOST_PIXELS:
            break
        chosen.append(view)
    return tuple(chosen)
