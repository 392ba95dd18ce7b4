"""Sample data: a real image that scikit-image ships, and a generated stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage import data

from unet_engine.synthetic import nuclei as synthetic

if TYPE_CHECKING:
    from napari.types import LayerData

_Z_STEP = 3.0
"""Distance of two slices in pixels, as is usual for confocal stacks."""


def ihc() -> list[LayerData]:
    """Open stained tissue.

    Returns
    -------
    layers
        One RGB image, ``(512, 512, 3)`` uint8: colon, nuclei stained blue.
    """
    return [(data.immunohistochemistry(), {"name": "IHC"}, "image")]


def ihc_fields() -> list[LayerData]:
    """Open the stained tissue as a stack of four neighbouring fields.

    Returns
    -------
    layers
        One RGB image stack, ``(4, 256, 256, 3)`` uint8.
    """
    image = data.immunohistochemistry()
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


def nuclei_stack() -> list[LayerData]:
    """Generate a stack of fluorescent nuclei with its ground truth.

    Returns
    -------
    layers
        The image, ``(16, 256, 256)`` uint16, slices three pixels apart, and a hidden
        Labels layer of the same shape with the ids of the nuclei.
    """
    image, truth = synthetic.nuclei((16, 256, 256), seed=0, z_step=_Z_STEP)
    place = {"scale": (_Z_STEP, 1.0, 1.0), "axis_labels": ("z", "y", "x")}
    return [
        (image, {"name": "Nuclei stack", **place}, "image"),
        (truth, {"name": "Nuclei stack truth", "visible": False, **place}, "labels"),
    ]
