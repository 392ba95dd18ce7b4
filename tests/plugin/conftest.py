"""A docked widget with a tiny model, and a way to wait for its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QGuiApplication, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_unet.dock import UNetWidget
from napari_unet.jobs import job
from napari_unet.jobs.training import name_for
from napari_unet.viewer.private import camera_of
from unet_engine.errors import DataError
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.training.events import FineTuned, Validation
from unet_engine.training.saving import Trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import napari
    from pytestqt.qtbot import QtBot
    from user_at_window import User

    from unet_engine.annotations.annotations import Annotations
    from unet_engine.models.checkpoint import ModelInfo


@pytest.fixture(autouse=True)
def _no_run_outlives_its_test() -> Iterator[None]:
    yield
    assert job.stop_all(seconds=60)


@pytest.fixture
def store(models_folder: Path) -> ModelStore:
    """An empty store, but for the bundled models."""
    return ModelStore(models_folder)


@pytest.fixture
def add_model(store: ModelStore) -> Callable[..., ModelInfo]:
    """Save a small model with random weights: ``add_model("name", in_channels=2)``."""

    def add(name: str = "tiny", **spec: Any) -> ModelInfo:
        from unet_engine.models.starting import start_checkpoint

        values = {"depth": 2, "width": 4, "classes": ("background", "cell"), **spec}
        return store.save(name, start_checkpoint(ModelSpec(**values)))

    return add


class Docked:
    """A widget in a viewer."""

    def __init__(self, viewer: napari.Viewer, widget: UNetWidget, bot: QtBot) -> None:
        self.viewer = viewer
        self.widget = widget
        self.bot = bot

    def wait(self, seconds: float = 60) -> None:
        """Let the event loop run until nothing else runs."""
        self.bot.waitUntil(
            lambda: not self.widget.workspace.busy, timeout=int(1000 * seconds)
        )

    def predict(self) -> None:
        """Press Predict and wait for the mask."""
        self.widget.predict.predict.click()
        self.wait()

    def be_quick(self, steps: int = 4) -> None:
        """Set a training of a few tiny steps."""
        form = self.widget.fine_tune.settings
        form["steps"].value, form["crop"].value, form["batch"].value = steps, 32, 1
        form["learning_rate"].value = 0.01

    def fine_tune(self) -> None:
        """Press Fine-tune and wait for the model and its prediction."""
        self.widget.fine_tune.train.click()
        self.wait()
        self.wait()

    @property
    def mask(self) -> Any:
        """The Labels layer of the chosen image."""
        view = self.widget.masks.current
        return None if view is None else view.layer

    @property
    def counts(self) -> dict[int, int]:
        """Touched pixels of each class."""
        view = self.widget.masks.current
        return {} if view is None else view.working_image.counts


class _Clipboard:
    """What is used of Qt's, for one test."""

    def __init__(self) -> None:
        self._text = ""

    def setText(self, text: str) -> None:
        self._text = text

    def text(self) -> str:
        return self._text

    def clear(self) -> None:
        self._text = ""


@pytest.fixture(autouse=True)
def _own_clipboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each test copy to a clipboard of its own: a display has one for all."""
    own = _Clipboard()
    monkeypatch.setattr(QGuiApplication, "clipboard", staticmethod(lambda: own))


@pytest.fixture(autouse=True)
def _no_preferences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have new docks begin as usual, whatever whoever runs the tests has set."""
    monkeypatch.setattr("napari_unet.dock.preference", lambda _, default: default)


@pytest.fixture
def dock(store: ModelStore, add_model: Any, qtbot: QtBot) -> Docked:
    """The widget on a viewer without window and layers, the tiny model chosen."""
    add_model()
    viewer = ViewerModel()
    widget = UNetWidget(viewer, store)
    widget.select_model("tiny")
    qtbot.addWidget(widget)
    return Docked(viewer, widget, qtbot)


@pytest.fixture
def real_dock(
    make_napari_viewer: Callable[..., napari.Viewer],
    store: ModelStore,
    add_model: Callable[..., ModelInfo],
    qtbot: QtBot,
) -> Docked:
    """The widget docked in a viewer with a window, the tiny model chosen."""
    add_model()
    return _docked_in(make_napari_viewer(), store, qtbot)


@pytest.fixture
def shown_dock(
    make_napari_viewer: Callable[..., napari.Viewer],
    store: ModelStore,
    add_model: Callable[..., ModelInfo],
    qtbot: QtBot,
) -> Docked:
    """The same on screen: a window that is not is never drawn."""
    add_model()
    return _docked_in(make_napari_viewer(show=True), store, qtbot)


@pytest.fixture
def open_dock(
    make_napari_viewer: Callable[..., napari.Viewer], store: ModelStore, qtbot: QtBot
) -> Callable[[], Docked]:
    """Open a window on screen with the dock, nothing chosen in it: ``open_dock()``."""

    def opened() -> Docked:
        return _docked_in(make_napari_viewer(show=True), store, qtbot, model=None)

    return opened


def _docked_in(
    viewer: napari.Viewer, store: ModelStore, bot: QtBot, model: str | None = "tiny"
) -> Docked:
    widget = UNetWidget(viewer, store)
    if model is not None:
        widget.select_model(model)
    viewer.window.add_dock_widget(widget, name="U-Net")
    return Docked(viewer, widget, bot)


