"""Closing napari while something runs: which question appears, and what is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import qtpy
from napari._app_model import get_app_model
from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDialog, QMessageBox

from napari_unet.jobs import job as _jobs
from napari_unet.widgets import closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Docked
    from napari._qt.qt_main_window import _QtMainWindow

    from unet_engine.models.store import ModelStore

pytestmark = pytest.mark.slow

SAVE = QMessageBox.StandardButton.Save
WITHOUT = QMessageBox.StandardButton.Discard
STAY = QMessageBox.StandardButton.Cancel


class Person:
    """Replies to the questions that appear, and keeps their texts."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.prospects: list[str] = []
        self.reply = SAVE
        self.timer = QTimer()
        self.timer.timeout.connect(self._respond)
        self.timer.start(20)

    def _respond(self) -> None:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            self.questions.append(box.text())
            self.prospects.append(box.informativeText())
            box.button(self.reply).click()
        elif isinstance(box, QDialog):
            self.questions.append(box.windowTitle())
            box.accept()


@pytest.fixture
def person(qtbot: Any) -> Iterator[Person]:
    someone = Person()
    yield someone
    someone.timer.stop()
    closing._progress.reset()


@pytest.fixture(autouse=True)
def _no_quitting(monkeypatch: pytest.MonkeyPatch) -> None:
    # Only the application of the tests must stay.
    monkeypatch.setattr(QApplication, "quit", lambda: None)


def window(docked: Docked) -> _QtMainWindow:
    return docked.viewer.window._qt_window


def by_its_x(docked: Docked) -> None:
    # As the window manager does it: the event is spontaneous.
    window(docked).windowHandle().close()


def by_shortcut(docked: Docked) -> None:
    window(docked).activateWindow()
    window(docked).close(quit_app=False, confirm_need=True)


def by_quitting(_: Docked) -> None:
    get_app_model().commands.execute_command("napari.window.file.quit_dialog").result()


@pytest.fixture
def training(
    shown_dock: Docked, plane: Any, every_evaluation_is_better: None
) -> Docked:
    """A training that has learned something, and does not end by itself."""
    shown_dock.viewer.add_image(plane, name="cells")
    shown_dock.widget.correct.empty.click()
    shown_dock.mask.brush_size = 12
    shown_dock.mask.paint((35, 35), 1)
    shown_dock.mask.paint((85, 15), 0)
    shown_dock.be_quick(steps=100_000)
    # The fixture closes the viewer once more.
    window(shown_dock).setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    start(shown_dock)
    return shown_dock


def start(docked: Docked) -> None:
    section = docked.widget.fine_tune
    section.train.click()
    docked.bot.waitUntil(
        lambda: any(each.best and each.step for each in section._evaluations),
        timeout=60_000,
    )


def wait_until_closed(docked: Docked, native: Any) -> None:
    docked.bot.waitUntil(
        lambda: not isalive(native) or not native.isVisible(), timeout=60_000
    )


@pytest.mark.parametrize("close", [by_its_x, by_shortcut, by_quitting])
def test_closing_shows_one_question_and_keeps_the_best(
    training: Docked,
    store: ModelStore,
    person: Person,
    close: Callable[[Docked], None],
) -> None:
    native = window(training)
    close(training)
    wait_until_closed(training, native)
    assert person.questions == ["tiny is being fine-tuned."]
    assert "tiny-ft" in [model.name for model in store.list()]


def test_keep_training_changes_nothing(
    training: Docked, store: ModelStore, person: Person
) -> None:
    person.reply = STAY
    for close in (by_its_x, by_shortcut, by_quitting):
        close(training)
    training.bot.wait(50)
    assert len(person.questions) == 3
    assert window(training).isVisible()
    assert training.widget.workspace.training
    assert not window(training)._quit_app
    training.widget.fine_tune.stop()
    training.wait()
    training.wait()
    assert window(training)._is_close_dialog == {False: True, True: True}
    assert training.widget.workspace.model.name == "tiny-ft"


def test_the_question_names_whether_there_is_anything_to_save(
    training: Docked, person: Person
) -> None:
    person.reply = STAY
    by_its_x(training)
    training.widget.fine_tune._evaluations = []
    by_its_x(training)
    better, not_yet = person.prospects
    assert "best model so far can be saved" in better
    assert "not become better than its start" in not_yet
    training.widget.fine_tune.abandon()
    training.wait()


def test_close_without_saving_saves_nothing(
    training: Docked, store: ModelStore, person: Person
) -> None:
    person.reply = WITHOUT
    native = window(training)
    by_its_x(training)
    wait_until_closed(training, native)
    assert _jobs.stop_all(60)
    assert len(person.questions) == 1
    assert "tiny-ft" not in [model.name for model in store.list()]


