"""What goes to a worker and what comes back: plain values, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from unet_engine.images import Image, Normalisation
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.plan import PredictionPlan
    from unet_engine.remote.packing import Packed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PredictionHeader:
    """What all tiles of a prediction share.

    Attributes
    ----------
    image
        Without pixels.
    model
        Digest of its file, that workers keep.
    classes
        Channels of the result that are probabilities; 0 for a restored image.
    config, normalisation, plan
        As of ``iter_predict``; the device is that of the worker.
    block_edge
        Blocks in which CPUs compute; 0: those that suit.
    sends_probabilities
        Whether they come back; labels always do.
    quantises_object_maps
        Whether object maps come back as uint8, 255 for 1.
    """

    image: Image
    model: str
    classes: int
    config: PredictConfig
    normalisation: Normalisation
    plan: PredictionPlan
    block_edge: int
    sends_probabilities: bool
    quantises_object_maps: bool


@dataclass(frozen=True, slots=True)
class RunReady:
    """A worker can predict tiles.

    Attributes
    ----------
    device, block_edge, notes
        As of its predictor.
    """

    device: str
    block_edge: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnknownRun:
    """A worker lacks the model, or was started after a run had begun.

    Attributes
    ----------
    worker
        Its address at the scheduler, in the answer to an order for a tile.
    """

    worker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedTile:
    """A tile as a worker returns it.

    Attributes
    ----------
    labels
        ``(*inner)`` uint8; None of a restored image.
    values
        ``(classes, *inner)`` float32 where they are wanted, or the restored image.
    object_maps
        ``(maps, *inner)`` float32 or uint8, as the header has it, or None.
    retreats
        As of the worker's predictor.
    """

    labels: Packed | None
    values: Packed | None
    object_maps: Packed | None
    retreats: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedTile:
    """A tile of a mask.

    Attributes
    ----------
    labels
        ``(*inner)`` uint8 class ids.
    probabilities
        ``(classes, *inner)`` float32, or None where they are not wanted.
    object_maps
        ``(maps, *inner)`` float32, or uint8 where the output quantises them, or None.
    """

    labels: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32] | None
    object_maps: npt.NDArray[Any] | None
