"""The preview of a volume that is predicted in three directions is of one plane."""

from __future__ import annotations

import numpy as np

from napari_unet.jobs.orders import PreviewOrder
from napari_unet.jobs.preview import preview_tiles
from unet_engine.images import Image
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.prediction.config import PredictConfig
from unet_engine.stopping import never


def test_a_preview_has_one_direction() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 48), np.uint8)
    level = Image.from_array(pixels, "ZYX", name="level")
    order = PreviewOrder(
        level=level,
        bright=level,
        index=(1,),
        inside=(1,),
        region=(slice(0, 40), slice(8, 48)),
        factor=(2.0, 2.0),
    )
    config = PredictConfig(device="cpu", directions="three")
    model = start_checkpoint(ModelSpec(depth=1, width=2))
    (tile,) = preview_tiles(order, model, config, never)
    assert tile.labels.shape == (40, 40)
