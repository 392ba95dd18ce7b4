"""Values of label images that all parts agree on, and the class of a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import numpy.typing as npt


IGNORE = 255
"""Target value of a pixel that nobody labelled: it has no loss and no gradient."""


HELD_OUT = 254
"""Training target of a pixel that is kept for validation.

Like ``IGNORE`` it has no loss. It is told apart because the model's own guess, which
may stand in for a pixel that nobody labelled, must not stand in for this one.
"""


def likeliest(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return the first of the likeliest classes, as argmax does, and faster.

    ``(classes, *spatial)`` probabilities become ``(*spatial)`` class ids.
    """
    best = probabilities[0]
    labels = np.zeros(best.shape, np.uint8)
    for label, probability in enumerate(probabilities[1:], start=1):
        np.putmask(labels, probability > best, label)
        best = np.maximum(best, probability)
    return labels
