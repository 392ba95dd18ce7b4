"""A store with small models that were tuned from one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from unet_engine.models.beside.paths import crops_path
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unet_engine.models.checkpoint import ModelInfo


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def add(store: ModelStore) -> Callable[..., ModelInfo]:
    """Save a model: ``add("child", parent="first", iou=0.8)``, the weights by seed."""

    def save(
        name: str, parent: str = "", *, iou: float = 0.5, seed: int = 0, **spec: Any
    ) -> ModelInfo:
        classes = spec.pop("classes", ("background", "cell"))
        weights = {"w": np.full(4, seed, np.float32)}
        before = store.load(parent).history if parent else ()
        entry = {
            "parent": parent,
            "created": f"2026-01-0{1 + len(before)}T10:00:00+00:00",
            "steps": 120,
            "seconds": 90.0,
            "data": ["a", "b"],
            "before": {"iou": 0.25},
            "after": {"iou": iou},
        }
        made = ModelSpec(depth=2, width=4, classes=classes, **spec)
        info = store.save(name, Checkpoint(made, weights, (*before, entry)))
        crops_path(info.path).write_bytes(f"crops of {name}".encode())
        return store.info(name)

    return save
