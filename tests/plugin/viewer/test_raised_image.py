"""Work on an image that is not visible names it and shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.viewer.private import camera_of

if TYPE_CHECKING:
    from conftest import Docked


@pytest.fixture
def two(dock: Docked, plane: np.ndarray) -> Docked:
    """Two images of a size, the chosen one below the other."""
    cells = dock.viewer.add_image(plane, name="cells")
    dock.viewer.add_image(plane.T.copy(), name="above")
    look_at_all(dock)
    dock.widget.predict.form.follow(cells)
    dock.be_quick()
    return dock


def look_at_all(docked: Docked) -> None:
    docked.viewer.canvas.size = (300, 300)
    camera = camera_of(docked.viewer)
    camera.center, camera.zoom = (0, 47.5, 47.5), 2


def names(docked: Docked) -> list[str]:
    return [layer.name for layer in docked.viewer.layers]


def press(docked: Docked, activity: str) -> None:
    """Press the button of a step, having painted what it needs."""
    widget = docked.widget
    if activity in ("train", "objects", "live"):
        widget.correct.start_empty()
        docked.mask.paint((10, 10), 0)
        docked.mask.paint((30, 30), 1)
    if activity == "live":
        widget.live.switch.value = True
        docked.bot.waitUntil(lambda: not widget.live.live.running, timeout=60_000)
        widget.live.switch.value = False
    elif activity == "pretrain":
        form = widget.pretrain.settings
        form["steps"].value, form["crop"].value, form["batch"].value = 2, 32, 1
        widget.pretrain.pretrain.click()
    else:
        {
            "predict": widget.predict.predict,
            "train": widget.fine_tune.train,
            "objects": widget.objects.separate,
        }[activity].click()


WORK = [
    ("predict", "Predicting cells"),
    ("train", "Fine-tuning on cells"),
    ("pretrain", "Pretraining on cells"),
    ("objects", "Finding the objects of cells"),
    ("live", "Live on cells"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("activity", "begins"), WORK)
def test_work_on_a_hidden_image_names_and_shows_it(
    two: Docked, notices: list[str], activity: str, begins: str
):
    two.viewer.layers["above"].visible = False
    two.viewer.layers["cells"].visible = False
    press(two, activity)
    assert f"info: {begins}, which was hidden and is shown now." in notices
    assert two.viewer.layers["cells"].visible
    two.wait()
    two.wait()


@pytest.mark.slow
def test_work_on_a_covered_image_brings_it_to_the_top(two: Docked, notices: list[str]):
    points = two.viewer.add_points(np.zeros((1, 2)), name="points")
    press(two, "predict")
    two.wait()
    assert notices[0] == (
        "info: Predicting cells, which was covered by above and is on top now."
    )
    assert names(two) == ["above", "cells", "cells mask", "points"]
    assert points.visible
    notices.clear()
    two.predict()
    assert notices == []


def test_masks_move_with_their_images(two: Docked):
    form, layers = two.widget.predict.form, two.viewer.layers
    two.widget.correct.start_empty()
    form.image.value = layers["above"]
    assert names(two) == ["cells", "cells mask", "above"]
    two.widget.correct.start_empty()
    two.widget.correct.touched.value = True
    form.image.value = layers["cells"]
    assert names(two) == [
        "above", "above mask", "above touched", "cells", "cells mask"
    ]  # fmt: skip
    assert layers.selection.active is layers["cells mask"]
    form.image.value = layers["above"]
    assert names(two)[-3:] == ["above", "above mask", "above touched"]


def test_an_image_that_is_picked_in_the_dock_is_shown_and_active(two: Docked):
    cells, above = two.viewer.layers["cells"], two.viewer.layers["above"]
    two.widget.predict.form.follow(above)
    cells.visible = False
    two.widget.predict.form.image.value = cells
    assert cells.visible
    assert two.viewer.layers.selection.active is cells
    assert two.widget.workspace.layer is cells


def test_choosing_a_layer_in_the_list_moves_and_shows_nothing(two: Docked):
    cells = two.viewer.layers["cells"]
    two.viewer.layers.selection.active = two.viewer.layers["above"]
    cells.visible = False
    two.viewer.layers.selection.active = cells
    assert two.widget.workspace.layer is cells
    assert not cells.visible
    assert names(two) == ["cells", "above"]


@pytest.mark.slow
def test_an_image_that_goes_or_comes_moves_nothing(two: Docked, plane: np.ndarray):
    for name in ("third", "fourth"):
        two.viewer.add_image(plane, name=name)
    two.viewer.layers["cells"].visible = False
    two.viewer.layers.remove("fourth")
    assert names(two) == ["cells", "above", "third"]
    assert not two.viewer.layers["cells"].visible


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"opacity": 0.5}, True),
        ({"blending": "additive"}, True),
        ({"visible": False}, True),
        ({"translate": (0, 50)}, True),
        ({"scale": (2, 2), "translate": (-9, -9)}, False),
        ({"rotate": 30}, True),
    ],
)
def test_what_covers_an_image(
    two: Docked, notices: list[str], options: dict[str, Any], seen: bool
):
    for name, value in options.items():
        setattr(two.viewer.layers["above"], name, value)
    two.predict()
    assert any("covered by above" in each for each in notices) is not seen


def test_the_notice_on_an_image_beside_the_view_names_how_to_see_it(
    two: Docked, notices: list[str]
):
    camera_of(two.viewer).center = (0, 900, 900)
    two.predict()
    assert notices[0] == (
        "info: Predicting cells, which lies outside the view; reset the view to see it."
    )


def test_a_hidden_mask_is_shown(two: Docked, notices: list[str]):
    two.viewer.layers["above"].visible = False
    two.widget.correct.start_empty()
    two.mask.visible = False
    two.predict()
    assert notices[0] == (
        "info: Predicting cells. cells mask was hidden and is shown now."
    )
    assert two.mask.visible


@pytest.mark.slow
def test_a_prediction_after_a_training_leaves_the_layers_alone(
    two: Docked, notices: list[str]
):
    press(two, "train")
    two.viewer.layers["cells"].visible = False
    notices.clear()
    two.wait()
    two.wait()
    assert "info: Predicting cells, which is hidden." in notices
    assert not two.viewer.layers["cells"].visible
