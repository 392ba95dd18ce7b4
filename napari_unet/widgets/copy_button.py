"""A button that copies what a step does as a command or as Python."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QMenu

from napari_unet.widgets.buttons import NarrowButton
from unet_engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.scripting import RunTexts

_TOOLTIP = (
    "Copy what this step does, with its settings, as a command of a terminal or as a "
    "Python script."
)


class CopyButton(NarrowButton):
    """Copies the texts of a run to the clipboard.

    Parameters
    ----------
    texts
        Returns them as the settings are now.

    Attributes
    ----------
    message
        What was copied, or why nothing was.
    as_command, as_python
        The entries of its menu.
    """

    message = Signal(str)

    def __init__(self, texts: Callable[[], RunTexts]) -> None:
        super().__init__("Copy as")
        self._texts = texts
        self.setToolTip(_TOOLTIP)
        menu = QMenu(self)
        self.as_command = menu.addAction("Copy as command")
        self.as_python = menu.addAction("Copy as Python")
        self.as_command.triggered.connect(partial(self._copy, "command"))
        self.as_python.triggered.connect(partial(self._copy, "python"))
        self.setMenu(menu)

    def _copy(self, kind: str, *_: Any) -> None:
        try:
            texts = self._texts()
        except EngineError as error:
            self.message.emit(f"Nothing copied: {error}.")
            return
        QGuiApplication.clipboard().setText(getattr(texts, kind))
        what = "the command" if kind == "command" else "the Python script"
        self.message.emit(" ".join(filter(None, (f"Copied {what}.", texts.note))))
