"""Refreshes of layers by a timer."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_unet.viewer.throttled_refresh import ThrottledRefresh

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


class Window(QObject):
    """Garbage for Python as soon as nobody has it: it has itself."""

    def __init__(self) -> None:
        super().__init__()
        self.itself = self


def test_a_closed_window_is_not_collected_within_a_call(qtbot: QtBot):
    names: list[str] = []

    def collect(finished: bool) -> None:
        gc.collect()
        # Fails when Qt has deleted it.
        names.append(refresh.objectName())

    gc.disable()
    try:
        window = QObject(Window())
        refresh = ThrottledRefresh(collect, window)
        refresh.setObjectName("refresh")
        refresh.request()
        del window
        qtbot.waitUntil(lambda: bool(names))
    finally:
        gc.enable()
    assert names == ["refresh"]