def test_after_stop_there_is_no_question(
    training: Docked, store: ModelStore, person: Person
) -> None:
    native = window(training)
    training.widget.fine_tune.stop()
    by_its_x(training)
    wait_until_closed(training, native)
    assert person.questions == []
    assert "tiny-ft" in [model.name for model in store.list()]


def test_a_model_that_cannot_be_saved_keeps_napari_open(
    training: Docked,
    store: ModelStore,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    notices: list[str],
) -> None:
    away = store.root.with_name("unmounted")
    monkeypatch.setattr("unet_engine.training.saving._rescue", lambda *_: None)
    store.root.rename(away)
    store.root.write_text("not mounted")
    by_its_x(training)
    training.bot.waitUntil(lambda: not training.widget.workspace.busy)
    training.bot.wait(50)
    assert window(training).isVisible()
    assert any("kept in memory" in message for message in notices)
    person.reply = STAY
    by_its_x(training)
    training.bot.wait(50)
    assert person.questions[-1] == "The model tiny-ft could not be saved."
    store.root.unlink()
    away.rename(store.root)
    person.reply = SAVE
    native = window(training)
    by_its_x(training)
    wait_until_closed(training, native)
    assert "tiny-ft" in [model.name for model in store.list()]


def test_a_script_gets_no_question_and_the_best_is_kept(
    training: Docked, store: ModelStore, person: Person
) -> None:
    training.viewer.close()
    assert all(job.wait(60) for job in list(_jobs._running))
    assert person.questions == []
    assert "tiny-ft" in [model.name for model in store.list()]


def test_quitting_in_another_window_shows_the_question_too(
    training: Docked,
    store: ModelStore,
    person: Person,
    make_napari_viewer: Callable[..., Any],
) -> None:
    training.widget.fine_tune.stop()
    training.wait()
    training.wait()
    other = make_napari_viewer(show=True)
    other.add_image(training.viewer.layers[0].data)
    start(training)
    second = other.window._qt_window
    second.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    person.reply = STAY
    second.close(quit_app=True, confirm_need=True)
    assert person.questions == ["tiny-ft is being fine-tuned."]
    assert second.isVisible()
    second.windowHandle().close()
    # napari's own question comes before ours where it takes the close for a person's.
    assert set(person.questions[1:]) <= {"Close Window?"}
    assert training.widget.workspace.training
    training.widget.fine_tune.abandon()
    training.wait()


def test_a_prediction_ends_with_its_window(
    shown_dock: Docked, plane: Any, person: Person
) -> None:
    shown_dock.viewer.add_image(plane, name="cells")
    window(shown_dock).setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    shown_dock.widget.predict.predict.click()
    native = window(shown_dock)
    by_its_x(shown_dock)
    wait_until_closed(shown_dock, native)
    assert all(job.wait(60) for job in list(_jobs._running))
    assert set(person.questions) <= {"Close Window?"}, "that is napari's own question"


_TRAIN_AND_CLOSE = """
import napari, numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox
from napari_unet.contributions.commands import open_dock
viewer = napari.Viewer()
dock = open_dock(viewer)
dock.select_model("tiny")
image = np.full((96, 96), 30, np.uint8)
image[:, 48:] = 200
viewer.add_image(image, name="cells")
dock.correct.empty.click()
mask = dock.masks.current.layer
mask.brush_size = 12
mask.paint((48, 24), 0)
mask.paint((48, 72), 1)
form = dock.fine_tune.settings
form["steps"].value, form["crop"].value, form["batch"].value = 100000, 32, 1
form["learning_rate"].value = 0.01
dock.fine_tune.train.click()
questions = []
def respond():
    box = QApplication.activeModalWidget()
    if box is not None and not questions:
        questions.append(box)
        box.button(QMessageBox.StandardButton.Save).click()
def close():
    if any(x.best and x.step for x in dock.fine_tune._evaluations):
        closer.stop()
        %s
timer, closer = QTimer(), QTimer()
timer.timeout.connect(respond)
closer.timeout.connect(close)
timer.start(20)
closer.start(20)
napari.run()
assert len(questions) == %d
print("ended")
"""


@pytest.mark.parametrize(
    ("close", "questions"),
    [
        ("viewer.window._qt_window.windowHandle().close()", 1),
        ("viewer.window._qt_window.close(quit_app=True, confirm_need=True)", 1),
        ("viewer.close()", 0),
        # Qt 6 closes the windows before it quits.
        ("QApplication.quit()", int(qtpy.QT6)),
    ],
)
def test_the_process_ends_well(
    store: ModelStore, add_model: Callable[..., Any], close: str, questions: int
) -> None:
    add_model()
    script = _TRAIN_AND_CLOSE % (close, questions)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ},
    )
    assert done.returncode == 0, done.stderr
    assert "ended" in done.stdout
    assert "tiny-ft" in [model.name for model in store.list()]
