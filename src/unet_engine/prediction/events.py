"""What a prediction yields while it works and what it returns: frozen, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileDone:
    """One finished tile of a prediction.

    Attributes
    ----------
    index
        Position along the leading axes (``()`` for a plane, ``(z,)`` in a stack).
    inner
        Slices of the tile in the plane, ``(Y, X)``.
    labels
        ``(h, w)`` uint8 class ids.
    probabilities
        ``(classes, h, w)`` float32 in [0, 1], or None without
        ``PredictConfig.probabilities``.
    done, total
        Tiles finished so far, this one included, and tiles in the run.
    notes
        What happened so far, such as that memory ran out; one sentence each.
    object_maps
        ``(maps, h, w)`` float32 in [0, 1], in the order of the spec, or None without
        ``PredictConfig.object_maps``; uint8, 255 for 1, of workers elsewhere where the
        output quantises them.
    """

    index: tuple[int, ...]
    inner: tuple[slice, ...]
    labels: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32] | None
    done: int
    total: int
    notes: tuple[str, ...] = ()
    object_maps: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """The result of a prediction.

    Attributes
    ----------
    labels
        ``(*leading, Y, X)`` uint8 class ids; of a run to disk an array-like that reads
        what it is sliced for.
    probabilities
        ``(classes, *leading, Y, X)`` float32 in [0, 1], likewise, or None.
    complete
        False when the run was stopped: tiles that are missing are class 0.
    device
        Where it ran, such as ``"cpu"``.
    notes
        What the user should know about the input, one sentence each.
    object_maps
        ``(maps, *leading, Y, X)`` float32 in [0, 1], in the order of the spec, as the
        probabilities; None without ``PredictConfig.object_maps``.
    """

    labels: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32] | None
    complete: bool
    device: str
    seconds: float
    notes: tuple[str, ...] = ()
    object_maps: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileDenoised:
    """One finished tile of a denoising.

    Attributes
    ----------
    index, inner, done, total, notes
        As in ``TileDone``.
    image
        ``(C, *inner)`` float32, in the range of the image that came in.
    """

    index: tuple[int, ...]
    inner: tuple[slice, ...]
    image: npt.NDArray[np.float32]
    done: int
    total: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Denoised:
    """The result of a denoising.

    Attributes
    ----------
    image
        ``(C, *leading, Y, X)`` float32, in the range of the image that came in.
    complete
        False when the run was stopped: tiles that are missing are 0.
    device, seconds, notes
        As in ``Prediction``.
    """

    image: npt.NDArray[np.float32]
    complete: bool
    device: str
    seconds: float
    notes: tuple[str, ...] = ()
