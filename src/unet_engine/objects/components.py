"""Connected pixels of one class, and holes that one class surrounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from skimage.measure import label

from unet_engine.objects.blocks import (
    BlockDone,
    BlockGrid,
    release_pages,
    scratch_array,
)
from unet_engine.objects.stitching import Stitcher

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy.typing as npt

    from unet_engine.objects.blocks import ImageBlock

    Ints = npt.NDArray[np.integer[Any]]
    ReadBlock = Callable[[ImageBlock], Ints]

Connectivity = Literal["faces", "full"]


def label_components(classes: Ints, connectivity: Connectivity) -> Ints:
    """Number the pieces of connected pixels of one class; class 0 is background.

    Parameters
    ----------
    classes
        ``(Y, X)`` or ``(Z, Y, X)`` integer ids.
    connectivity
        Along ``"faces"`` (4 neighbours in a plane, 6 in a volume) or ``"full"`` (8 and
        26).

    Returns
    -------
    ndarray
        Integer ids from 1 in raster order, of the same shape.
    """
    steps = 1 if connectivity == "faces" else classes.ndim
    found: Ints = label(classes, background=0, connectivity=steps)
    return found


def fill_holes(
    read: ReadBlock, grid: BlockGrid, connectivity: Connectivity
) -> Generator[BlockDone, None, npt.NDArray[np.uint8]]:
    """Give the holes of every class to it, block by block.

    A hole is a connected piece of background that does not reach the border of its
    plane or volume and whose neighbours are all of one class. Background is connected
    in the complementary way: along corners when objects are along faces. A mask of one
    class is filled as by ``scipy.ndimage.binary_fill_holes``.

    Parameters
    ----------
    read
        Gives the class ids of the outer region of a block.
    grid
        Blocks with an overlap of 1 or more.
    connectivity
        Of the objects.

    Yields
    ------
    BlockDone
        Two for every block.

    Returns
    -------
    ndarray
        uint8 class ids of ``grid.shape``, perhaps in a temporary file.
    """
    complement: Connectivity = "full" if connectivity == "faces" else "faces"
    pieces = scratch_array(grid.shape, np.uint32)
    stitcher = Stitcher(grid, pieces, same_pixels=True)
    around = [np.array([[_NO_CLASS, 0, 0]], np.int16)]
    for done, block in enumerate(grid, start=1):
        classes = read(block)
        local = label_components(classes == 0, complement)
        present = stitcher.add(block, local)
        around.append(_surroundings(block, grid, classes, local)[present])
        yield BlockDone(done=done, total=2 * len(grid))
    owner = _owners(stitcher.finish().roots, np.concatenate(around))
    filled = scratch_array(grid.shape, np.uint8)
    for done, block in enumerate(grid, start=len(grid) + 1):
        where = block.core_slices
        classes = read(block)[block.local]
        filled[where] = np.where(classes == 0, owner[pieces[where]], classes)
        release_pages(pieces)
        release_pages(filled)
        yield BlockDone(done=done, total=2 * len(grid))
    return filled


_NO_CLASS = -1000
"""Less than the negative of every class id, 255 at most."""


def _surroundings(
    block: ImageBlock, grid: BlockGrid, classes: Ints, local: Ints
) -> npt.NDArray[np.int16]:
    """Find what touches each piece of background.

    Returns
    -------
    ndarray
        ``(pieces + 1, 3)``: minus the lowest class beside it, the highest one, and 1
        where it reaches the border; the highest of two pieces describes both together.
    """
    found = np.zeros((int(local.max(initial=0)) + 1, 3), np.int16)
    found[:, 0] = _NO_CLASS
    for axis, (outer, size) in enumerate(zip(block.outer, grid.spatial, strict=True)):
        pieces = np.moveaxis(local, axis, 0)
        beside = np.moveaxis(classes, axis, 0).astype(np.int16)
        for piece, class_id in (
            (pieces[:-1], beside[1:]),
            (pieces[1:], beside[:-1]),
        ):
            touch = (piece > 0) & (class_id > 0)
            np.maximum.at(found[:, 0], piece[touch], -class_id[touch])
            np.maximum.at(found[:, 1], piece[touch], class_id[touch])
        if outer.start == 0:
            found[pieces[0], 2] = 1
        if outer.stop == size:
            found[pieces[-1], 2] = 1
    return found


def _owners(roots: Ints, around: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """Return the class that takes each fragment of background, 0 for none."""
    joined = np.full((int(roots.max()) + 1, 3), _NO_CLASS, np.int16)
    np.maximum.at(joined, roots, around)
    lowest, highest, border = -joined[:, 0], joined[:, 1], joined[:, 2]
    owner = np.where((lowest == highest) & (border == 0), highest, 0)
    taken: npt.NDArray[np.uint8] = owner.astype(np.uint8)[roots]
    return taken
