"""Values of label images that all parts agree on, and the class of a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import numpy.typing as npt


IGNORE = 255
"""Target value of a pixel that nobody labelled: it has no loss and no gradient.

The largest value of uint8, which also many label files use for it.
"""

HELD_OUT = 254
"""Training target of a pixel that is kept for validation.

Like ``IGNORE`` it has no loss. It is a value of its own because a pixel that nobody
labelled may get a pseudo-label from the model, and one that is held out must not.
"""


def most_probable_class(
    probabilities: npt.NDArray[np.float32],
) -> npt.NDArray[np.uint8]:
    """Return the most probable class of each pixel.

    The same as ``argmax`` along axis 0, faster for few classes; of equal probabilities
    the lowest class id.

    Parameters
    ----------
    probabilities
        ``(classes, *spatial)`` float32, at least one class.

    Returns
    -------
    ndarray
        ``(*spatial)`` uint8 class ids.
    """
    best = probabilities[0]
    labels = np.zeros(best.shape, np.uint8)
    for label, probability in enumerate(probabilities[1:], start=1):
        np.putmask(labels, probability > best, label)
        best = np.maximum(best, probability)
    return labels


def classes_and_maps(
    found: npt.NDArray[np.float32], classes: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Split what a predictor gives into labels, their probabilities and object maps.

    Parameters
    ----------
    found
        ``(classes + maps, *spatial)``.
    classes
        How many of the channels are probabilities.
    """
    probabilities, maps = np.split(found, [classes])
    return most_probable_class(probabilities), probabilities, maps
