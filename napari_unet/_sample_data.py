"""Sample data: a real image that scikit-image ships, and a generated stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage import data

if TYPE_CHECKING:
    from napari.types import LayerData


def ihc() -> list[LayerData]:
    """Open stained tissue.

    Returns
    -------
    layers
        One RGB image, ``(512, 512, 3)`` uint8: colon, nuclei stained blue.
    """
    return [(data.ihc(), {"name": "IHC"}, "image")]


def ihc_fields() -> list[LayerData]:
    """Open the stained tissue as a stack of four neighbouring fields.

    Returns
    -------
    layers
        One RGB image stack, ``(4, 256, 256, 3)`` uint8.
    """
    image = data.ihc()
    halves = [np.split(rows, 2, axis=1) for rows in np.split(image, 2, axis=0)]
    fields = np.stack([field for row in halves for field in row])
    return [
        (
            fields,
            {
                "name": "IHC fields",
                "rgb": True,
                "axis_labels": ("position", "y", "x"),
            },
            "image",
        )
    ]
