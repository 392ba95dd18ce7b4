"""The objects of what is on screen follow the slider."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_unet.jobs.job import Job, run
from napari_unet.jobs.objects import split_view
from napari_unet.results.objects import objects_of
from napari_unet.results.objects_preview import ObjectsPreview
from unet_engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.jobs.orders import ObjectsOrder
    from napari_unet.results.mask import MaskView
    from unet_engine.places import Index, Region

_PAUSE_MS = 60
"""Time without a move of the slider after which the objects follow."""

_MOST_EDGE = 1024
"""Edge in pixels of the part that is split, in the middle of the screen: half a second
of a watershed."""


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What of which mask is split."""

    mask: MaskView
    index: Index
    region: Region


class LiveSplit(QObject):
    """Splits what is on screen in a thread, and shows it until it is taken back.

    Parameters
    ----------
    viewer
        Gets a layer.
    current
        Returns the mask of the chosen image and how its objects would be found; raises
        where there is none. None while something else is running.
    parent
        Ends it.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        current: Callable[[], tuple[MaskView, ObjectsOrder] | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.preview = ObjectsPreview(viewer)
        self._viewer, self._current = viewer, current
        self._job: Job | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._start)

    def request(self) -> None:
        """Follow a move of the slider."""
        self._timer.start()

    def end(self) -> None:
        """Take the preview away."""
        self._timer.stop()
        if self._job is not None:
            self._job.discard()
        self.preview.remove()

    def _start(self) -> None:
        if self._job is not None:
            # The part on screen may have moved since: split what is there then.
            self._timer.start()
            return
        try:
            found = self._current()
            if found is None:
                return
            mask, order = found
            index, region = mask.on_screen
        except EngineError:
            # There is no mask, or a typed size is none: Separate has the sentence.
            return
        part = _Part(mask, index, _middle(region))
        self._job = run(
            partial(split_view, order.mask, order.config, part.index, part.region),
            parent=self,
            on_result=partial(self._show, part),
            on_finished=self._on_finished,
        )

    def _show(self, part: _Part, ids: npt.NDArray[Any] | None) -> None:
        if ids is None or not ids.size:
            return
        objects = objects_of(self._viewer, part.mask.source)
        self.preview.show(part.mask, objects, ids, part.index, part.region)

    def _on_finished(self) -> None:
        self._job = None


def _middle(region: Region) -> Region:
    """Return the middle of a region that is larger than what is split at once."""
    rows, columns = (
        slice(part.start + spare // 2, part.stop - (spare - spare // 2))
        for part in region
        for spare in (max(0, part.stop - part.start - _MOST_EDGE),)
    )
    return rows, columns
