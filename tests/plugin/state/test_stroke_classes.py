"""Strokes mean classes by their names, whichever model is chosen later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import Docked
from napari.components import ViewerModel

from napari_unet.dock import UNetWidget
from napari_unet.state.untrained_model import UntrainedModel
from unet_engine.models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytestqt.qtbot import QtBot


@pytest.fixture
def session(store: Any, add_model: Any, qtbot: QtBot) -> Callable[..., Docked]:
    """Open a new window with an image, and no model chosen by hand."""

    def begin(pixels: Any, name: str = "cells") -> Docked:
        viewer = ViewerModel()
        widget = UNetWidget(viewer, store)
        qtbot.addWidget(widget)
        docked = Docked(viewer, widget, qtbot)
        viewer.add_image(pixels, name=name)
        qtbot.waitUntil(lambda: not widget.reopening.busy)
        return docked

    return begin


def paint(docked: Docked, *names: str) -> None:
    """Paint a stroke of each class, one below the other."""
    for row, name in enumerate(names):
        docked.widget.correct.choose_name(name)
        docked.mask.paint((10 + 15 * row, 40), docked.mask.selected_label)


def counted(docked: Docked) -> str:
    return str(docked.widget.correct.text.text())


def buttons(docked: Docked) -> list[str]:
    return [button.text() for button in docked.widget.correct.class_buttons]


def order_of(docked: Docked) -> Any:
    return docked.widget.fine_tune._make_order()


def test_a_new_model_that_was_never_trained_is_back_with_its_classes(
    session: Callable[..., Docked], plane: Any
) -> None:
    first = session(plane)
    spec = ModelSpec(depth=2, width=4, classes=("background", "axon", "glia"))
    first.widget.workspace.add_untrained(UntrainedModel(name="nerve", spec=spec))
    paint(first, "axon", "glia")
    first.viewer.layers.clear()
    second = session(plane)
    model = second.widget.workspace.model
    assert isinstance(model, UntrainedModel)
    assert (model.name, model.spec) == ("nerve", spec)
    assert buttons(second) == ["background", "axon", "glia"]
    assert "axon 97 px, glia 97 px" in counted(second)
    assert order_of(second).classes == ("background", "axon", "glia")


def test_a_class_that_was_added_is_back(
    session: Callable[..., Docked], plane: Any, add_model: Any
) -> None:
    add_model()
    first = session(plane)
    first.widget.select_model("tiny")
    first.widget.correct.add_class("debris")
    paint(first, "cell", "debris")
    first.viewer.layers.clear()
    second = session(plane)
    assert second.widget.workspace.model.name == "tiny"
    assert order_of(second).classes == ("background", "cell", "debris")
    second.widget.select_model("general")
    second.widget.select_model("tiny")
    assert order_of(second).classes == ("background", "cell", "debris")


def test_another_order_of_the_same_names_is_learned_by_name(
    session: Callable[..., Docked], plane: Any, add_model: Any
) -> None:
    add_model("one", classes=("background", "cell", "wall"))
    add_model("two", classes=("background", "wall", "cell"))
    docked = session(plane)
    docked.widget.select_model("one")
    paint(docked, "cell", "wall")
    before = counted(docked)
    docked.widget.select_model("two")
    assert counted(docked) == before
    (painted_image,) = order_of(docked).touched.poll()
    touched = painted_image.strokes
    assert touched.target(())[10, 40] == 2, "a cell"
    assert touched.target(())[25, 40] == 1, "a wall"
    # New strokes, undo and Clear agree with what is shown.
    docked.widget.correct.choose_name("cell")
    docked.mask.paint((60, 40), docked.mask.selected_label)
    assert "cell 194 px" in counted(docked)
    docked.mask.undo()
    assert counted(docked) == before
    docked.widget.correct.clear_touched(everywhere=True)
    docked.mask.undo()
    assert counted(docked) == before


@pytest.mark.slow
def test_a_prediction_is_shown_by_the_names_of_the_strokes(
    session: Callable[..., Docked], plane: Any, add_model: Any
) -> None:
    add_model("one", classes=("background", "cell", "wall"))
    add_model("two", classes=("background", "wall", "cell"))
    docked = session(plane)
    docked.widget.select_model("two")
    docked.predict()
    expected = np.array(docked.mask.data)
    docked.viewer.layers.clear()
    again = session(plane, name="again")
    again.widget.select_model("one")
    paint(again, "wall")
    again.widget.select_model("two")
    again.predict()
    names = list(again.mask.features["class"])
    assert names == ["background", "cell", "wall"]
    untouched = again.mask.data != expected
    values = again.mask.data[40:]
    swapped = np.array([0, 2, 1], np.uint8)[expected[40:]]
    np.testing.assert_array_equal(values, swapped)
    assert untouched.any() or not expected.any()


def test_a_class_that_the_model_lacks_is_not_learned_as_another(
    session: Callable[..., Docked], plane: Any, add_model: Any, notices: list[str]
) -> None:
    add_model("axons", classes=("background", "axon"))
    add_model("tissue", classes=("background", "cell"))
    docked = session(plane)
    docked.widget.select_model("axons")
    paint(docked, "axon", "background")
    docked.widget.select_model("tissue")
    assert "axon 97 px" in counted(docked)
    assert "'axon', which tissue does not have" in docked.widget.correct.saved.text()
    docked.widget.fine_tune.train.click()
    assert not docked.widget.workspace.busy
    assert "choose the model axons in step 1" in notices[-1]
    assert "\n" not in notices[-1]
    # Each of the ways that it offers leads on.
    docked.widget.select_model("axons")
    assert order_of(docked).classes == ("background", "axon")
    docked.widget.select_model("tissue")
    dialog = docked.widget.new_model()
    assert dialog.form.classes.text() == "background, axon"
    dialog.reject()
    docked.widget.correct.add_class("axon")
    order = order_of(docked)
    assert order.classes == ("background", "cell", "axon")
    assert order.touched.poll()[0].strokes.classes() == {0: 97, 2: 97}


def test_another_image_whose_classes_the_model_lacks_is_named_and_left_out(
    session: Callable[..., Docked], plane: Any, add_model: Any
) -> None:
    add_model("axons", classes=("background", "axon"))
    add_model("tissue", classes=("background", "cell"))
    docked = session(plane, "nerve")
    docked.widget.select_model("axons")
    paint(docked, "axon", "background")
    docked.viewer.add_image(plane.T.copy(), name="blood")
    docked.widget.predict.form.image.value = docked.viewer.layers["blood"]
    docked.widget.select_model("tissue")
    paint(docked, "cell", "background")
    assert [one.name for one in order_of(docked).touched.poll()] == ["blood"]
    line = docked.widget.fine_tune.left_out.text()
    assert "Not learned from: strokes on nerve are of the class 'axon'" in line
    docked.widget.correct.add_class("axon")
    names = [one.name for one in order_of(docked).touched.poll()]
    assert sorted(names) == ["blood", "nerve"]
    assert not docked.widget.fine_tune.left_out.text()


def test_a_model_of_colour_learns_from_grey_images(
    session: Callable[..., Docked], plane: Any, add_model: Any
) -> None:
    add_model("colour", in_channels=3)
    docked = session(plane, "one")
    docked.viewer.add_image(plane.T.copy(), name="two")
    two = np.stack([plane, plane], 0)
    docked.viewer.add_image(two, name="pair")
    docked.widget.select_model("colour")
    for name in ("two", "one"):
        docked.widget.predict.form.image.value = docked.viewer.layers[name]
        paint(docked, "cell", "background")
    assert [one.name for one in order_of(docked).touched.poll()] == ["one", "two"]
    assert not docked.widget.fine_tune.left_out.text()


@pytest.mark.slow
def test_the_notice_on_strokes_of_an_earlier_version_names_their_classes(
    session: Callable[..., Docked],
    plane: Any,
    add_model: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_model("axons", classes=("background", "axon"))
    add_model("tissue", classes=("background", "cell"))
    first = session(plane)
    first.widget.select_model("axons")
    first.widget.correct.choose_name("axon")
    with monkeypatch.context() as patch:
        patch.setattr(
            "napari_unet.state.working_image.WorkingImage.note_classes", lambda _: None
        )
        first.mask.paint((40, 40), 1)
    first.viewer.layers.clear()
    second = session(plane)
    second.widget.select_model("tissue")
    assert "taken for those of tissue" in second.widget.correct.saved.text()
    assert "cell 97 px" in counted(second)
    second.widget.select_model("axons")
    assert "axon 97 px" in counted(second)
    # With the next stroke they are known.
    paint(second, "background")
    assert "taken for" not in second.widget.correct.saved.text()
    second.widget.select_model("tissue")
    assert "axon 97 px" in counted(second)
