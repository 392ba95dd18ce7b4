"""Images with label images, opened for scripts, and what their values mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images import Image, Tally, decide_labels, open_image, read_labels
from unet_engine.images.labels.choices import Wording
from unet_engine.training.data.labelled_images import LabelledImage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unet_engine.images.labels.choices import LabelValues, Unlabelled

    Source = str | os.PathLike[str]

_WORDING = Wording(
    values='values="{}"',
    unlabelled="unlabelled={}",
    more_classes="give the number of classes",
)


def open_labelled(
    pairs: Iterable[tuple[Source | Image, Source | Any]],
    *,
    values: LabelValues = "auto",
    unlabelled: Unlabelled = "auto",
    classes: int | None = None,
) -> list[LabelledImage]:
    """Put images and their labels together, to learn from or to measure on.

    What label values mean is decided once, for all of them.

    Parameters
    ----------
    pairs
        Image and labels: files, as of ``pair_folders``, or an ``Image`` and an
        array-like of whole numbers, ``(*leading, Y, X)``.
    values
        ``"classes"``: a value is a class; ``"objects"``: each value is an object, and
        all of them the foreground; ``"mask"``: what is above 0 is the foreground;
        ``"auto"`` where the values leave no doubt.
    unlabelled
        Value of pixels that nobody labelled; ``"none"`` when all are labelled;
        ``"auto"``: -1, or 255 beside classes.
    classes
        Number of classes, background included, when it is known.

    Returns
    -------
    list of LabelledImage
        Images are opened lazily, labels are read.

    Raises
    ------
    DataError
        When a file cannot be read, labels have another shape than their image, or the
        values fit no meaning, or more than one.

    Examples
    --------
    >>> import numpy as np
    >>> from unet_engine import Image, open_labelled
    >>> image = Image.from_array(np.zeros((64, 64), np.uint8), "YX", name="cells")
    >>> labels = np.zeros((64, 64), np.uint8)
    >>> labels[10:20, 10:20] = 1
    >>> [one.name for one in open_labelled([(image, labels)], values="classes")]
    ['cells']
    """
    read = [_read(image, labels) for image, labels in pairs]
    rule = decide_labels(
        [Tally.of(repr(name), labels) for name, _, labels in read],
        values=values,
        unlabelled=unlabelled,
        classes=classes,
        wording=_WORDING,
    )
    return [
        LabelledImage(image=image, labels=labels, rule=rule, name=name)
        for name, image, labels in read
    ]


def _read(image: Source | Image, labels: Source | Any) -> tuple[str, Image, Any]:
    opened = image if isinstance(image, Image) else open_image(image)
    name = opened.name if isinstance(image, Image) else Path(image).stem
    from_file = isinstance(labels, str | os.PathLike)
    ids = read_labels(labels, negative=True) if from_file else np.asarray(labels)
    shape = (*opened.leading_shape, *opened.plane_shape)
    if ids.shape != shape:
        raise DataError(
            f"the labels of {name} have the shape {ids.shape} but the image needs "
            f"{shape}; give the labels that were made for this image"
        )
    return name, opened, ids
