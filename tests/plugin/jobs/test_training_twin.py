"""Dock and command line train alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from napari.layers._source import layer_source

from napari_unet.steps.finetune.section import FineTuneSection
from unet_engine.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docked

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.store import ModelStore


@pytest.fixture
def opened(
    dock: Docked, plane: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Docked:
    """A stack opened from its file, and trainings that end by their steps alone."""
    path = tmp_path / "cells.tif"
    stack = np.stack([plane] * 5)
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"})
    genuine = FineTuneSection.config.fget
    assert genuine is not None
    monkeypatch.setattr(
        FineTuneSection,
        "config",
        property(lambda section: replace(genuine(section), minutes=0.0)),
    )
    with layer_source(path=str(path)):
        dock.viewer.add_image(stack, name="cells")
    dock.predict()
    dock.mask.brush_size = 12
    dock.mask.paint((0, 35, 35), 1)
    dock.mask.paint((0, 85, 15), 0)
    dock.be_quick(steps=6)
    dock.widget.workspace.device = "cpu"
    return dock


def train_by_command(parent: str, name: str, *sources: object) -> None:
    settings = "--steps=6", "--crop=32", "--batch=1", "--learning-rate=0.01"
    options = f"--from={parent}", f"--out={name}", "--device=cpu", *settings
    assert main(["finetune", *options, "--strokes", *map(str, sources)]) == 0


def assert_alike(one: Checkpoint, other: Checkpoint) -> None:
    assert one.spec == other.spec
    for key in ("data", "parent", "base", "config", "steps", "before", "after"):
        assert one.history[-1][key] == other.history[-1][key], key
    assert one.weights.keys() == other.weights.keys()
    for name, values in one.weights.items():
        np.testing.assert_array_equal(values, other.weights[name], err_msg=name)


def test_the_same_strokes_give_the_same_weights(
    opened: Docked, store: ModelStore, tmp_path: Path
) -> None:
    path = tmp_path / "cells.tif"
    opened.fine_tune()
    train_by_command("tiny", "first", path)
    assert_alike(store.load("first"), store.load("tiny-ft"))
    # The second round begins anew, from what the first one was tuned from.
    opened.mask.paint((1, 70, 70), 1)
    opened.fine_tune()
    train_by_command("tiny-ft", "second", path)
    dock, command = store.load("tiny-ft-2"), store.load("second")
    assert_alike(dock, command)
    assert dock.history[-1]["base"] == "tiny"
