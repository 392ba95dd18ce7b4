"""The list of images in the dock: add, go on, accept, moved images, next day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.layers._source import layer_source
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest

from unet_engine.image_list.image_list import ImageList
from unet_engine.image_list.list_file import read_contents

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docked


@pytest.fixture(autouse=True)
def _readers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as napari's reader does where no window has made napari find it."""

    def read(path: str) -> tuple[list[Any], str]:
        return [(tifffile.imread(path), {}, "image")], "napari"

    if "real_dock" not in request.fixturenames:
        monkeypatch.setattr("napari_unet.viewer.reading.read_with_plugin", read)


@pytest.fixture
def folder(tmp_path: Path, plane: np.ndarray) -> Path:
    """A folder with four images of 96 x 96 pixels."""
    folder = tmp_path / "day"
    folder.mkdir()
    for number in range(4):
        tifffile.imwrite(folder / f"{number}.tif", np.roll(plane, 7 * number, 0))
    return folder


def idle(docked: Docked) -> None:
    """Wait until nothing is read, added, looked for or predicted."""
    images, workspace = docked.widget.images, docked.widget.workspace
    docked.bot.waitUntil(lambda: not images.busy and not workspace.busy, timeout=60_000)
    docked.bot.wait(50)
    docked.bot.waitUntil(lambda: not images.busy and not workspace.busy, timeout=60_000)


def click(docked: Docked, button: Any) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    idle(docked)


def open_by_user(docked: Docked, path: Path) -> Any:
    with layer_source(path=str(path)):
        layer = docked.viewer.add_image(tifffile.imread(path), name=path.stem)
    idle(docked)
    return layer


def paint(docked: Docked, row: int = 60, label: int = 1) -> None:
    docked.widget.correct.choose_class(label)
    docked.mask.brush_size = 5
    docked.mask.paint((row, 40), label)
    idle(docked)


def names(docked: Docked) -> list[str]:
    return [layer.name for layer in docked.viewer.layers]


def states(docked: Docked) -> list[str]:
    return [entry.state for entry in docked.widget.workspace.listed.entries]


@pytest.fixture
def filled(dock: Docked, folder: Path) -> Docked:
    """The dock, shown, with a list of the four images, the first one on screen."""
    dock.widget.resize(330, 720)
    dock.widget.show()
    dock.widget.images.add_paths([folder])
    idle(dock)
    click(dock, dock.widget.images.next)
    return dock


def test_the_section_is_folded_and_small_at_first(dock: Docked):
    dock.widget.resize(330, 720)
    dock.widget.show()
    images = dock.widget.images
    assert not images.section.expanded and images.height() < 40
    click(dock, images.section._bar)
    assert "add files or a folder" in images.text.text()
    assert not images.navigation.isVisible()


def test_a_folder_is_dropped_and_gone_through(dock: Docked, folder: Path):
    images = dock.widget.images
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data,
        Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    images.dropEvent(event)
    idle(dock)
    assert (folder / "day.unet").exists()
    assert images.entries.model.rowCount() == 4
    for number in range(4):
        click(dock, images.next)
        assert names(dock) == [str(number)], "one image is open at a time"
        assert dock.widget.workspace.layer.name == str(number)
    assert not images.next.isEnabled()
    click(dock, images.previous)
    assert names(dock) == ["2"]
    assert images.section._bar.text().endswith("3 of 4")


def test_a_click_on_a_row_opens_it(filled: Docked):
    view = filled.widget.images.entries.view
    rect = view.visualRect(view.model().index(2, 0))
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    idle(filled)
    assert names(filled) == ["2"]


def test_closing_an_image_loses_nothing(filled: Docked):
    images = filled.widget.images
    paint(filled)
    touched = sum(filled.counts.values())
    assert touched
    click(filled, images.next)
    assert names(filled) == ["1"], "image and mask of the first are closed"
    click(filled, images.previous)
    filled.bot.waitUntil(lambda: sum(filled.counts.values()) == touched, timeout=5000)
    assert states(filled)[0] == "strokes"
    entry = filled.widget.workspace.listed.entries[0]
    assert (entry.classes, entry.model, bool(entry.digest)) == (("cell",), "tiny", True)


