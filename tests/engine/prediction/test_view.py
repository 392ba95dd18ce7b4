"""A part of a plane is predicted as the whole plane is, from few tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.errors import Cancelled, DataError
from unet_engine.images import Image
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction import view as module
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.prediction.view import predict_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import Checkpoint

CONFIG = PredictConfig(device="cpu", tile=32)
PIXELS = np.random.default_rng(0).integers(0, 99, (2, 100, 90)).astype(np.uint8)
IMAGE = Image.from_array(PIXELS, "ZYX")


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint: Callable[..., Checkpoint]) -> Checkpoint:
    return make_checkpoint(ModelSpec(depth=2, width=4), seed=3)


@pytest.fixture(scope="module")
def whole(checkpoint: Checkpoint) -> np.ndarray:
    labels = predict(IMAGE, checkpoint, CONFIG).labels
    assert len(np.unique(labels)) > 1
    return labels


@settings(max_examples=12)
@given(
    z=st.integers(0, 1),
    rows=st.tuples(st.integers(0, 99), st.integers(1, 60)),
    columns=st.tuples(st.integers(0, 89), st.integers(1, 60)),
)
def test_it_is_a_part_of_the_prediction_of_the_plane(
    checkpoint: Checkpoint, whole: np.ndarray, z: int, rows, columns
):
    region = tuple(
        slice(start, min(start + size, end))
        for (start, size), end in ((rows, 100), (columns, 90))
    )
    found = predict_view(IMAGE, checkpoint, CONFIG, index=(z,), region=region)
    np.testing.assert_array_equal(found, whole[z][region])


def test_only_the_tiles_that_are_needed_are_computed(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    counted = []
    genuine = module.iter_predict

    def counting(*arguments, **named):
        for tile in genuine(*arguments, **named):
            counted.append(tile.total)
            yield tile

    monkeypatch.setattr(module, "iter_predict", counting)
    region = (slice(40, 48), slice(40, 48))
    predict_view(IMAGE, checkpoint, CONFIG, index=(0,), region=region)
    assert 0 < len(counted) <= 4 < counted[0]


def test_a_stop_ends_it(checkpoint: Checkpoint):
    region = (slice(0, 9), slice(0, 9))
    with pytest.raises(Cancelled):
        predict_view(
            IMAGE, checkpoint, CONFIG, index=(0,), region=region, stop=lambda: True
        )


def test_an_empty_region_and_a_model_of_volumes_are_refused(
    checkpoint: Checkpoint, make_checkpoint: Callable[..., Checkpoint]
):
    nothing = (slice(5, 5), slice(0, 9))
    with pytest.raises(DataError, match="no pixel"):
        predict_view(IMAGE, checkpoint, CONFIG, index=(0,), region=nothing)
    volumes = make_checkpoint(ModelSpec(ndim=3, depth=1, width=4))
    with pytest.raises(DataError, match="predict the image with it"):
        predict_view(IMAGE, volumes, CONFIG, region=(slice(0, 9), slice(0, 9)))
