"""``ConnectedPieces``: class ids whose connected foreground is read as objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.places import Index


class ConnectedPieces:
    """Read class ids as object ids: an object is a connected piece of foreground.

    As ``napari-unet evaluate`` has it: pixels are connected along rows and columns. A
    frame is labelled when a part of it is read first, and kept until another one is.

    Parameters
    ----------
    classes
        Array-like of class ids, ``(*frames, [Z,] Y, X)``.
    ndim
        Axes that an object extends along: 2, or 3 for volumes.
    ignore
        Value that is background here: nobody labelled it.
    """

    def __init__(self, classes: Any, ndim: int = 2, ignore: int | None = None) -> None:
        self._classes = classes
        self._ignore = ignore
        self._frame: Index | None = None
        self._objects: npt.NDArray[np.int32] = np.zeros((0,) * ndim, np.int32)
        self.shape = tuple(int(n) for n in classes.shape)
        self.ndim = ndim
        self.dtype = np.dtype(np.int32)

    def __getitem__(self, key: Any) -> npt.NDArray[np.int32]:
        """Return object ids of a plane or a part of one; see `iter_compare`."""
        parts = key if isinstance(key, tuple) else (key,)
        frame = parts[: len(self.shape) - self.ndim]
        if frame != self._frame:
            classes = np.asarray(self._classes[frame])
            there = classes > 0
            if self._ignore is not None:
                there &= classes != self._ignore
            self._objects, self._frame = ndimage.label(there)[0], frame
        part: npt.NDArray[np.int32] = self._objects[parts[len(frame) :]]
        return part