def test_accept_goes_on_and_can_be_taken_back(filled: Docked, folder: Path):
    images = filled.widget.images
    click(filled, images.accepting)
    assert names(filled) == ["1"] and states(filled)[0] == "accepted"
    click(filled, images.previous)
    assert images.accepting.text().startswith("Accepted")
    click(filled, images.accepting)
    assert states(filled)[0] == "untouched" and names(filled) == ["0"]
    filled.widget.workspace.listed.close()
    assert read_contents(folder / "day.unet").entries[0].digest


@pytest.mark.slow
def test_next_follows_the_filter(filled: Docked):
    images = filled.widget.images
    listed = filled.widget.workspace.listed
    listed.set_state("3.tif", "accepted")
    images.entries.state.setCurrentIndex(images.entries.state.findText("Accepted"))
    assert images.entries.model.rowCount() == 1
    click(filled, images.next)
    assert names(filled) == ["3"]
    images.entries.state.setCurrentIndex(0)
    QTest.keyClicks(images.entries.text, "1.t")
    filled.bot.waitUntil(lambda: images.entries.model.rowCount() == 1, timeout=3000)
    click(filled, images.previous)
    assert names(filled) == ["1"]


@pytest.mark.slow
def test_delete_takes_an_image_out(filled: Docked, folder: Path):
    view = filled.widget.images.entries.view
    view.setCurrentIndex(view.model().index(1, 0))
    QTest.keyClick(view, Qt.Key.Key_Delete)
    idle(filled)
    assert [e.name for e in filled.widget.workspace.listed.entries] == [
        "0.tif", "2.tif", "3.tif",
    ]  # fmt: skip
    assert (folder / "1.tif").exists()


@pytest.mark.slow
def test_a_list_is_made_with_the_first_stroke_and_found_the_next_day(
    dock: Docked, folder: Path
):
    open_by_user(dock, folder / "1.tif")
    assert not (folder / "day.unet").exists()
    paint(dock)
    assert (folder / "day.unet").exists()
    assert str(folder / "day.unet") in dock.widget.images.note.text()
    assert states(dock) == ["strokes"]
    assert not dock.widget.images.section.expanded
    open_by_user(dock, folder / "2.tif")
    paint(dock)
    assert states(dock) == ["strokes", "strokes"]
    # The next day.
    dock.viewer.layers.clear()
    dock.widget.workspace.listed.close()
    dock.widget.images.follower._looked_for.clear()
    dock.widget.workspace.listed.list_changed.emit()
    open_by_user(dock, folder / "2.tif")
    dock.bot.waitUntil(lambda: len(states(dock)) == 2, timeout=5000)
    assert dock.widget.workspace.listed.current == "2.tif"


def test_a_list_keeps_a_dot_in_its_name(dock: Docked, tmp_path: Path):
    for typed, name in (("day 1.2", "day 1.2.unet"), ("day.unet", "day.unet")):
        dock.widget.images.new_list(tmp_path / typed)
        assert dock.widget.workspace.listed.images.path == tmp_path / name


@pytest.mark.slow
def test_an_image_in_memory_makes_no_list(dock: Docked, plane: np.ndarray):
    dock.viewer.add_image(plane)
    paint(dock)
    assert dock.widget.workspace.listed.images is None


@pytest.mark.slow
def test_a_second_window_is_read_only(dock: Docked, folder: Path):
    first = ImageList.create(folder / "day.unet")
    first.add(sorted(folder.glob("*.tif")))
    first.save()
    images = dock.widget.images
    dock.widget.show()
    images.section.expand()
    images.open_list(folder / "day.unet")
    idle(dock)
    assert "Read-only: it is open in another window" in images.text.text()
    click(dock, images.next)
    assert names(dock) == ["0"] and not images.accepting.isEnabled()
    paint(dock)
    images.accept()
    images.remove(images.listed.entries[:1])
    assert states(dock) == ["untouched"] * 4
    assert "Read-only" in images.text.text()
    first.close()


