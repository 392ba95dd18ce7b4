"""Train the bundled ``nuclei`` model: nuclei of any size, stain and brightness.

::

    python -m bundled_models.nuclei --data DATA --out nuclei.safetensors --minutes 600

``DATA`` holds the sets of the recipe, each with ``images/`` and ``labels/`` of the same
file names. What is written and when: ``bundled_models/object_training.py``.
"""

from __future__ import annotations

from bundled_models.nuclei_images import (
    GENERATED_SHARE,
    SETS,
    generate_images,
    read_images,
    show_nuclei,
)
from bundled_models.object_recipe import GENERATED, ObjectRecipe, object_spec
from bundled_models.object_training import train_objects

RECIPE = ObjectRecipe(
    spec=object_spec(
        24.0,
        classes=("background", "nucleus"),
        brightness="foreground",
        colour="nuclear dye",
        map_depth=0.4,
    ),
    shares=SETS | {GENERATED: GENERATED_SHARE},
    read=read_images,
    generate=generate_images,
    show=show_nuclei,
)
"""Nuclei of 24 pixels: most images have them about as large."""

if __name__ == "__main__":
    train_objects(RECIPE, __doc__)
