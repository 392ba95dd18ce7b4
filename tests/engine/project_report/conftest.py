"""A project at hand: images, strokes on them, and a model with a history."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from unet_engine.annotations.store import ImageIdentity, StrokeStore
from unet_engine.image_list.image_list import ImageList
from unet_engine.images import open_image
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("background", "<b>cell</b>")


def trained(name: str, strokes: int, iou: float, **more: Any) -> dict[str, Any]:
    """Return what the history holds of a round."""
    return {
        "parent": "", "base": "general", "created": f"2026-03-0{strokes % 9 + 1}T08:00",
        "steps": 120, "seconds": 95.0, "name": name, "data": ["a.tif"],
        "before": {"iou": 0.25}, "after": {"iou": 0.5},
        "config": {"batch": 4, "crop": 192, "optimiser": "adamw", "validation": 0.1,
                   "learning_rate": 0.001},
        "labels": {"images": 2, "painting_seconds": 300.0,
                   "strokes": {"background": strokes, CLASSES[1]: strokes},
                   "pixels": {"background": 90, CLASSES[1]: 40}},
        "score": {"classes": {"background": [iou, iou - 0.1, iou + 0.1],
                              CLASSES[1]: [iou, iou - 0.1, iou + 0.1]},
                  "shown": True, "strokes": 20, "images": 2, "right": 0.9},
        "versions": {"napari-unet-finetune": "9.8.7", "torch": "6.5"},
        **more,
    }  # fmt: skip


@pytest.fixture
def store() -> ModelStore:
    """Two models, the second tuned from the first."""
    store = ModelStore()
    start = start_checkpoint(ModelSpec(depth=2, width=4, classes=CLASSES))
    first = trained("one", 8, 0.6)
    second = trained("two", 20, 0.7, parent="one")
    store.save("one", replace(start, history=(first,)))
    store.save("two", replace(start, history=(second,)))
    return store


@pytest.fixture
def project(tmp_path: Path, store: ModelStore) -> Path:
    """A list of three images: one with strokes, one accepted, one untouched."""
    folder = tmp_path / "plate"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        pixels = rng.normal(40, 5, (48, 56)).astype(np.float32)
        pixels[10:30, 10:30] += 60
        tifffile.imwrite(folder / f"{name}.tif", pixels)
    images = ImageList.create(folder / "plate.unet")
    images.add(sorted(folder.glob("*.tif")))
    path = folder / "a.tif"
    strokes = StrokeStore().open(ImageIdentity.of(open_image(path), path))
    strokes.name_classes(CLASSES)
    for row in (14, 24):
        strokes.set(np.mgrid[row : row + 2, 12:20].reshape(2, -1), 1)
    strokes.set(np.mgrid[40:42, 5:25].reshape(2, -1), 0)
    strokes.close()
    entry = images.entry_of(path)
    assert entry is not None
    images.update(entry, state="strokes", classes=CLASSES, model="two")
    accepted = images.entry_of(folder / "b.tif")
    assert accepted is not None
    images.update(accepted, state="accepted")
    images.choose_model("two")
    images.close()
    return images.path