def test_images_that_moved_are_asked_about_and_found(filled: Docked, folder: Path):
    listed, images = filled.widget.workspace.listed, filled.widget.images
    click(filled, images.accepting)
    listed.close()
    filled.viewer.layers.clear()
    (folder / "0.tif").rename(folder.parent / "0.tif")
    (folder / "1.tif").unlink()
    images.open_list(folder / "day.unet")
    idle(filled)
    problems = images.problems
    assert problems.text.text() == "0.tif and 1.tif are not there any more."
    problems.search(folder.parent)
    idle(filled)
    filled.bot.waitUntil(lambda: len(listed.problems) == 1, timeout=5000)
    assert listed.entries[0].path == "../0.tif" and states(filled)[0] == "accepted"
    click(filled, problems.remove)
    assert not problems.isVisible()
    assert [e.name for e in listed.entries] == ["0.tif", "2.tif", "3.tif"]


@pytest.mark.parametrize("same", [True, False])
def test_a_changed_image_is_asked_about_once(
    filled: Docked, folder: Path, plane: np.ndarray, same: bool
):
    listed, images = filled.widget.workspace.listed, filled.widget.images
    click(filled, images.accepting)
    listed.close()
    filled.viewer.layers.clear()
    tifffile.imwrite(folder / "0.tif", 255 - plane)
    for asked in (True, False):
        images.open_list(folder / "day.unet")
        idle(filled)
        assert images.problems.isVisible() == asked
        if asked:
            button = images.problems.same if same else images.problems.anew
            click(filled, button)
        assert states(filled)[0] == ("accepted" if same else "untouched")
        listed.close()
        listed.images = None


def test_the_model_and_the_size_come_back_with_the_list(
    dock: Docked, folder: Path, add_model: Any
):
    add_model("other", object_size_px=9.0)
    dock.widget.images.add_paths([folder])
    idle(dock)
    dock.widget.select_model("other")
    dock.widget.predict.form.object_size.choose(23.5, dock.widget.workspace.model.spec)
    dock.widget.workspace.models_changed.emit()
    dock.widget.images.predicting.value = True
    dock.widget.workspace.listed.close()
    dock.widget.select_model("tiny")
    dock.widget.workspace.model_chosen = False
    dock.widget.images.predicting.value = False
    dock.widget.images.open_list(folder / "day.unet")
    idle(dock)
    assert dock.widget.workspace.model.name == "other"
    assert dock.widget.workspace.object_size == 23.5
    assert dock.widget.images.predicting.value


def test_what_was_set_in_the_forms_comes_back_with_the_list(dock: Docked, folder: Path):
    widget = dock.widget
    dock.widget.images.add_paths([folder])
    idle(dock)
    merging, settings = widget.objects.form.merging, widget.fine_tune.settings
    usual = settings["minutes"].value, merging.value, settings["learning_rate"].value
    widget.predict.form.settings["average_flips"].value = "on"
    settings["minutes"].value = 3.5
    merging.value = 0.8
    widget.objects.form.method.value = "components"
    widget.workspace.listed.close()
    kept = read_contents(folder / "day.unet").settings["forms"]
    # What is as usual follows the model and later versions.
    assert kept == {
        "predict": {"average_flips": "on"},
        "fine-tune": {"minutes": 3.5},
        "objects": {"method": "components", "merging": 0.8},
    }
    widget.predict.form.settings["average_flips"].value = "auto"
    settings["minutes"].value, merging.value = usual[:2]
    widget.objects.form.method.value = "watershed"
    widget.images.open_list(folder / "day.unet")
    idle(dock)
    assert widget.predict.form.config.average_flips == "on"
    assert (settings["minutes"].value, merging.value) == (3.5, 0.8)
    assert settings["learning_rate"].value == usual[2]
    assert widget.objects.form.config.method == "components"


