"""The switch "Uncertainty": what is uncertain of what is on screen, as a layer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.uncertainty_map import uncertainty_run
from napari_unet.results.uncertainty_layer import UncertaintyLayer
from napari_unet.viewer.viewport import ViewportTracker
from napari_unet.widgets.forms import TextLine, column
from unet_engine.errors import Cancelled

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.jobs.orders import LiveOrder
    from napari_unet.jobs.uncertainty_map import UncertainPart
    from napari_unet.results.mask import MaskView
    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.correct.live import Live

_TOOLTIP = (
    "Show how uncertain the prediction on screen is, in a layer that is gone when this "
    "is switched off: bright where two classes are nearly as probable (1 minus the "
    "margin). Of what Live learned if there are strokes of two classes, else of the "
    "chosen model."
)
_PAUSE_MS = 300
"""Milliseconds without another move of the camera or stroke before it computes."""
_NO_MASK = "Uncertainty: predict first, or paint on an empty mask."
_NO_MODEL = (
    "Uncertainty: paint a stroke of two classes, or choose a trained model that has "
    "classes."
)


class UncertaintyRow(QWidget):
    """A switch, and a line.

    Parameters
    ----------
    viewer, workspace, masks
        What is worked on.
    live
        Has what was learned from the strokes.

    Attributes
    ----------
    layer
        What is shown, or None.
    viewports
        What follows the camera.
    """

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, masks: Masks, live: Live
    ) -> None:
        super().__init__()
        self._viewer, self._workspace, self._masks = viewer, workspace, masks
        self._live = live
        self.layer: UncertaintyLayer | None = None
        self.viewports: list[ViewportTracker] = []
        self._view: MaskView | None = None
        self._job: Job | None = None
        self._known: Any = None
        self.switch = CheckBox(text="Uncertainty")
        self.switch.native.setToolTip(_TOOLTIP)
        self.switch.changed.connect(self._on_switched)
        self.text = TextLine()
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.switch.native)
        layout.addWidget(self.text)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._start)
        for signal in (workspace.layer_changed, workspace.mask_changed):
            signal.connect(self._follow)
        for signal in (
            workspace.touched_changed,
            workspace.classes_changed,
            workspace.activity_changed,
        ):
            signal.connect(self._request)

    @property
    def running(self) -> bool:
        """Whether something is being computed."""
        return self._job is not None

    def end(self) -> None:
        """Switch it off."""
        self.switch.value = False

    def on_removed(self, layer: Any) -> None:
        """Follow the removal of a layer."""
        if self.layer is not None and layer is self.layer.layer:
            self.end()

    def _on_switched(self, on: bool) -> None:
        if on:
            self._follow()
        else:
            self._leave()
            self.text.setText("")

    def _follow(self) -> None:
        """Follow the mask of the image that is chosen now."""
        if not self.switch.value:
            return
        view = self._masks.current
        if view is not self._view or view is None:
            self._leave()
        if view is None:
            self.text.setText(_NO_MASK)
            return
        if self._view is None:
            self._view = view
            self.viewports.append(
                ViewportTracker(
                    self._viewer,
                    view.source,
                    view.working_image.layout,
                    lambda _: self._request(),
                )
            )
        self._request()

    def _leave(self) -> None:
        self._soon.stop()
        if self._job is not None:
            self._job.discard()
        while self.viewports:
            self.viewports.pop().close()
        layer, self.layer = self.layer, None
        if layer is not None:
            layer.remove()
        self._view = self._known = None

    def _request(self) -> None:
        if self.switch.value and self._view is not None:
            self._soon.start(_PAUSE_MS)

    def _start(self) -> None:
        view = self._view
        if view is None or self._workspace.activity or self._workspace.painting():
            if self._job is not None:
                self._job.stop()
            return
        if self._job is not None:
            # Its end comes back here; what it has computed stays.
            self._job.stop()
            return
        order = self._live.make_order(view)
        model = self._workspace.model
        if not order.learn and (
            model is None or not model.trained or not model.spec.classes
        ):
            self._drop_layer()
            self.text.setText(_NO_MODEL)
            return
        self._compute(view, order)

    def _compute(self, view: MaskView, order: LiveOrder) -> None:
        if self.layer is None:
            self.layer = UncertaintyLayer(
                self._viewer, view, self, painting=self._workspace.painting
            )
        known = _source(order)
        if known != self._known:
            self.layer.forget()
            self._known = known
        tiles = self.layer.missing()
        self.text.setText(f"Bright: {_name(order)} is uncertain there.")
        if not tiles:
            return
        self.text.setText(f"Uncertainty of {_name(order)}: computing…")
        self._job = run(
            partial(
                uncertainty_run,
                order,
                self._live.take_session(),
                self._workspace,
                tiles,
            ),
            parent=self,
            on_events=partial(self._on_events, self.layer),
            on_result=lambda _: self._request(),
            on_error=self._on_error,
            on_finished=self._on_finished,
        )

    def _drop_layer(self) -> None:
        layer, self.layer = self.layer, None
        self._known = None
        if layer is not None:
            layer.remove()

    def _on_events(self, layer: UncertaintyLayer, parts: list[UncertainPart]) -> None:
        if layer is self.layer:
            layer.write(parts)

    def _on_error(self, error: Exception) -> None:
        if not isinstance(error, Cancelled):
            self.text.setText(f"Uncertainty: {describe_error(error)}")

    def _on_finished(self) -> None:
        job, self._job = self._job, None
        if job is not None and job.stopping:
            self._request()


def _source(order: LiveOrder) -> tuple[Any, ...]:
    """Return what a prediction depends on."""
    if not order.learn:
        return (False, order.model)
    painted = [
        (each, strokes.count(), each.annotations.strokes)
        for each, strokes in order.painted
    ]
    return (True, *painted)


def _name(order: LiveOrder) -> str:
    if order.learn:
        return "Live"
    return "the model" if order.model is None else order.model.name
