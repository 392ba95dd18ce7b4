"""Layers whose data are filled in place, refreshed without blocking the window."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_unet.viewer.brush import WAIT_MS

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE_S = 0.12
"""Least seconds between two refreshes while tiles arrive: eight a second are smooth."""
_SHARE = 4
"""Pause after a refresh over its duration: a refresh may upload a whole plane, and so
takes a fifth of the time of the window at most."""


class ThrottledRefresh(QObject):
    """Refresh a layer soon after its data changed, many changes at once.

    Parameters
    ----------
    refresh
        Called with whether all has arrived.
    parent
        Ends it.
    painting
        Returns whether a stroke is being drawn, under which nothing must change.
    """

    def __init__(
        self,
        refresh: Callable[[bool], None],
        parent: QObject,
        painting: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(parent)
        self._call = refresh
        self._painting = painting
        self._finished = False
        self._rest_until = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._refresh)

    def request(self, *, finished: bool = False) -> None:
        """Refresh at once, or soon after the last refresh."""
        self._finished |= finished
        if finished:
            self._timer.start(0)
        elif not self._timer.isActive():
            left = self._rest_until - time.perf_counter()
            self._timer.start(max(0, round(1000 * left)))

    def stop(self) -> None:
        """Refresh no more."""
        self._timer.stop()

    def _refresh(self) -> None:
        if self._painting():
            self._timer.start(WAIT_MS)
            return
        started = time.perf_counter()
        finished, self._finished = self._finished, False
        owners = _owners(self)
        self._call(finished)
        del owners
        ended = time.perf_counter()
        self._rest_until = ended + max(_PAUSE_S, _SHARE * (ended - started))


def _owners(child: QObject) -> list[QObject]:
    """Return what owns an object in Qt, to be kept until a call has ended.

    A window that was closed is garbage for Python, which may collect it in any call;
    Qt would then delete all in it, also what the call is about to use.
    """
    owners = []
    while (owner := child.parent()) is not None:
        owners.append(owner)
        child = owner
    return owners
