"""The pictures beside the cards of the bundled models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tifffile

from bundled_models.example_picture import COLOURS, EDGE, outlined, row_of
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from pathlib import Path


def test_outlines_have_the_colours_of_classes() -> None:
    objects = np.zeros((8, 12), np.int64)
    objects[1:7, 1:5], objects[1:7, 6:11] = 1, 2
    drawn = outlined(np.zeros((8, 12, 3), np.uint8), objects.clip(0, 2), objects)
    assert tuple(drawn[1, 1]) == COLOURS[0]
    assert tuple(drawn[1, 6]) == COLOURS[1]
    for inner in ((3, 3), (3, 8), (0, 0)):
        assert not drawn[inner].any()


def test_the_part_is_where_most_is_found(tmp_path: Path) -> None:
    pixels, _ = nuclei((200, 200), seed=3, diameter=24.0)
    wide = np.full((260, 500), np.median(pixels), np.float32)
    wide[30:230, 290:490] = pixels
    tifffile.imwrite(tmp_path / "wide.tif", wide)
    row = row_of(
        tmp_path / "wide.tif", Checkpoint.load(ModelStore().info("nuclei").path)
    )
    assert row.shape == (EDGE, 2 * EDGE, 3)
    red = (row == COLOURS[0]).all(axis=-1)
    assert not red[:, :EDGE].any()
    assert np.count_nonzero(red[:, EDGE:]) > 100
