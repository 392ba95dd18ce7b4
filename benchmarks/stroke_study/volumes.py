"""Stacks with their truth, and networks of volumes made from networks of planes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.segmentation import find_boundaries

from unet_engine.annotations.annotations import Annotations
from unet_engine.errors import DataError
from unet_engine.images import Image, open_image
from unet_engine.labels import IGNORE
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.starting import start_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Mask = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """A volume and its truth.

    Attributes
    ----------
    image
        Axes ``ZYX``.
    truth
        ``(Z, Y, X)`` uint8, 1 in objects or, where those fill the volume, between them.
    """

    image: Image
    truth: Mask


def read_stack(folder: Path) -> Stack:
    """Return the first stack of a folder.

    Raises
    ------
    DataError
        When there is none.
    """
    files = sorted((folder / "images").glob("*.tif"))
    if not files:
        raise DataError(f"{folder}/images has no stack; give --data where the sets lie")
    pixels, ids = (
        np.stack([image.read((z,))[0] for z in range(image.leading_shape[0])])
        for image in (
            open_image(files[0]),
            open_image(folder / "labels" / files[0].name),
        )
    )
    image = Image.from_array(pixels, "ZYX", name=files[0].stem)
    return Stack(image, foreground(ids))


def foreground(ids: npt.NDArray[np.integer[Any]]) -> Mask:
    """Return 1 in objects, or on the walls between them where they fill everything.

    Parameters
    ----------
    ids
        ``(Z, Y, X)`` of objects, 0 for the background.
    """
    inside = ids > 0
    if inside.mean() > 0.9:
        inside = find_boundaries(ids, mode="thick")
    return inside.astype(np.uint8)


def annotations_of(target: Mask) -> Annotations:
    """Return strokes, ``(Z, Y, X)`` uint8 with ``IGNORE``, as the plugin holds them."""
    annotations = Annotations(target.shape)
    where = np.nonzero(target != IGNORE)
    if len(where[0]):
        annotations.set(where, target[where])
    return annotations


def inflated(planes: Checkpoint, seed: int = 0) -> Checkpoint:
    """Return a network of volumes whose kernels are those of planes, repeated along Z.

    Each kernel is divided by how often it is repeated (Carreira, Zisserman 2017), but
    for those of the upsampling, of which each slice gets one.

    Parameters
    ----------
    planes
        A U-Net of planes.
    seed
        Of nothing that stays: all weights are replaced.
    """
    fresh = start_checkpoint(replace(planes.spec, ndim=3, z_poolings=None), seed)
    weights = {}
    for name, weight in fresh.weights.items():
        known = planes.weights[name]
        if weight.ndim > known.ndim:
            repeats = weight.shape[2]
            known = np.repeat(known[:, :, None], repeats, axis=2)
            known = known if repeats == 2 else known / np.float32(repeats)
        weights[name] = known
    return Checkpoint(fresh.spec, weights, planes.history)
