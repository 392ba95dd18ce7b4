"""Labelled sets on disk and which of their images are held out."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.measure import label as connected_components

from unet_engine.images import open_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    Ids = npt.NDArray[np.int32]

HELD_OUT = 0.15
"""Part of the images that is held out for the figures of the model cards."""

BLOCKS, HELD_OUT_BLOCKS = 10, (2, 7)
"""Parts of equal size of a set in order, and those that are held out."""


def is_held_out(name: str) -> bool:
    """Return whether an image is kept for the figures, by a hash of its file name."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < HELD_OUT


def list_files(folder: Path, *, held_out: bool) -> Iterator[tuple[Path, Path]]:
    """Yield the image and the label file of one side of the split."""
    for image in sorted((folder / "images").iterdir()):
        if is_held_out(image.stem) == held_out:
            yield image, _labels_of(image)


def list_blocks(folder: Path, *, held_out: bool) -> Iterator[tuple[Path, Path]]:
    """Yield those of one side of a split of a set whose neighbours resemble each other.

    Neighbours in the order of names, as of one time series, are on one side, but for
    those where two blocks meet.
    """
    images = sorted((folder / "images").iterdir())
    for number, image in enumerate(images):
        block = BLOCKS * number // len(images)
        if (block in HELD_OUT_BLOCKS) == held_out:
            yield image, _labels_of(image)


def _labels_of(image: Path) -> Path:
    return next((image.parents[1] / "labels").glob(f"{image.stem}.*"))


def read_labels(path: Path) -> npt.NDArray[np.integer[Any]]:
    """Read object ids, ``(Y, X)``."""
    return open_image(path).read()[0]


def read_ids(path: Path, *, merged: bool = False, wall: int = 0) -> Ids:
    """Read object ids, ``(Y, X)`` int32; -1 where the set states that nothing is known.

    Parameters
    ----------
    path
        Of the label file.
    merged
        The labels are classes: an object is what is connected and no wall.
    wall
        Class of what lies around objects.
    """
    labels = read_labels(path)
    ids = labels.astype(np.int32)
    if merged:
        inside = (labels > 0) & (labels != wall)
        ids = connected_components(inside, connectivity=1).astype(np.int32)
    unknown = path.parents[1] / "ignore" / path.name
    if unknown.is_file():
        ids[read_labels(unknown) > 0] = -1
    return ids
