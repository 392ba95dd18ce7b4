"""The chosen model when its file is renamed or deleted, here or by another program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from napari.components import ViewerModel

from napari_unet.dock import UNetWidget
from unet_engine.errors import CheckpointError
from unet_engine.models.collection.deletion import delete_model, restore_model
from unet_engine.models.collection.renaming import rename_model

if TYPE_CHECKING:
    import numpy as np
    from conftest import Docked
    from pytestqt.qtbot import QtBot

    from unet_engine.models.store import ModelStore


@pytest.mark.slow
def test_a_model_that_was_renamed_is_the_same_model(
    dock: Docked, plane: np.ndarray, store: ModelStore
) -> None:
    dock.viewer.add_image(plane)
    dock.widget.correct.add_class("wall")
    workspace = dock.widget.workspace
    rename_model(store, "tiny", "renamed")
    dock.predict()
    assert workspace.model.name == "renamed"
    assert workspace.classes == ("background", "cell", "wall")
    assert dock.widget.predict.form.picker.model.value.name == "renamed"
    assert dock.mask.data.any() or dock.widget.masks.current.working_image.predicted


@pytest.mark.slow
def test_a_model_that_was_deleted_predicts_nothing_until_it_is_back(
    dock: Docked, plane: np.ndarray, store: ModelStore, notices: list[str]
) -> None:
    dock.viewer.add_image(plane)
    workspace = dock.widget.workspace
    delete_model(store, "tiny")
    dock.widget.predict.predict.click()
    assert not workspace.busy
    assert workspace.model.name == "nuclei"
    (notice,) = notices
    assert "The model tiny is not there any more" in notice
    assert "nuclei is chosen now" in notice
    # What the message advises.
    restore_model(store, "tiny")
    dock.widget.select_model("tiny")
    dock.predict()
    assert dock.widget.masks.current.working_image.predicted


def test_a_file_that_goes_while_it_is_needed_is_named(
    dock: Docked, store: ModelStore
) -> None:
    model = dock.widget.workspace.model
    model.path.unlink()
    with pytest.raises(CheckpointError, match="another program deleted"):
        dock.widget.workspace.checkpoint(model)


def test_fine_tuning_a_deleted_model_is_refused(
    dock: Docked, plane: np.ndarray, store: ModelStore, notices: list[str]
) -> None:
    dock.viewer.add_image(plane)
    dock.predict()
    dock.mask.paint((30, 30), 1)
    delete_model(store, "tiny")
    dock.widget.fine_tune.start()
    assert not dock.widget.fine_tune.running
    assert "tiny is not there any more" in notices[0]


@pytest.mark.slow
def test_strokes_know_a_model_by_the_name_that_it_had(
    dock: Docked, plane: np.ndarray, store: ModelStore, qtbot: QtBot
) -> None:
    dock.viewer.add_image(plane, name="cells")
    dock.predict()
    dock.mask.paint((30, 30), 1)
    dock.widget.workspace.close()
    rename_model(store, "tiny", "renamed")
    viewer = ViewerModel()
    widget = UNetWidget(viewer, store)
    qtbot.addWidget(widget)
    viewer.add_image(plane, name="cells")
    qtbot.waitUntil(lambda: widget.workspace.working_image is not None)
    assert widget.workspace.model.name == "renamed"
