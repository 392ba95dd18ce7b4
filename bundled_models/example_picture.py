"""Draw what a bundled model finds: the example picture beside its card.

::

    python -m bundled_models.example_picture nuclei IMAGE [IMAGE ...] --out nuclei.png

Each image is a row: the part of it in which most is found, and the same with the
outlines of what the model finds at its defaults, red, and of a second class, blue.
Images that the model has not learned from, under a licence that lets parts of them be
shown, are to be given.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Picture
from scipy import ndimage
from skimage.segmentation import find_boundaries

from unet_engine.images import Image, open_image
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.objects import SemanticMask, label_objects
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.part import span_around
from unet_engine.prediction.proposals.picture import picture_of
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Ids = npt.NDArray[np.int64]

EDGE = 224
"""Edge of a part in pixels: two of them fit beside each other into a window."""
COLOURS = ((255, 60, 40), (70, 140, 255))
"""Of the outlines of the first and the second class: seen on grey and on stains."""


def outlined(picture: Pixels, classes: Ids, objects: Ids) -> Pixels:
    """Return a copy of ``(Y, X, 3)`` pixels with the outlines of objects.

    Parameters
    ----------
    picture
        Red, green and blue.
    classes
        ``(Y, X)`` class ids, which decide the colour.
    objects
        ``(Y, X)`` object ids.
    """
    drawn = picture.copy()
    edges = find_boundaries(objects, mode="inner")
    for number, colour in enumerate(COLOURS, start=1):
        drawn[edges & (classes == number)] = colour
    return drawn


def row_of(path: Path, checkpoint: Checkpoint) -> Pixels:
    """Return the fullest part beside the same with outlines, ``(Y, 2 X, 3)``."""
    image, spec = open_image(path), checkpoint.spec
    config = PredictConfig(object_maps=bool(spec.object_maps))
    found = predict(image, checkpoint, config)
    mask = SemanticMask(
        classes=found.labels, object_maps=found.object_maps, map_names=spec.object_maps
    )
    share = ndimage.uniform_filter((found.labels > 0).astype(np.float32), EDGE)
    middle = np.unravel_index(int(share.argmax()), share.shape)
    part = tuple(
        slice(*span_around(float(point), EDGE, size))
        for point, size in zip(middle, image.plane_shape, strict=True)
    )
    shown = Image.from_array(image.read((), part), "CYX", name=image.name)
    picture = picture_of(shown, colour=image.rgb)
    objects = np.asarray(label_objects(mask).labels, np.int64)[part]
    classes = np.asarray(found.labels, np.int64)[part]
    return np.hstack([picture, outlined(picture, classes, objects)])


def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="name or file")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    checkpoint = Checkpoint.load(ModelStore().info(arguments.model).path)
    rows = [row_of(path, checkpoint) for path in arguments.images]
    Picture.fromarray(np.vstack(rows)).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
