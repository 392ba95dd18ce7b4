"""A model as bytes."""

import numpy as np

from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec


def test_the_same_model_is_the_same_bytes_and_comes_back_from_them(make_checkpoint):
    checkpoint = make_checkpoint(ModelSpec(depth=2, width=4))
    content = checkpoint.to_bytes()

    # safetensors by itself orders metadata differently each time.
    assert {checkpoint.to_bytes() for _ in range(8)} == {content}
    found = Checkpoint.from_bytes(content)
    assert found.spec == checkpoint.spec
    assert found.path is None
    for name, weights in checkpoint.weights.items():
        np.testing.assert_array_equal(found.weights[name], weights)
