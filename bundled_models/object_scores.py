"""How well a network finds held-out objects at the scale of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from skimage.measure import label as connected_components
from skimage.segmentation import watershed

from bundled_models.labelled_image import resized
from unet_engine.images.brightness.foreground import foreground_limits
from unet_engine.images.stains import dye_weights
from unet_engine.metrics import Confusion, count_overlaps, match_objects

if TYPE_CHECKING:
    from torch import nn

    from bundled_models.labelled_image import Floats, Ids, LabelledImage
    from unet_engine.images.stains import Dye

_DIVISOR = 16
"""A multiple of what the U-Net with its 4 poolings takes."""
_SEED = 0.5
"""Relative distance from which a pixel is a seed of its object."""
_SMALLEST = 20
"""Pixels of an object below which it is left out."""


@torch.no_grad()
def score(
    network: nn.Module, images: list[LabelledImage], object_size: float
) -> dict[str, float]:
    """Return IoU of all pixels and the mean average precision at 0.5."""
    confusion = Confusion(2)
    precisions = []
    for image in images:
        grey, ids = at_scale(image, object_size)
        found, maps = _predicted(network, grey)
        known = ids >= 0
        confusion.add((ids > 0)[known].astype(np.uint8), found[known].astype(np.uint8))
        if image.separated:
            objects = _objects(found, maps[0]) * known
            table = count_overlaps(np.maximum(ids, 0), objects)
            precisions.append(match_objects(table, 0.5).average_precision)
    figures = {"iou": float(confusion.iou[1] or 0.0)}
    if precisions:
        figures["ap50"] = float(np.mean(precisions))
    return figures


def at_scale(image: LabelledImage, object_size: float) -> tuple[Floats, Ids]:
    """Return an image as the model takes it, ``(Y, X)``, and its ids."""
    pixels, ids, _ = resized(
        image.pixels, image.ids, image.distance, object_size / image.diameter
    )
    return _grey(pixels, image.dye), ids


def _grey(pixels: Floats, dye: Dye) -> Floats:
    if len(pixels) == 1:
        return np.clip(pixels[0], -1, 5)
    density = np.tensordot(dye_weights(dye), pixels, axes=1)
    low, high = foreground_limits([density])
    grey: Floats = np.clip((density - low) / max(high - low, 1e-6), -1, 5)
    return grey.astype(np.float32)


def _predicted(network: nn.Module, grey: Floats) -> tuple[Ids, Floats]:
    """Return where objects are, ``(Y, X)``, and the maps, ``(2, Y, X)``."""
    height, width = grey.shape
    margins = [(0, -n % _DIVISOR) for n in grey.shape]
    padded = np.pad(grey, margins, mode="symmetric")
    logits = network(torch.from_numpy(padded)[None, None])[0, :, :height, :width]
    found = (logits[1] > logits[0]).numpy()
    maps: Floats = torch.sigmoid(logits[2:]).numpy()
    return found, maps


def _objects(found: Ids, distance: Floats) -> Ids:
    smooth = ndimage.gaussian_filter(distance, 1.0)
    seeds = connected_components((smooth > _SEED) & (found > 0), connectivity=1)
    objects = watershed(-smooth, seeds, mask=found > 0)
    sizes = np.bincount(objects.ravel())
    kept: Ids = np.where(sizes[objects] < _SMALLEST, 0, objects)
    return kept