class Mouse:
    """The mouse on the canvas of a window, with events that a program makes."""

    def __init__(self, docked: Docked) -> None:
        self.docked = docked
        self.canvas = docked.viewer.window._qt_viewer.canvas.native

    def at(self, y: float, x: float) -> QPoint:
        camera = camera_of(self.docked.viewer)
        middle = self.canvas.height() / 2, self.canvas.width() / 2
        there = [
            (place - centre) * camera.zoom + half
            for place, centre, half in zip(
                (y, x), camera.center[-2:], middle, strict=True
            )
        ]
        return QPoint(round(there[1]), round(there[0]))

    def press(self, y: float, x: float) -> None:
        left = Qt.MouseButton.LeftButton
        QTest.mousePress(self.canvas, left, pos=self.at(y, x))
        self.docked.bot.wait(20)

    def move(self, y: float, x: float) -> None:
        place = self.at(y, x)
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(place),
            QPointF(self.canvas.mapToGlobal(place)),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(self.canvas, event)
        self.docked.bot.wait(20)

    def release(self, y: float, x: float) -> None:
        left = Qt.MouseButton.LeftButton
        QTest.mouseRelease(self.canvas, left, pos=self.at(y, x))
        self.docked.bot.wait(20)


@pytest.fixture
def mouse_on() -> Callable[[Docked], Mouse]:
    """Make a mouse: ``mouse_on(docked)``."""
    return Mouse


@pytest.fixture
def improving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings that take a moment and save a better model, whatever was painted."""

    def run(order: Any, workspace: Any, stop: Any) -> Iterator[Any]:
        start = workspace.checkpoint(order.model)
        before = Validation(step=0, loss=1.0, iou=0.5, best=True, seconds=0.0)
        yield before
        # Another seed than that of the start: another mask.
        better = start_checkpoint(start.spec, seed=7)
        after = Validation(step=9, loss=0.5, iou=0.75, best=True, seconds=0.1)
        result = FineTuned(
            checkpoint=better,
            improved=True,
            before=before,
            after=after,
            steps=9,
            stopped=False,
        )
        name = workspace.store.free_name(name_for(order.model))
        return Trained(result=result, model=workspace.store.save(name, better))

    from unet_engine.models.starting import start_checkpoint

    monkeypatch.setattr("napari_unet.steps.finetune.section.train_run", run)


@pytest.fixture
def plane() -> np.ndarray:
    """A plane with bright squares, ``(96, 96)`` uint8."""
    image = np.random.default_rng(0).integers(20, 60, (96, 96)).astype(np.uint8)
    image[20:50, 20:50] += 120
    image[60:80, 55:90] += 120
    return image


@pytest.fixture
def halves() -> np.ndarray:
    """A dark and a bright half with noise, ``(160, 200)`` uint8."""
    image = np.random.default_rng(0).integers(20, 60, (160, 200)).astype(np.uint8)
    image[:, 100:] += 120
    return image


@pytest.fixture
def filters_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Live do without the bundled model: quicker, and enough for two halves."""
    monkeypatch.setattr("unet_engine.models.starting._PLANES", "none such")


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every notification of napari, as ``"severity: message"``."""
    from napari.utils.notifications import notification_manager

    messages: list[str] = []

    def record(notification: Any) -> None:
        messages.append(f"{notification.severity}: {notification.message}")

    notification_manager.notification_ready.connect(record)
    yield messages
    notification_manager.notification_ready.disconnect(record)


class _DamagedBlock:
    """A block of strokes that cannot be read."""

    counts: ClassVar[dict[int, int]] = {0: 9}
    conflicts = 0

    def load(self) -> NoReturn:
        raise DataError("a block of the stroke log is damaged on disk")


@pytest.fixture
def damage() -> Callable[..., None]:
    """Make all strokes of a plane unreadable: ``damage(annotations, index)``."""

    def unreadable(annotations: Annotations, index: tuple[int, ...]) -> None:
        annotations._blocks._planes[index] = {(0, 0): _DamagedBlock()}

    return unreadable


@pytest.fixture
def every_evaluation_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a training find better weights at every evaluation."""
    from unet_engine.training.course.ranking import Ranking

    def is_best(ranking: Ranking, found: Any, tolerance: float) -> bool:
        ranking.first = ranking.first or found
        return True

    monkeypatch.setattr(Ranking, "is_best", is_best)


@pytest.fixture
def open_window(open_dock: Any, mouse_on: Any) -> Callable[[], User]:
    """Open a window with the dock on screen, as the last one left things."""
    from user_at_window import User

    def opened() -> User:
        docked = open_dock()
        docked.viewer.window._qt_window.resize(1200, 800)
        docked.bot.wait(50)
        return User(docked, mouse_on(docked))

    return opened


@pytest.fixture
def folder(tmp_path: Path, plane: np.ndarray) -> Path:
    """A folder ``day`` with three images of 96 x 96 pixels."""
    folder = tmp_path / "day"
    folder.mkdir()
    for number in range(3):
        tifffile.imwrite(folder / f"{number}.tif", np.roll(plane, 5 * number, 0))
    return folder
