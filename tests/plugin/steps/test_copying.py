"""What is copied from the steps, run, gives what the window has."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.layers._source import layer_source
from qtpy.QtGui import QGuiApplication

from unet_engine.cli import main
from unet_engine.cli.app import parse_command

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docked

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="lines of its shell are taken apart otherwise"
)


@pytest.fixture
def opened(dock: Docked, plane: np.ndarray, tmp_path: Path) -> Path:
    """A file that is the image of the dock, to be predicted with the bundled model."""
    path = tmp_path / "cells one.tif"
    tifffile.imwrite(path, plane)
    with layer_source(path=str(path)):
        dock.viewer.add_image(plane, name="cells one")
    dock.widget.select_model("nuclei")
    dock.widget.predict.form.device.value = "cpu"
    dock.wait()
    return path


def copied(button: Any, kind: str) -> str:
    {"command": button.as_command, "python": button.as_python}[kind].trigger()
    return QGuiApplication.clipboard().text()


def words(button: Any) -> list[str]:
    program, *rest = shlex.split(copied(button, "command"))
    assert program == "napari-unet"
    return rest


@pytest.mark.slow
def test_the_mask_of_the_copied_command_is_that_of_the_window(
    dock: Docked, opened: Path
):
    dock.widget.workspace.object_size = 12.0
    dock.predict()
    predict = dock.widget.predict
    assert main(words(predict.copy)) == 0
    mask = opened.with_name("cells one_mask.tif")
    np.testing.assert_array_equal(tifffile.imread(mask), dock.mask.data)
    assert mask.read_bytes().count(b"OME") > 0
    by_command = mask.read_bytes()
    mask.unlink()
    exec(compile(copied(predict.copy, "python"), "script", "exec"), {})
    assert mask.read_bytes() == by_command
    assert "Copied the Python script" in predict.text.text()


@pytest.mark.slow
def test_the_objects_of_the_copied_command_are_those_of_the_window(
    dock: Docked, opened: Path
):
    dock.predict()
    objects = dock.widget.objects
    objects.form.min_size.value = 12
    objects.separate.click()
    dock.wait()
    main(words(dock.widget.predict.copy))
    assert main(words(objects.copy)) == 0
    assert "copy the one of step 1 first" in objects.text.text()
    ids = opened.with_name("cells one_mask_objects.tif")
    np.testing.assert_array_equal(tifffile.imread(ids), objects.objects.ids)
    table = opened.with_name("cells one_mask_objects.csv")
    rows = table.read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == len(objects.objects.table["label"]) > 0


def test_the_copied_training_has_the_strokes_and_settings_of_the_window(
    dock: Docked, opened: Path
):
    dock.predict()
    dock.mask.brush_size = 5
    dock.mask.paint((60, 40), 1)
    dock.widget.fine_tune.settings["learning_rate"].value = 0.002
    dock.be_quick(steps=3)
    arguments = parse_command(words(dock.widget.fine_tune.copy))[1].arguments
    options, settings = arguments["options"], arguments["settings"]
    listed = dock.widget.workspace.listed.images
    assert options.strokes == ((opened if listed is None else listed.path),)
    assert (options.parent, options.out) == ("nuclei", "nuclei-ft")
    config = dock.widget.fine_tune.config
    assert type(config)(**settings) == config


def test_what_cannot_be_copied_is_named(dock: Docked, plane: np.ndarray):
    predict = dock.widget.predict
    QGuiApplication.clipboard().setText("before")
    assert copied(predict.copy, "command") == "before"
    assert "Nothing copied: no image is open" in predict.text.text()
    dock.viewer.add_image(plane, name="made here")
    dock.wait()
    assert copied(predict.copy, "python") == "before"
    assert "'made here' is no file; open the image from a file" in predict.text.text()
    assert copied(dock.widget.fine_tune.copy, "command") == "before"


def test_axes_that_the_user_chose_are_in_the_command(dock: Docked, tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 48, 48)).astype(np.uint8)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack")
    with layer_source(path=str(path)):
        dock.viewer.add_image(pixels, name="stack")
    dock.wait()
    form = dock.widget.predict.form
    assert not any("--axes" in word for word in words(dock.widget.predict.copy))
    form.axes.value = next(c for c in form.axes.choices if c.axes == "CYX")
    assert "--axes=CYX" in words(dock.widget.predict.copy)