def test_form_values_of_another_version_are_left_out(dock: Docked, folder: Path):
    dock.widget.images.add_paths([folder])
    idle(dock)
    listed = dock.widget.workspace.listed
    listed.images.remember(
        {"forms": {"predict": {"average_flips": "never", "gone": 1}, "objects": [3],
                   "fine-tune": {"minutes": "soon", "seed": 7}}}
    )  # fmt: skip
    listed.close()
    dock.widget.images.open_list(folder / "day.unet")
    idle(dock)
    assert dock.widget.predict.form.config.average_flips == "auto"
    assert dock.widget.fine_tune.settings["seed"].value == 7


def test_images_are_predicted_when_they_open(dock: Docked, folder: Path, trained: Any):
    dock.widget.images.add_paths([folder])
    idle(dock)
    dock.widget.images.predicting.value = True
    for _ in range(2):
        dock.widget.images.go_next()
        idle(dock)
        assert dock.widget.workspace.working_image.predicted


@pytest.fixture
def trained(dock: Docked, store: Any) -> str:
    """A model with random weights that counts as trained, which is chosen."""
    from dataclasses import replace

    from unet_engine.models.spec import ModelSpec
    from unet_engine.models.starting import start_checkpoint

    spec = ModelSpec(depth=2, width=4, classes=("background", "cell"))
    made = replace(start_checkpoint(spec), history=({"data": ["other"]},))
    store.save("trained", made)
    dock.widget.select_model("trained")
    return "trained"


def test_the_most_uncertain_image_is_suggested(
    dock: Docked, folder: Path, trained: str, monkeypatch: pytest.MonkeyPatch
):
    from napari_unet.jobs import list_search

    looked: list[str] = []
    original = list_search._look

    def look(path: str, *rest: Any) -> Any:
        looked.append(path)
        return original(path, *rest)

    monkeypatch.setattr(list_search, "_look", look)
    (folder / "broken.tif").write_bytes(b"II*\0 no image")
    dock.widget.show()
    images = dock.widget.images
    images.add_paths([folder])
    idle(dock)
    images.listed.set_state("0.tif", "accepted")
    images.section.expand()
    click(dock, images.suggest)
    assert sorted(looked) == ["1.tif", "2.tif", "3.tif", "broken.tif"]
    first = names(dock)
    assert len(first) == 1 and first[0] in "123"
    assert "least sure" in images.note.text()
    # The next one is known already.
    looked.clear()
    click(dock, images.suggest)
    assert not looked and names(dock) != first


@pytest.mark.slow
def test_training_learns_from_the_whole_list(
    dock: Docked, folder: Path, tmp_path: Path, plane: np.ndarray
):
    far = tmp_path / "far"
    far.mkdir()
    tifffile.imwrite(far / "far.tif", plane)
    images = dock.widget.images
    images.add_paths([folder, far])
    idle(dock)
    images.go_next()
    idle(dock)
    for name in ("day/0.tif", "far/far.tif"):
        images.opener.open(images.listed.images.get(name))
        idle(dock)
        paint(dock)
    images.opener.open(images.listed.images.get("day/3.tif"))
    idle(dock)
    paint(dock, label=0)
    dock.bot.waitUntil(lambda: not dock.widget.related.busy, timeout=30_000)
    found = sorted(one.image.name for one in dock.widget.workspace.related.images)
    assert found == ["0", "far"]


@pytest.mark.slow
def test_ten_thousand_rows_are_shown_at_once(dock: Docked, tmp_path: Path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"{number}.tif").touch()
    images = dock.widget.images
    dock.widget.show()
    asked: list[int] = []
    data = images.entries.model.data
    images.entries.model.data = lambda i, role=0: (
        asked.append(i.row()),
        data(i, role),
    )[1]
    images.add_paths([folder])
    idle(dock)
    assert images.entries.model.rowCount() == 10_000
    assert len(set(asked)) < 50, "only rows on screen are asked for"
    assert images.entries.view.height() < 200


