"""Models that were sent are built once, before the first tile."""

from __future__ import annotations

import pytest

from unet_engine import ModelSpec
from unet_engine.compute.runner import RUNNERS, Runner
from unet_engine.errors import EngineError
from unet_engine.worker import blobs, models


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(blobs, "_folder", lambda: tmp_path)
    yield
    models.model_of.cache_clear()
    RUNNERS.clear()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("object_maps", [True, False])
def test_the_network_that_computed_once_is_that_of_the_prediction(
    make_checkpoint, monkeypatch, ndim, object_maps
):
    maps = ("distance", "boundary") if ndim == 2 else ()
    spec = ModelSpec(ndim=ndim, depth=2, width=4, object_maps=maps)
    digest = blobs.keep(make_checkpoint(spec).to_bytes())
    computed = []
    genuine = Runner.__call__

    def counting(self, block, wanted=None):
        found = genuine(self, block, wanted)
        computed.append((self, found.shape))
        return found

    monkeypatch.setattr(Runner, "__call__", counting)
    models.compute_once(digest, object_maps, "full")

    ((runner, shape),) = computed
    assert runner is RUNNERS.get(
        models.model_of(digest), "auto", "full", object_maps=object_maps
    )
    edge = {2: 64, 3: 16}[ndim]
    assert shape == (2 + len(maps) * object_maps, *(edge,) * ndim)


@pytest.mark.parametrize("content", [None, b"no model"])
def test_what_cannot_be_computed_with_is_left_to_the_prediction(content):
    digest = "0" * 64 if content is None else blobs.keep(content)
    with pytest.raises(EngineError):
        models.model_of(digest)

    models.compute_once(digest, False, "full")
