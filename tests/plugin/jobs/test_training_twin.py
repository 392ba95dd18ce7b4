"""Dock and command line train alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.layers._source import layer_source

from napari_unet.jobs.training import TrainingOrder, train_run
from napari_unet.jobs.training_data import AddedLabels
from napari_unet.state.workspace import Workspace
from napari_unet.steps.finetune.section import FineTuneSection
from unet_engine.cli import main
from unet_engine.generators import drain
from unet_engine.images import Image
from unet_engine.stopping import never
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.sources import Latest, Source
from unet_engine.training.events import FineTuned, Validation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from conftest import Docked

    from unet_engine.models.checkpoint import Checkpoint, ModelInfo
    from unet_engine.models.store import ModelStore
    from unet_engine.training.data.pairs import TrainingPair


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


@pytest.mark.slow
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


def touching() -> np.ndarray:
    """Return two objects that touch along 24 pixels, as object ids."""
    ids = np.zeros((96, 96), np.uint8)
    ids[20:44, 10:40], ids[20:44, 40:70] = 7, 9
    return ids


def test_gaps_between_objects_weigh_as_much_in_the_dock(
    store: ModelStore,
    add_model: Callable[..., ModelInfo],
    plane: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained_on: list[list[TrainingPair]] = []

    def note(
        checkpoint: Checkpoint,
        pairs: list[TrainingPair] | Source[TrainingPair],
        *_: Any,
        **__: Any,
    ) -> Generator[Validation, None, FineTuned]:
        # The window may add strokes, the command does not.
        trained_on.append(pairs.poll() if isinstance(pairs, Source) else pairs)
        look = Validation(step=0, loss=1.0, iou=0.5, best=True, seconds=0.0)
        yield look
        return FineTuned(
            checkpoint=checkpoint, improved=False, before=look, after=look, steps=1,
            stopped=False,
        )  # fmt: skip

    monkeypatch.setattr("unet_engine.training.rounds.iter_fine_tune", note)
    for folder, pixels in (("images", plane), ("labels", touching())):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "cells.tif", pixels)
    model = add_model("tiny")
    order = TrainingOrder(
        model=model,
        classes=model.spec.classes,
        touched=Latest(()),
        labelled=(
            AddedLabels(
                image=Image.from_array(plane, "YX", name="cells"),
                labels=touching(),
                label_values="objects",
            ),
        ),
        config=FineTuneConfig(device="cpu", steps=1, border_weight=10.0),
    )
    trained = drain(train_run(order, Workspace(store), never))
    assert trained.model is None
    data = f"--images={tmp_path / 'images'}", f"--labels={tmp_path / 'labels'}"
    options = "--label-values=objects", "--border-weight=10", "--from=tiny", "--out=new"
    assert main(["finetune", *data, *options, "--steps=1"]) == 1
    (one,), (other,) = trained_on
    assert np.array_equal(one.image, other.image)
    assert np.array_equal(one.target, other.target)
    assert np.array_equal(one.pixel_weights, other.pixel_weights)
    # Where two objects touch, one row of pixels becomes the gap.
    gap = (touching() > 0) & (one.target == 0)
    assert np.count_nonzero(gap) == 24
    assert one.pixel_weights[gap].min() > 9
