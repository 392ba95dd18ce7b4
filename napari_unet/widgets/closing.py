"""Closing napari during a training: one question, and the best model is kept.

The windows of napari are watched while a model is trained. The question appears only
where the user closes a window: a script that calls ``viewer.close()`` waits for no
reply, so the training is stopped and its thread saves the best model before the process
ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari.utils.notifications import show_info
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_unet.viewer.private import (
    close_window,
    is_canvas_visible,
    keep_open,
    quits_application,
    settle_question,
    window_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtWidgets import QMainWindow

    from napari_unet.state.workspace import Workspace
    from napari_unet.widgets.job_section import TrainingSection

_KEEP = QMessageBox.StandardButton.Save
_WITHOUT = QMessageBox.StandardButton.Discard
_STAY = QMessageBox.StandardButton.Cancel

_all: WeakSet[Any] = WeakSet()


@dataclass(slots=True)
class _Progress:
    """How far the closing of a window is; of one at a time in the application.

    Attributes
    ----------
    question_open
        The question is on screen.
    window
        Will be closed when the models of ``awaited`` are saved, or None.
    quits
        The application is quit then.
    """

    question_open: bool = False
    window: QMainWindow | None = None
    quits: bool = False
    awaited: tuple[TrainingSection, ...] = ()

    def reset(self) -> None:
        self.window, self.awaited = None, ()


_progress = _Progress()


class Closing(QObject):
    """Shows a question before a window is closed in which a model is trained.

    Parameters
    ----------
    viewer
        Its window is watched.
    workspace
        Its ``activity`` is what is running.
    trainings
        The sections that train.
    """

    def __init__(
        self,
        viewer: Any,
        workspace: Workspace,
        trainings: Sequence[TrainingSection],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._workspace = workspace
        self._trainings = tuple(trainings)
        _all.add(self)
        workspace.activity_changed.connect(self._on_activity_changed)

    @property
    def open_ends(self) -> list[TrainingSection]:
        """The sections that would lose a model if the window were closed."""
        return [s for s in self._trainings if s.would_be_lost]

    def eventFilter(self, window: Any, event: Any) -> bool:
        """Let a window be closed, or not yet."""
        if event.type() != QEvent.Type.Close or not self._holds(window):
            return False
        event.ignore()
        return True

    def _on_activity_changed(self) -> None:
        if window := window_of(self._viewer):
            for each in _windows_like(window):
                each.installEventFilter(self)
            _settle_questions(window)
        _go_on()

    @property
    def trains(self) -> bool:
        """Whether a model is being trained."""
        return self._workspace.training or self._workspace.activity == "pretrain"

    def belongs_to(self, window: QMainWindow) -> bool:
        """Whether the dock is in a window."""
        return window_of(self._viewer) is window

    def go_on_working(self) -> None:
        """Take back that napari is about to be closed."""
        self._workspace.closing = False

    def _holds(self, window: QMainWindow) -> bool:
        """Whether a window must stay open for now."""
        quits = quits_application(window)
        concerned = [c for c in _alive() if quits or c.belongs_to(window)]
        ends = [section for closing in concerned for section in closing.open_ends]
        if not ends or not _is_used(window):
            return False
        if _progress.question_open:
            return True
        if _progress.window is not None:
            # Closed once more: without waiting; the thread still saves.
            _progress.reset()
            for section in ends:
                section.close_at_once()
            QTimer.singleShot(0, partial(_close, window, quits))
            return True
        choice = _choice(window, ends)
        if isalive(window):
            _act(choice, window, quits, ends)
        return True


def _alive() -> list[Closing]:
    return [closing for closing in list(_all) if isalive(closing)]


def _choice(window: QMainWindow, ends: Sequence[TrainingSection]) -> Any:
    """Return the choice of the user; Save when Stop was pressed before."""
    if all(section.stopping for section in ends):
        return _KEEP
    _progress.question_open = True
    try:
        return _question(window, ends).exec()
    finally:
        _progress.question_open = False


def _act(
    choice: Any, window: QMainWindow, quits: bool, ends: Sequence[TrainingSection]
) -> None:
    """Do what was chosen."""
    if choice in (_STAY, QMessageBox.DialogCode.Rejected):
        _stay(window)
        return
    if choice == _WITHOUT:
        for section in ends:
            section.abandon()
        QTimer.singleShot(0, partial(_close, window, quits))
        return
    _progress.window, _progress.quits = window, quits
    _progress.awaited = tuple(ends)
    for section in ends:
        section.keep_best()
    if any(section.running for section in ends):
        show_info("napari closes as soon as the best model is saved.")
    _go_on()


def _go_on() -> None:
    """Close the window that was to be closed, when all models are saved."""
    window, awaited = _progress.window, _progress.awaited
    if window is None or any(section.running for section in awaited):
        return
    if not isalive(window) or any(section.unsaved for section in awaited):
        # The section shows why it could not be saved, and where it is meanwhile.
        _stay(window)
        return
    _progress.reset()
    QTimer.singleShot(0, partial(_close, window, _progress.quits))


def _stay(window: QMainWindow) -> None:
    """Go on as if the window had not been closed."""
    _progress.reset()
    for closing in _alive():
        closing.go_on_working()
    if isalive(window):
        keep_open(window)
        _settle_questions(window)


def _settle_questions(window: QMainWindow) -> None:
    """Keep the question of napari from windows that have ours.

    Private, but there is no other way: its own question would come before ours, and it
    does not name the training.
    """
    training = [closing for closing in _alive() if closing.trains]
    for each in _windows_like(window):
        ours = any(closing.belongs_to(each) for closing in training)
        settle_question(each, on_quit=not training, on_close=not ours)


def _question(window: QMainWindow, ends: Sequence[TrainingSection]) -> QMessageBox:
    """Return the question whether models are kept."""
    running = any(section.running for section in ends)
    box = QMessageBox(window)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Close napari?")
    box.setText("\n".join(section.what_is_lost for section in ends))
    box.setInformativeText(_prospect(ends))
    box.setStandardButtons(_KEEP | _WITHOUT | _STAY)
    keep = "Save the best model and close" if running else "Try to save and close"
    box.button(_KEEP).setText(keep)
    box.button(_WITHOUT).setText("Close without saving")
    box.button(_STAY).setText("Keep training" if running else "Keep napari open")
    box.setDefaultButton(_KEEP)
    box.setEscapeButton(_STAY)
    return box


def _prospect(ends: Sequence[TrainingSection]) -> str:
    """Return a sentence on what there is to save."""
    running = [section for section in ends if section.running]
    if not running:
        return "It is lost when napari closes."
    if any(section.is_better for section in running):
        return "The best model so far can be saved before napari closes."
    return (
        "It has not become better than its start yet. It is measured once more before "
        "napari closes, and saved only if it is better then."
    )


def _windows_like(window: QMainWindow) -> list[QMainWindow]:
    """Return all windows of napari: quitting in one closes all."""
    kind = type(window)
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, kind)]


def _is_used(window: QMainWindow) -> bool:
    """Whether the user closes the window: a script's close hides the canvas first."""
    return bool(window.isVisible() and is_canvas_visible(window))


def _close(window: QMainWindow, quits: bool) -> None:
    """Close a window without any question."""
    if isalive(window):
        close_window(window, quits=quits)