@pytest.mark.slow
def test_keys_go_through_the_list(real_dock: Docked, folder: Path):
    images = real_dock.widget.images
    images.add_paths([folder])
    idle(real_dock)
    canvas = real_dock.viewer.window._qt_viewer.canvas.native
    for key, modifier, shown in (
        (Qt.Key.Key_N, Qt.KeyboardModifier.NoModifier, "0"),
        (Qt.Key.Key_N, Qt.KeyboardModifier.NoModifier, "1"),
        (Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier, "0"),
        (Qt.Key.Key_K, Qt.KeyboardModifier.NoModifier, "1"),
    ):
        QTest.keyClick(canvas, key, modifier)
        idle(real_dock)
        assert names(real_dock) == [shown]
    assert states(real_dock)[:2] == ["accepted", "untouched"]


@pytest.mark.slow
def test_no_image_is_closed_while_something_runs(filled: Docked):
    workspace = filled.widget.workspace
    workspace.begin("predict")
    filled.widget.images.go_next()
    filled.bot.wait(50)
    assert names(filled) == ["0"]
    assert "Something is running" in filled.widget.images.note.text()
    workspace.end()


@pytest.mark.slow
def test_a_list_that_is_dropped_on_napari_opens_in_the_dock(
    real_dock: Docked, folder: Path
):
    from napari_unet.contributions.list_reader import get_reader

    made = ImageList.create(folder / "day.unet")
    made.add(sorted(folder.glob("*.tif")))
    made.close()
    path = str(folder / "day.unet")
    assert get_reader(str(folder / "0.tif")) is None
    reader = get_reader(path)
    assert reader is not None and reader(path) == [(None,)]
    idle(real_dock)
    assert len(states(real_dock)) == 4


def written(docked: Docked, monkeypatch: pytest.MonkeyPatch, path: Path) -> str:
    """Click Report…, choose a file, and return what the dock says then."""
    from qtpy.QtWidgets import QFileDialog

    asked: list[Any] = []

    def choose(*words: Any) -> tuple[str, str]:
        asked.append(words)
        return str(path), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    click(docked, docked.widget.images.reporting.button)
    assert asked[0][2].endswith("day-report.html")
    return str(docked.widget.images.note.text())


@pytest.mark.parametrize("suffix", [".html", ".pdf", ""])
def test_a_report_is_written(
    filled: Docked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suffix: str
):
    paint(filled)
    path = tmp_path / f"mine{suffix}"
    text = written(filled, monkeypatch, path)
    path = path if suffix else path.with_suffix(".html")
    assert text == f"Report written: {path}"
    content = path.read_bytes()
    if suffix == ".pdf":
        # The picture of an image of 96 x 96 pixels is in it.
        assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")
        assert b"/Subtype /Image" in content
    else:
        page = content.decode()
        assert "<h1>day</h1>" in page and "1 with strokes" in page
        assert page.count("data:image/png;base64,") == 4
    assert filled.widget.images.reporting.button.text() == "Report…"


def test_a_report_that_cannot_be_written_is_not_begun(
    filled: Docked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    text = written(filled, monkeypatch, tmp_path / "nowhere" / "report.html")
    assert text.startswith("Report: ") and "nowhere" in text


def test_a_report_is_stopped_by_its_button(filled: Docked, tmp_path: Path):
    reporting = filled.widget.images.reporting
    reporting.write_to(tmp_path / "report.html")
    assert reporting.running
    filled.bot.waitUntil(lambda: reporting.button.text() == "Stop report")
    click(filled, reporting.button)
    assert filled.widget.images.note.text() == "Report: stopped, nothing was written."
    assert not list(tmp_path.glob("report*"))


def test_without_images_there_is_no_report(dock: Docked):
    dock.widget.show()
    click(dock, dock.widget.images.section._bar)
    assert not dock.widget.images.reporting.button.isVisible()
