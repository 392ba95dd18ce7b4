"""Layers whose data are filled in place, shown anew as often as the window bears it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE_MS = 120
"""Least time between two refreshes while tiles arrive."""
_SHARE = 4
"""A refresh uploads the whole plane; as many times as long is rested after it."""


class Refreshing(QObject):
    """Refresh a layer soon after its data changed, many changes at once.

    Parameters
    ----------
    layer
        Of any kind.
    is_wanted
        Asked before each refresh.
    parent
        Ends it.
    """

    def __init__(
        self, layer: Any, is_wanted: Callable[[], bool], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._layer = layer
        self._is_wanted = is_wanted
        self._thumbnail = False
        self._cost = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._refresh)

    def ask(self, *, finished: bool = False) -> None:
        """Refresh soon; at once and with the thumbnail when all has arrived."""
        self._thumbnail |= finished
        if finished:
            self._timer.start(0)
        elif not self._timer.isActive():
            self._timer.start(max(_PAUSE_MS, int(1000 * _SHARE * self._cost)))

    def stop(self) -> None:
        """Refresh no more."""
        self._timer.stop()

    def _refresh(self) -> None:
        started = time.perf_counter()
        if self._is_wanted():
            self._layer.refresh(extent=False, thumbnail=self._thumbnail)
        self._thumbnail = False
        self._cost = time.perf_counter() - started
