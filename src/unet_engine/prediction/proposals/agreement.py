"""How sure a model is of what it finds in a part of an image, and how consistent.

A network is sure of what resembles its training, and finds the same when the image is
mirrored or a little smaller. Of what it does not know it is unsure, and small
changes decide what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.images import Image
from unet_engine.images.resampled import resampled_image
from unet_engine.prediction.part import predict_part
from unet_engine.tiling.resampling import AxisWeights

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.images import Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.stopping import Stop

    Floats = npt.NDArray[np.float32]

_SMALLER = 0.75
"""Scale of another view: a size of objects is hardly known better than that. A larger
view would take twice the time of the part and shows the same."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finding:
    """What a model finds in a part of an image.

    Attributes
    ----------
    labels
        ``(Y, X)`` uint8 class ids.
    share
        Of the pixels with data, how many are of a class other than the background.
    confidence
        Mean probability of those pixels not to be background, 0.5 to 1; 0 of none.
    between
        Mean brightness of the other pixels with data, on the scale of the model.
    agreement
        Lower IoU of those pixels with the ones found in the mirrored and in the smaller
        part, 0 to 1; 0 where nothing is found.
    """

    labels: npt.NDArray[np.uint8]
    share: float
    confidence: float
    between: float
    agreement: float


def examine_part(
    part: Image,
    checkpoint: Checkpoint,
    config: PredictConfig,
    normalisation: Normalisation,
    stop: Stop,
) -> Finding:
    """Predict a part as it is, mirrored and smaller, and compare.

    Parameters
    ----------
    part
        On the grid of the model.
    checkpoint, config, normalisation, stop
        As of ``predict_part``.

    Raises
    ------
    Cancelled
        When ``stop`` returned True.
    """

    def foreground(pixels: Image) -> Floats:
        found = predict_part(pixels, checkpoint, config, normalisation, stop)
        return found[: len(checkpoint.spec.classes)]

    pixels = _pixels(part)
    known = np.isfinite(pixels).all(axis=0)
    probabilities = foreground(part)
    there = (probabilities[0] < 0.5) & known
    labels = probabilities.argmax(axis=0).astype(np.uint8) * known
    if not there.any() or (there == known).all():
        share = float(there.any())
        return Finding(labels=labels, share=share, confidence=0, between=0, agreement=0)
    mirrored = foreground(_mirrored(part))[0, ::-1, ::-1]
    smaller = resampled_image(part, {"Y": _SMALLER, "X": _SMALLER})
    resized = _resized(foreground(smaller)[0], there.shape)
    return Finding(
        labels=labels,
        share=float(there.sum() / known.sum()),
        confidence=float(1 - probabilities[0][there].mean()),
        between=float(normalisation.apply(pixels).mean(axis=0)[known & ~there].mean()),
        agreement=min(_iou(there, (v < 0.5) & known) for v in (mirrored, resized)),
    )


def _pixels(part: Image) -> npt.NDArray[Any]:
    return part.read((), tuple(slice(0, size) for size in part.plane_shape))


def _mirrored(part: Image) -> Image:
    pixels = _pixels(part)[:, ::-1, ::-1]
    return Image.from_array(np.ascontiguousarray(pixels), "CYX", name=part.name)


def _resized(found: Floats, shape: tuple[int, ...]) -> Floats:
    for axis, size in enumerate(shape):
        weights = AxisWeights.of(found.shape[axis], size, (0, size))
        found = weights.apply(found, axis)
    return found


def _iou(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(one & other) / np.count_nonzero(one | other))
