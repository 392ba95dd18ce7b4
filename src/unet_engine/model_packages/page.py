"""The page and the cover of a package, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Picture

from unet_engine.model_packages.tensors import (
    cropped,
    joined_channels,
    states_brightness,
)
from unet_engine.models.collection.description import describe_model
from unet_engine.models.collection.scores import held_out_score

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.model_packages.tensors import Example
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.spec import ModelSpec

_COVER_EDGE = 256
"""Pixels of each half of the cover: sharp on a page, and far below 500 kB."""


def page_of(info: ModelInfo, card: str) -> str:
    """Return the documentation of a package, Markdown.

    Parameters
    ----------
    info
        The model.
    card
        Its card, with the credits for its data.
    """
    parts = [
        card.strip(),
        "## How to prepare an image",
        _preparation(info.spec),
        "## What comes out",
        _output(info.spec),
        "## Validation",
        _validation(info),
    ]
    parent = describe_model(info).get("tuned from")
    if parent:
        parts.append(f"Tuned from the model {parent}.")
    return "\n\n".join(parts) + "\n"


def _preparation(spec: ModelSpec) -> str:
    sentences = []
    if spec.object_size_px is not None:
        sentences.append(
            f"Scale it so that its objects have a diameter of about "
            f"{spec.object_size_px:.3g} pixels; this is not a part of the network."
        )
    if spec.pixel_size_um is not None:
        sentences.append(f"It was trained at {spec.pixel_size_um:g} µm per pixel.")
    if spec.colour != "luminance":
        sentences.append(
            f"Of stained tissue in colour, compute the optical density of the "
            f"{spec.colour} first."
        )
    if states_brightness(spec):
        together = " of all channels together" if joined_channels(spec) else ""
        sentences.append(
            f"The percentiles {spec.low_percentile:g} and {spec.high_percentile:g} of "
            f"the whole image{together} become 0 and 1, and all is clipped to -1 to 5; "
            "the description states it as preprocessing. Of an image that is predicted "
            "in tiles, take the percentiles of all of it."
        )
    else:
        sentences.append(
            "The brightness of the background becomes 0 and that of the objects 1, "
            "however few they are, and all is clipped to -1 to 5. The terms of "
            "bioimage.io have no word for this, so the package takes images that are "
            "prepared already, as its example is; napari-unet-finetune prepares them "
            "by itself."
        )
    return " ".join(sentences)


def _output(spec: ModelSpec) -> str:
    if not spec.classes:
        return "The image without noise, on the scale of its input."
    text = f"The probability of each class: {', '.join(spec.classes)}."
    if spec.object_maps:
        text += f" Then maps that separate objects: {', '.join(spec.object_maps)}."
    return text


def _validation(info: ModelInfo) -> str:
    before, after = held_out_score(info, "before"), held_out_score(info)
    if after is None:
        figures = "No score on held-out labels is recorded for this model."
    else:
        figures = f"IoU on the labels that its training held out: {after:.3f}"
        figures += "." if before is None else f" ({before:.3f} before that training)."
    return (
        f"{figures} To validate it on images of your own, label some that it was not "
        "trained on and compare: `napari-unet evaluate --images images/ --labels "
        "labels/ --model MODEL`, where MODEL is the imported model, or the "
        "intersection over union of mask and labels in any program."
    )


def write_cover(example: Example, spec: ModelSpec, path: Path) -> None:
    """Write the example and what the model makes of it, as PNG twice as wide as high.

    Its first channel, and the class or the first map of each pixel.
    """
    seen = cropped(example.prepared, spec)[0]
    made = cropped(example.output, spec)
    classes = len(spec.classes)
    # What is no background, or of a model without classes its image.
    found = 1 - made[0] if classes else made[0]
    halves = [_half(np.clip(seen, 0, 1)), _half(np.clip(found, 0, 1))]
    Picture.fromarray(np.concatenate(halves, axis=1)).save(path)


def _half(values: np.ndarray) -> np.ndarray:
    grey = Picture.fromarray((values * 255).astype(np.uint8))
    edge = min(values.shape)
    left, top = ((size - edge) // 2 for size in (values.shape[1], values.shape[0]))
    square = grey.crop((left, top, left + edge, top + edge))
    return np.asarray(square.resize((_COVER_EDGE, _COVER_EDGE)))
