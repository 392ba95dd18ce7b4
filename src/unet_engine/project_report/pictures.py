"""Parts of images with the mask of a model over them, as pictures of a report."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow
from scipy import ndimage

from unet_engine.class_colours import colour_of
from unet_engine.images import Normalisation, open_image
from unet_engine.prediction.part import part_at, place_with_contrast, predict_part
from unet_engine.prediction.proposals.picture import picture_of
from unet_engine.prediction.proposals.trial_part import trial_part

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.stopping import Stop

    Picture = npt.NDArray[np.uint8]

_EDGE = 384
"""Of a picture in pixels of the model's grid: some cells, in a second or two."""

_VEIL = 0.35
"""How much the colour of a class covers inside its outline: the image stays visible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPicture:
    """A part of an image.

    Attributes
    ----------
    name
        Of the image.
    data
        PNG as a data URI; empty where none could be made.
    problem
        Why there is no picture, or no mask on it; empty when there is.
    """

    name: str
    data: str = ""
    problem: str = ""


def make_picture(
    path: Path,
    name: str,
    checkpoint: Checkpoint | None,
    config: PredictConfig,
    stop: Stop,
) -> ReportPicture:
    """Show where an image has most contrast, and the mask of a model there.

    Parameters
    ----------
    path
        Of the image.
    name
        To call it.
    checkpoint
        The model; None: the image alone.
    config
        Where it runs, and the size of the objects.
    stop
        Polled before every layer of a network.

    Raises
    ------
    EngineError
        When the image cannot be read, or the model cannot be used on it.
    """
    image = open_image(path)
    if checkpoint is None or checkpoint.spec.ndim != 2 or not checkpoint.spec.classes:
        why = "" if checkpoint is None else "no mask: its model is not of planes"
        return ReportPicture(name=name, data=_plain(image), problem=why)
    part = trial_part(image, checkpoint, config, _EDGE, stop)
    if part is None:
        why = "no mask: it is too small at the model's scale"
        return ReportPicture(name=name, data=_plain(image), problem=why)
    found = predict_part(part.pixels, checkpoint, part.config, part.normalisation, stop)
    labels = found[: len(checkpoint.spec.classes)].argmax(axis=0)
    picture = picture_of(part.shown, colour=image.rgb)
    return ReportPicture(name=name, data=data_uri(with_mask(picture, labels)))


def with_mask(picture: Picture, labels: npt.NDArray[np.intp]) -> Picture:
    """Draw the classes of a mask over a picture: a veil, and an outline inside.

    Parameters
    ----------
    picture
        ``(Y, X, 3)`` uint8, which is not changed.
    labels
        ``(Y, X)`` class ids; 0, the background, is left as it is.
    """
    drawn = picture.astype(np.float32)
    for label in range(1, int(labels.max(initial=0)) + 1):
        inside = labels == label
        outline = inside & ~ndimage.binary_erosion(inside, border_value=1)
        colour = np.array([int(colour_of(label)[at : at + 2], 16) for at in (1, 3, 5)])
        drawn[inside] = (1 - _VEIL) * drawn[inside] + _VEIL * colour
        drawn[outline] = colour
    return np.round(drawn).astype(np.uint8)


def data_uri(picture: Picture) -> str:
    """Return a picture as PNG in a data URI.

    Parameters
    ----------
    picture
        ``(Y, X, 3)`` uint8.
    """
    file = BytesIO()
    Pillow.fromarray(picture).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _plain(image: Image) -> str:
    """Return the part of an image with most contrast."""
    normalisation = Normalisation.measure(image)
    marked = normalisation.marked(image)
    index, middle = place_with_contrast(marked, normalisation)
    part = part_at(image, index, middle, 1.0, _EDGE)
    return "" if part is None else data_uri(picture_of(part, colour=image.rgb))
