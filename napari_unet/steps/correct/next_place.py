"""The button "Next": the camera goes to where a correction helps most."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.uncertainty_search import search_run
from napari_unet.viewer.conversion import leading_of
from napari_unet.viewer.place_frame import PlaceFrame

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.results.mask import MaskView
    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.correct.live import Live
    from unet_engine.interactive.where_to_look import Suggestion

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
        self._frame = PlaceFrame(viewer, "Next", self)
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
        self._frame.remove()
        searching = self._job is not None and not self._job.stopping
        self._on_prediction_changed()
        if searching:
            self.message.emit(_STOPPED)

    def _go(self, view: MaskView, region: Suggestion) -> None:
        self._shown.append(region)
        leading = leading_of(region.index, view.working_image.layout)
        self._frame.show(view.layer, leading, (region.rows, region.columns))
        where = f" in slice {region.index[-1]}" if region.index else ""
        self.message.emit(
            f"Next: is the mask right here{where}? Paint where it is not."
        )
