"""A run that an earlier version began: folder ``earlier_run``, made by 86f04c3."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from unet_engine.images import Image, read_labels
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.segmentation import iter_predict, predict

EARLIER = Path(__file__).with_name("earlier_run")
MODEL = Path(__file__).parents[1] / "models" / "earlier_models" / "earlier.safetensors"


@pytest.mark.cpu
def test_a_run_that_an_earlier_version_began_goes_on(tmp_path):
    shutil.copytree(EARLIER, tmp_path / "run")
    path = tmp_path / "run" / "mask.ome.zarr"
    y, x = np.mgrid[:80, :72]
    pixels = ((y * 7 + x * 13) % 251).astype(np.uint8)
    image = Image.from_array(pixels, "YX", name="pattern")
    model = Checkpoint.load(MODEL)
    config = PredictConfig(device="cpu", tile=32)
    tiles = list(iter_predict(image, model, config, into=DiskOutput(path)))
    # Four of nine were on disk.
    assert [tile.done for tile in tiles] == [5, 6, 7, 8, 9]
    expected = predict(image, model, config).labels
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(read_labels(path), expected)
    assert not list(path.rglob("run.json"))
