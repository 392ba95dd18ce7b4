"""The window of the models, with mouse and keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit, QMenu

from napari_unet.steps.models.dialog import ModelsDialog
from unet_engine.models.beside.paths import crops_path
from unet_engine.models.collection.deletion import delete_model
from unet_engine.models.collection.renaming import rename_model
from unet_engine.models.starting import start_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Docked

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore

BUNDLED = ("nuclei", "cells", "general")
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def tune(store: ModelStore) -> Callable[[str, str], ModelInfo]:
    """Make a model from another: ``tune("tiny", "child")``, with other weights."""

    def make(parent: str, name: str) -> ModelInfo:
        from dataclasses import replace

        before = store.load(parent)
        seed = len(before.history) + 7
        weights = start_checkpoint(before.spec, seed=seed).weights
        entry = {
            "parent": parent,
            "created": f"2026-01-0{1 + len(before.history)}T00:00:00+00:00",
            "after": {"iou": 0.5},
        }
        history = (*before.history, entry)
        return store.save(name, replace(before, weights=weights, history=history))

    return make


@pytest.fixture
def page(dock: Docked) -> ModelsDialog:
    """The window, opened in the menu beside the model."""
    dock.widget.show()
    dock.widget.predict.form.picker.actions_by_name["manage"].trigger()
    (dialog,) = dock.widget.findChildren(ModelsDialog)
    dock.bot.waitExposed(dialog)
    return dialog


def names(page: ModelsDialog) -> list[str]:
    items = [page.list.item(row) for row in range(page.list.count())]
    return [i.text() for i in items if i.flags() & Qt.ItemFlag.ItemIsSelectable]


def choose(page: ModelsDialog, name: str) -> None:
    """Click a model in the list."""
    (item,) = page.list.findItems(name, Qt.MatchFlag.MatchExactly)
    rectangle = page.list.visualItemRect(item)
    QTest.mouseClick(page.list.viewport(), LEFT, pos=rectangle.center())
    assert page.list.model.name == name


def press(page: ModelsDialog, key: str) -> None:
    QTest.mouseClick(page.actions_row.buttons[key], LEFT)


def type_name(page: ModelsDialog, name: str) -> None:
    editor = page.list.findChild(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, name)
    QTest.keyClick(editor, Qt.Key.Key_Return)


def test_it_lists_all_models_and_selects_the_chosen_one(page: ModelsDialog) -> None:
    assert names(page) == ["tiny", *BUNDLED]
    assert page.list.model.name == "tiny"
    assert page.list.currentItem().font().bold()


def test_opening_it_again_brings_the_same_to_the_front(
    dock: Docked, page: ModelsDialog
) -> None:
    assert dock.widget.manage_models() is page


def test_bundled_models_show_what_they_find(page: ModelsDialog) -> None:
    picture = page.details.picture
    assert picture.isHidden()  # "tiny" has none
    for name in BUNDLED:
        choose(page, name)
        assert picture.isVisible()
        assert not picture.pixmap().isNull()
        assert picture.pixmap().width() <= picture.width()
    choose(page, "tiny")
    assert picture.isHidden()


def test_use_chooses_a_model(dock: Docked, page: ModelsDialog) -> None:
    button = page.actions_row.buttons["use"]
    assert not button.isEnabled()
    assert button.toolTip() == "It is the chosen model."
    choose(page, "nuclei")
    press(page, "use")
    assert dock.widget.workspace.model.name == "nuclei"
    assert dock.widget.predict.form.picker.model.value.name == "nuclei"
    page.list.select("general")
    QTest.keyClick(page.list, Qt.Key.Key_Return)
    assert dock.widget.workspace.model.name == "general"


@pytest.mark.parametrize("way", ["button", "key"])
def test_a_name_is_typed_in_the_list(
    dock: Docked, page: ModelsDialog, store: ModelStore, way: str
) -> None:
    dock.widget.workspace.add_class("wall")
    if way == "button":
        press(page, "rename")
    else:
        QTest.keyClick(page.list, Qt.Key.Key_F2)
    type_name(page, "glands 3")
    dock.bot.waitUntil(lambda: "glands 3" in store.names())
    assert dock.widget.workspace.model.name == "glands 3"
    assert dock.widget.workspace.classes == ("background", "cell", "wall")
    assert page.list.model.name == "glands 3"
    assert page.text.text() == "tiny is called glands 3 now."


def test_a_name_that_is_taken_is_refused_with_a_free_one(
    dock: Docked, page: ModelsDialog, store: ModelStore
) -> None:
    press(page, "rename")
    type_name(page, "nuclei")
    dock.bot.waitUntil(lambda: "'nuclei-2'" in page.text.text())
    assert page.list.model.name == "tiny"
    assert page.list.currentItem().text() == "tiny"
    assert "tiny" in store.names()


def test_bundled_models_are_duplicated(page: ModelsDialog, store: ModelStore) -> None:
    choose(page, "nuclei")
    for key in ("rename", "delete"):
        button = page.actions_row.buttons[key]
        assert not button.isEnabled()
        assert "duplicate it, and change the copy" in button.toolTip()
    assert page.details.notes.isReadOnly()
    press(page, "duplicate")
    assert page.list.model.name == "nuclei-2"
    assert page.actions_row.buttons["rename"].isEnabled()
    assert not page.details.notes.isReadOnly()
    assert page.details.licence.text().startswith("CC BY 4.0")


@pytest.mark.parametrize("way", ["button", "key"])
def test_a_deletion_is_undone_by_one_click(
    dock: Docked, page: ModelsDialog, store: ModelStore, way: str
) -> None:
    if way == "button":
        press(page, "delete")
    else:
        QTest.keyClick(page.list, Qt.Key.Key_Delete)
    assert "tiny" not in store.names()
    assert dock.widget.workspace.model.name == "nuclei"
    assert page.text.text() == "tiny is deleted. nuclei is chosen now."
    QTest.mouseClick(page.undo, LEFT)
    assert dock.widget.workspace.model.name == "tiny"
    assert page.list.model.name == "tiny"
    assert not page.undo.isVisible()


def test_after_a_deletion_the_parent_is_chosen(
    dock: Docked, page: ModelsDialog, tune: Any
) -> None:
    tune("tiny", "child")
    dock.widget.select_model("child")
    page.list.select("child")
    press(page, "delete")
    assert dock.widget.workspace.model.name == "tiny"
    assert page.list.model.name == "tiny"


@pytest.mark.slow
def test_what_was_deleted_before_is_in_a_menu(
    dock: Docked, page: ModelsDialog, store: ModelStore, add_model: Any
) -> None:
    assert page.actions_row.buttons["restore"].toolTip() == "No model was deleted."
    add_model("other", classes=("background", "wall"))
    delete_model(store, "other")
    add_model("other", classes=("background", "pore"))
    dock.widget.workspace.refresh_models()
    press(page, "restore")
    (menu,) = [m for m in page.findChildren(QMenu) if m.isVisible()]
    (action,) = menu.actions()
    assert action.text().startswith("other, deleted ")
    action.trigger()
    menu.close()
    assert page.list.model.name == "other-2"
    assert page.list.model.spec.classes == ("background", "wall")
    assert "its name was taken" in page.text.text()


@pytest.mark.slow
def test_notes_are_saved_as_they_are_written(
    dock: Docked, page: ModelsDialog, store: ModelStore
) -> None:
    content = store.info("tiny").path.read_bytes()
    QTest.keyClicks(page.details.notes, "of mouse 3")
    dock.bot.waitUntil(lambda: store.info("tiny").notes.notes == "of mouse 3")
    QTest.keyClicks(page.details.licence, "CC0")
    choose(page, "nuclei")
    assert store.info("tiny").notes.licence == "CC0"
    choose(page, "tiny")
    assert page.details.notes.toPlainText() == "of mouse 3"
    QTest.keyClicks(page.details.notes, "!")
    page.close()
    assert "!" in store.info("tiny").notes.notes
    assert store.info("tiny").path.read_bytes() == content


def test_models_go_out_and_come_in(
    page: ModelsDialog, store: ModelStore, tmp_path: Path, monkeypatch: Any
) -> None:
    crops_path(store.info("tiny").path).write_bytes(b"crops")
    target = tmp_path / "out"
    monkeypatch.setattr(
        "napari_unet.steps.models.dialog.QFileDialog.getSaveFileName",
        lambda *_: (str(target), ""),
    )
    press(page, "export")
    (menu,) = [m for m in page.findChildren(QMenu) if m.isVisible()]
    whole, _ = menu.actions()
    whole.trigger()
    menu.close()
    assert (tmp_path / "out.examples").read_bytes() == b"crops"
    assert "only if the images may be passed on" in page.text.text()
    page.import_from([tmp_path / "out.safetensors", tmp_path / "out.md"])
    assert page.list.model.name == "out"
    assert "out is among your models now." in page.text.text()
    assert "out.md was not added" in page.text.text()


@pytest.mark.slow
def test_a_model_that_another_program_renamed_or_deleted(
    dock: Docked, page: ModelsDialog, store: ModelStore, add_model: Any
) -> None:
    add_model("other")
    dock.widget.workspace.refresh_models()
    page.list.select("other")
    rename_model(store, "other", "renamed")
    press(page, "duplicate")
    assert "There is no model 'other'" in page.text.text()
    assert set(names(page)) == {"tiny", "renamed", *BUNDLED}
    assert page.list.model is not None


def test_buttons_wait_for_a_run(dock: Docked, page: ModelsDialog) -> None:
    dock.widget.workspace.begin("predict")
    for key in ("rename", "delete"):
        button = page.actions_row.buttons[key]
        assert not button.isEnabled()
        assert "wait until that ends" in button.toolTip()
    dock.widget.workspace.end("predict")
    assert page.actions_row.buttons["rename"].isEnabled()


@pytest.mark.slow
def test_it_states_why_a_model_cannot_be_used_here(
    dock: Docked, page: ModelsDialog, plane: np.ndarray, add_model: Any
) -> None:
    add_model("two", in_channels=2)
    dock.widget.workspace.refresh_models()
    dock.viewer.add_image(plane, name="cells")
    choose(page, "nuclei")
    assert page.details.fit.text() == "It can be used on cells."
    choose(page, "two")
    assert "the model takes 2 channels" in page.details.fit.text()


def test_the_parent_is_one_click_away(
    dock: Docked, page: ModelsDialog, tune: Any
) -> None:
    tune("tiny", "child")
    dock.widget.select_model("child")
    page.list.select("child")
    page.lineage.expand()
    assert page.lineage.back.text() == "Return to tiny"
    QTest.mouseClick(page.lineage.back, LEFT)
    assert dock.widget.workspace.model.name == "tiny"
    assert not page.lineage.back.isEnabled()
    assert page.lineage.back.toolTip() == "It was tuned from no other model."


@pytest.mark.slow
def test_the_slider_shows_the_mask_of_each_model_on_the_view(
    dock: Docked, page: ModelsDialog, plane: np.ndarray, tune: Any
) -> None:
    tune("tiny", "child")
    tune("child", "grandchild")
    layer = dock.viewer.add_image(plane, name="cells", scale=(2, 2))
    dock.predict()
    mask, before = dock.mask, dock.mask.data.copy()
    dock.widget.workspace.refresh_models()
    page.list.select("tiny")
    page.lineage.expand()
    slider = page.lineage.slider
    assert (slider.minimum(), slider.maximum(), slider.value()) == (0, 2, 0)
    QTest.keyClick(slider, Qt.Key.Key_Right)
    QTest.keyClick(slider, Qt.Key.Key_Right)
    dock.bot.waitUntil(
        lambda: "is on screen" in page.lineage.text.text(), timeout=60000
    )
    shown = dock.viewer.layers[-1]
    assert shown.name == "mask of grandchild"
    assert page.list.model.name == "grandchild"
    assert not mask.visible
    np.testing.assert_array_equal(shown.extent.world, layer.extent.world)
    # It is the mask that the model predicts.
    dock.widget.select_model("grandchild")
    labels = shown.data.copy()
    dock.predict()
    np.testing.assert_array_equal(dock.mask.data, labels)
    assert not np.array_equal(before, labels)
    assert shown not in dock.viewer.layers
    assert mask.visible


@pytest.mark.slow
def test_closing_takes_the_mask_of_the_slider_away(
    dock: Docked, page: ModelsDialog, plane: np.ndarray, tune: Any
) -> None:
    tune("tiny", "child")
    dock.viewer.add_image(plane, name="cells")
    dock.widget.workspace.refresh_models()
    page.list.select("tiny")
    QTest.keyClick(page.lineage.slider, Qt.Key.Key_Right)
    dock.bot.waitUntil(lambda: len(dock.viewer.layers) == 2, timeout=60000)
    page.close()
    assert [layer.name for layer in dock.viewer.layers] == ["cells"]


@pytest.mark.slow
def test_without_an_image_the_slider_states_what_to_do(
    dock: Docked, page: ModelsDialog, tune: Any
) -> None:
    tune("tiny", "child")
    dock.widget.workspace.refresh_models()
    page.list.select("tiny")
    QTest.keyClick(page.lineage.slider, Qt.Key.Key_Right)
    assert "Open an image, and choose it under Image" in page.lineage.text.text()


@pytest.mark.slow
def test_two_models_are_compared_on_the_view(
    dock: Docked, page: ModelsDialog, plane: np.ndarray, tune: Any
) -> None:
    tune("tiny", "child")
    dock.viewer.add_image(plane, name="cells")
    dock.widget.workspace.refresh_models()
    page.list.select("tiny")
    page.comparison.expand()
    section = page.comparison
    assert section.other.currentText() == "child"
    QTest.mouseClick(section.predict, LEFT)
    dock.bot.waitUntil(lambda: "On the view" in section.text.text(), timeout=60000)
    assert "the same class in" in section.text.text()
    assert dock.viewer.layers[-1].name == "where two masks differ"
    differs = dock.viewer.layers[-1].data.astype(bool)
    masks = []
    for at in (0, 1):
        section.shown.setCurrentIndex(at)
        masks.append(dock.viewer.layers[-1].data.copy())
    np.testing.assert_array_equal(masks[0] != masks[1], differs)
    section.other.setCurrentIndex(section.other.findText("general"))
    assert [layer.name for layer in dock.viewer.layers] == ["cells"]


@pytest.mark.slow
def test_a_deleted_file_is_reported_by_the_slider(
    dock: Docked, page: ModelsDialog, plane: np.ndarray, tune: Any
) -> None:
    child = tune("tiny", "child")
    dock.viewer.add_image(plane, name="cells")
    dock.widget.workspace.refresh_models()
    page.list.select("tiny")
    child.path.unlink()
    QTest.keyClick(page.lineage.slider, Qt.Key.Key_Right)
    dock.bot.waitUntil(
        lambda: "is not there any more" in page.lineage.text.text(), timeout=60000
    )


@pytest.mark.slow
def test_it_fits_a_narrow_dock(dock: Docked, page: ModelsDialog) -> None:
    page.resize(330, 600)
    page.lineage.expand()
    page.comparison.expand()
    dock.bot.wait(50)
    assert page.width() <= 330
    inside = page._area.widget()
    assert inside.minimumSizeHint().width() <= page._area.viewport().width()


@pytest.mark.slow
def test_the_lineage_has_a_learning_curve(
    dock: Docked,
    page: ModelsDialog,
    store: ModelStore,
    tune: Callable[[str, str], ModelInfo],
) -> None:
    from dataclasses import replace

    from napari.utils.theme import get_theme

    for name, parent, strokes in (("one", "tiny", 10), ("two", "one", 25)):
        made = tune(parent, name)
        model = store.load(name)
        last = {**made.history[-1], "labels": {"strokes": {"cell": strokes}}}
        history = (*made.history[:-1], last)
        store.save(name, replace(model, history=history), overwrite=True)
    page._read_again("two")
    choose(page, "one")
    curve = page.lineage.curve
    assert curve.points == [(10, 0.5), (25, 0.5)]
    assert not curve.isHidden() and curve._dot.getData()[0].tolist() == [10]
    choose(page, "nuclei")
    assert curve.isHidden()
    dock.viewer.theme = "light"
    background = curve._graphics.backgroundBrush().color().name()
    assert background == get_theme("light").background.as_hex()
