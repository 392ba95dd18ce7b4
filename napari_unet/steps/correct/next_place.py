"""The button "Next": the camera goes to where a correction helps most."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.uncertainty_search import search_run
from napari_unet.viewer.conversion import placement
from napari_unet.viewer.private import camera_of, canvas_size

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.results.mask import MaskView
    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.correct.live import Live
    from unet_engine.interactive.where_to_look import Suggestion

_SHOWN_MS = 2000
"""Milliseconds for which the frame around a place is shown."""
_SMALL = 0.25
"""Part of the canvas below which a place is too small to judge."""
_SHARE = 0.5
"""Part of the canvas that it fills after the camera came nearer."""
_SEARCHING = "Next: searching where the prediction is least certain…"
_NOTHING = "Next: nothing stands out as uncertain."
_AGAIN = "Next: nothing else stands out. It begins anew with the next click."
_STOPPED = "Next: stopped, as another mask is shown now."
_NO_PREDICTION = "Next: paint a stroke of two classes, or predict with a trained model."


class NextPlace(QObject):
    """Find the most uncertain places, and go from one to the next.

    Parameters
    ----------
    viewer
        Whose camera and sliders are moved.
    workspace, masks
        What is worked on.
    live
        Has what was learned from the strokes.

    Attributes
    ----------
    message
        The line below the button.
    """

    message = Signal(str)

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, masks: Masks, live: Live
    ) -> None:
        super().__init__(live)
        self._viewer = viewer
        self._workspace = workspace
        self._masks = masks
        self._live = live
        self._job: Job | None = None
        self._ahead: list[Suggestion] = []
        self._shown: list[Suggestion] = []
        self._frame: Shapes | None = None
        self._fading = QTimer(self)
        self._fading.setSingleShot(True)
        self._fading.timeout.connect(self._unframe)
        for signal in (workspace.layer_changed, workspace.mask_changed):
            signal.connect(self._forget)
        workspace.touched_changed.connect(self._on_prediction_changed)
        workspace.classes_changed.connect(self._on_prediction_changed)
        workspace.activity_changed.connect(self._on_activity_changed)

    @property
    def running(self) -> bool:
        """Whether it is searching."""
        return self._job is not None

    def start(self) -> None:
        """Go to the next place, after a search if none is left."""
        view = self._masks.current
        if view is None or self._job is not None or self._workspace.activity:
            return
        if self._ahead:
            self._go(view, self._ahead.pop(0))
            return
        order = self._live.make_order(view)
        model = self._workspace.model
        if not order.learn and (
            model is None or not model.trained or not model.spec.classes
        ):
            self.message.emit(_NO_PREDICTION)
            return
        self.message.emit(_SEARCHING)
        self._job = run(
            partial(
                search_run,
                order,
                self._live.take_session(),
                self._workspace,
                tuple(self._shown),
            ),
            parent=self,
            on_result=partial(self._on_found, view),
            on_error=self._on_error,
            on_finished=self._on_finished,
        )

    def _on_found(self, view: MaskView, found: list[Suggestion]) -> None:
        if view is not self._masks.current:
            return
        if found:
            self._ahead = found[1:]
            self._go(view, found[0])
            return
        self.message.emit(_AGAIN if self._shown else _NOTHING)
        self._shown.clear()

    def _on_error(self, error: Exception) -> None:
        self.message.emit(f"Next: {describe_error(error)}")

    def _on_finished(self) -> None:
        self._job = None

    def _on_prediction_changed(self) -> None:
        """Drop what was found; the camera must not leave what is being painted."""
        self._ahead.clear()
        if self._job is not None and not self._job.stopping:
            self._job.discard()
            self.message.emit("")

    def _on_activity_changed(self) -> None:
        if self._workspace.activity == "predict":
            self._on_prediction_changed()

    def _forget(self) -> None:
        self._shown.clear()
        self._unframe()
        searching = self._job is not None and not self._job.stopping
        self._on_prediction_changed()
        if searching:
            self.message.emit(_STOPPED)

    def _go(self, view: MaskView, region: Suggestion) -> None:
        self._shown.append(region)
        corners = _corners(view, region)
        world = np.array([view.layer.data_to_world(corner) for corner in corners])
        middle = world.mean(axis=0)
        dims, camera = self._viewer.dims, camera_of(self._viewer)
        offset = dims.ndim - len(middle)
        for axis in dims.not_displayed:
            if axis >= offset:
                dims.set_point(axis, middle[axis - offset])
        shown = [axis - offset for axis in dims.displayed[-2:]]
        camera.center = (*camera.center[:-2], *middle[shown])
        extent = float(np.ptp(world[:, shown], axis=0).max())
        room = min(canvas_size(self._viewer))
        if extent * camera.zoom < _SMALL * room:
            camera.zoom = _SHARE * room / extent
        self._show_frame(view, corners, 2 / camera.zoom)
        where = f" in slice {region.index[-1]}" if region.index else ""
        self.message.emit(
            f"Next: is the mask right here{where}? Paint where it is not."
        )

    def _show_frame(
        self, view: MaskView, corners: np.ndarray[Any, Any], width: float
    ) -> None:
        self._unframe()
        layers = self._viewer.layers
        active = layers.selection.active
        placed = placement(view.source, view.working_image.layout)
        self._frame = Shapes(
            [corners],
            shape_type="polygon",
            name="Next",
            edge_color="white",
            face_color="transparent",
            edge_width=width / abs(float(placed["scale"][-1])),
            opacity=0.8,
            **placed,
        )
        layers.insert(layers.index(view.layer) + 1, self._frame)
        layers.selection.active = active
        self._fading.start(_SHOWN_MS)

    def _unframe(self) -> None:
        frame, self._frame = self._frame, None
        if frame is not None and frame in self._viewer.layers:
            self._viewer.layers.remove(frame)


def _corners(view: MaskView, region: Suggestion) -> np.ndarray[Any, Any]:
    """Return the corners of a region in pixels of the mask layer."""
    leading = list(region.index)
    axis = view.working_image.layout.stretched_axis
    if axis is not None:
        leading.insert(axis, 0)
    top, bottom = region.rows.start - 0.5, region.rows.stop - 0.5
    left, right = region.columns.start - 0.5, region.columns.stop - 0.5
    around = ((top, left), (top, right), (bottom, right), (bottom, left))
    return np.array([(*leading, *corner) for corner in around], dtype=float)
