"""Models that are no numbers, or lead to none, are refused before anything is kept."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.compute.runner import Runner
from unet_engine.errors import CheckpointError
from unet_engine.images import Image
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.segmentation import iter_predict, predict
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.fine_tuning import iter_fine_tune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CPU = PredictConfig(device="cpu", tile=32)


def broken(model: Checkpoint, name: str, value: float, dtype: str = "f4") -> Checkpoint:
    """Return a copy of a model of which one number of one weight is another."""
    weights = {key: array.copy() for key, array in model.weights.items()}
    key = next(key for key in weights if key.endswith(name))
    weights[key] = weights[key].astype(dtype)
    weights[key].flat[-1] = value
    return replace(model, weights=weights)


def overflowing(model: Checkpoint) -> Checkpoint:
    """Return a copy with finite weights that no sum of products survives."""
    weights = {
        key: array * np.float32(1e25) if array.ndim == 4 else array
        for key, array in model.weights.items()
    }
    return replace(model, weights=weights)


def picture() -> Image:
    pixels = np.random.default_rng(0).integers(0, 1000, (48, 64)).astype("u2")
    return Image.from_array(pixels, "YX", name="noise")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f4", "f2"])
@pytest.mark.parametrize("name", ["0.weight", "running_mean", "running_var"])
def test_a_file_with_weights_that_are_no_numbers_is_refused(
    make_checkpoint: Callable, tmp_path: Path, name: str, dtype: str, value: float
):
    path = tmp_path / "bad.safetensors"
    broken(make_checkpoint(), name, value, dtype).save(path)

    with pytest.raises(CheckpointError, match=r"NaN or infinite; choose") as caught:
        Checkpoint.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_negative_variance_is_refused(make_checkpoint: Callable, tmp_path: Path):
    path = tmp_path / "bad.safetensors"
    broken(make_checkpoint(), "running_var", -1e-3).save(path)
    with pytest.raises(CheckpointError, match="below 0"):
        Checkpoint.load(path)


def test_the_store_neither_saves_nor_adds_such_a_model(
    make_checkpoint: Callable, tmp_path: Path
):
    model = broken(make_checkpoint(), "0.weight", np.nan)
    store, path = ModelStore(tmp_path / "models"), tmp_path / "dropped.safetensors"
    model.save(path)
    with pytest.raises(CheckpointError, match="NaN"):
        store.save("mine", model)
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        store.add(path)
    assert not list(tmp_path.glob("models/*"))


def test_neither_a_prediction_nor_a_training_begins_with_it(make_checkpoint: Callable):
    model = broken(make_checkpoint(), "0.weight", np.inf)
    pair = TrainingPair(
        np.zeros((1, 64, 64), "f4"), np.tri(64, dtype=np.uint8), name="triangle"
    )
    with pytest.raises(CheckpointError, match="infinite"):
        predict(picture(), model, CPU)
    with pytest.raises(CheckpointError, match="infinite"):
        list(iter_fine_tune(model, [pair], FineTuneConfig(device="cpu", steps=1)))
    with pytest.raises(CheckpointError, match="infinite"):
        FeatureExtractor(
            replace(model, history=({"name": "a", "steps": 1},)), average=False
        )


def test_a_model_that_overflows_ends_at_its_first_tile_and_leaves_nothing(
    make_checkpoint: Callable, tmp_path: Path
):
    model = overflowing(make_checkpoint())
    out = tmp_path / "new" / "mask.ome.zarr"
    into = DiskOutput(out)
    with pytest.raises(CheckpointError, match=r"too large; choose another model"):
        list(iter_predict(picture(), model, CPU, into=into))
    assert into.unfinished is None
    assert not out.exists()
    # The place is free for a good model.
    predict(picture(), make_checkpoint(), CPU, into=DiskOutput(out))
    assert out.exists()


def test_an_overflow_of_16_bits_needs_32(make_checkpoint: Callable):
    model = make_checkpoint()
    runner = Runner(model, "cpu", "full")
    block = np.zeros((1, 32, 32), "f4")
    # As on a device that computes in 16 bits.
    import torch

    runner._network.to(torch.float16)
    runner._dtype = torch.float16
    for weights in runner._network.parameters():
        weights.fill_(60000)
    with pytest.raises(CheckpointError, match="--precision full"):
        runner(block + 100)


def test_features_of_a_model_that_overflows_are_refused(make_checkpoint: Callable):
    model = replace(overflowing(make_checkpoint()), history=({"name": "a"},))
    extractor = FeatureExtractor(model, average=False)
    read = lambda at: np.ones((1, 64, 64), "f4")[:, *at]  # noqa: E731
    with pytest.raises(CheckpointError, match="too large"):
        extractor.read(read, (slice(0, 64), slice(0, 64)), (64, 64))


@pytest.mark.parametrize("kind", ["nan", "overflow"])
def test_the_command_names_the_file_and_writes_nothing(
    make_checkpoint: Callable,
    tmp_path: Path,
    kind: str,
    capsys: pytest.CaptureFixture[str],
):
    model, path = make_checkpoint(), tmp_path / f"{kind}.safetensors"
    (overflowing(model) if kind == "overflow" else broken(model, "bias", np.nan)).save(
        path
    )
    tifffile.imwrite(tmp_path / "a.tif", np.arange(4096, dtype="u2").reshape(64, 64))
    out = tmp_path / "out.tif"

    assert main(["predict", str(tmp_path / "a.tif"), str(out), "--model", str(path)])
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line for line in lines if "error" in line and str(path) in line]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", path.name]
