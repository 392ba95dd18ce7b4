"""Train the bundled ``cells`` model: whole cells in transmitted light.

::

    python -m bundled_models.cells --data DATA --out cells.safetensors \
        --start resources/models/general.safetensors --minutes 120 --crop 160 --batch 4

``DATA`` holds the sets of the recipe, each with ``images/`` and ``labels/`` of the same
file names. What is written and when: ``bundled_models/object_training.py``.
"""

from __future__ import annotations

from bundled_models.cells_images import (
    GENERATED_SHARE,
    SETS,
    generate_cells,
    read_cells,
    show_cells,
)
from bundled_models.object_recipe import GENERATED, ObjectRecipe, object_spec
from bundled_models.object_training import train_objects

RECIPE = ObjectRecipe(
    spec=object_spec(40.0, classes=("background", "cell")),
    shares={name: one.share for name, one in SETS.items()}
    | {GENERATED: GENERATED_SHARE},
    read=read_cells,
    generate=generate_cells,
    show=show_cells,
)
"""Cells of 40 pixels: outlines keep their shape, and a crop has some dozen of them."""

if __name__ == "__main__":
    train_objects(RECIPE, __doc__)
