"""The switch "Live": after each stroke what is on screen is predicted anew.

A run per stroke, in a thread that ends when all on screen is fresh: while nothing
happens there is none.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.live import ViewPredicted, live_run
from napari_unet.jobs.live_session import Learned, LiveSession
from napari_unet.jobs.orders import LiveOrder
from napari_unet.state.live_state import Learning, LiveEvent, LiveState, WaitingTile
from napari_unet.state.mask_versions import MaskSource
from napari_unet.viewer.brush import WAIT_MS
from napari_unet.viewer.viewport import ViewportTracker, shown_view

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel

    from napari_unet.results.mask import MaskView
    from napari_unet.results.masks import Masks
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.state.workspace import Workspace
    from unet_engine.annotations.annotations import Annotations
    from unet_engine.places import Index, Region, View
    from unet_engine.prediction.events import TileDone

_NAME = "live"
_MOVING_MS = 100
"""Milliseconds between two runs while the camera moves."""
_TWO = "Live: paint a stroke of another class too."
_NO_STROKE = "Live: paint a stroke of two classes at least."
_NO_MASK = "Live: start with an empty mask, or predict first."
_PREPARING = "Live: preparing…"


class Live(QObject):
    """Learns from each stroke and predicts the view, while it is switched on.

    Parameters
    ----------
    viewer
        Whose camera and sliders are followed.
    workspace
        What is worked on; a run of another kind has precedence.
    masks
        The layers that are painted on, and that show what is predicted.

    Attributes
    ----------
    message
        The line below the switch; empty when there is nothing to show.
    session
        What was learned, or None; for `NextPlace`, while nothing runs.
    viewports
        What follows the camera; closed when the dock is destroyed.
    """

    message = Signal(str)

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, masks: Masks, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._workspace = workspace
        self._masks = masks
        self.on = False
        self.session: LiveSession | None = None
        self._job: Job | None = None
        self._view: MaskView | None = None
        self.viewports: list[ViewportTracker] = []
        self._state = LiveState()
        self._source = _source_of(())
        self._near: tuple[float, float] | None = None
        self._since = self._seconds = 0.0
        self._learned = Learned()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._start)
        workspace.layer_changed.connect(self._follow)
        workspace.mask_changed.connect(self._follow)
        workspace.classes_changed.connect(self._on_model_changed)
        workspace.activity_changed.connect(self._on_activity_changed)
        workspace.related.changed.connect(self._on_related_changed)

    @property
    def running(self) -> bool:
        """Whether something is being learned or predicted."""
        return self._job is not None

    def switch(self, on: bool) -> None:
        """Start or end; what was predicted stays, as any prediction does."""
        self.on = on
        if on and (view := self._masks.current) is not None:
            self._workspace.work_begun.emit(view.source, "live", True)
        self._follow()
        if not on:
            self._soon.stop()
            if self._job is not None:
                self._job.stop()
            else:
                self.session = None
            self.message.emit("")

    def _follow(self) -> None:
        """Follow the mask and the view of the image that is chosen now."""
        view = self._masks.current if self.on else None
        if view is not None and view is self._view:
            if self.viewports and self.viewports[0].layer is not view.source:
                self._track_viewport(view)
            return
        close_all(self.viewports)
        if self._view is not None:
            self._stop_following(self._view)
        self._view = view
        if view is None:
            if self.on:
                self.message.emit(_NO_MASK)
            return
        view.touched.connect(self._on_touched)
        self._track_viewport(view)
        self._near = None
        image = view.working_image
        # A prediction is not replaced before there is a stroke.
        kept = image.predicted and not image.counts
        self._note_event(
            LiveEvent.PREDICTED_IMAGE_CHOSEN if kept else LiveEvent.IMAGE_CHOSEN
        )
        self._request_run()

    def _track_viewport(self, view: MaskView) -> None:
        """Follow what is on screen of the image that a mask is on now."""
        close_all(self.viewports)
        self.viewports.append(
            ViewportTracker(
                self._viewer, view.source, view.working_image.layout, self._on_move
            )
        )
        self._request_run()

    def _stop_following(self, view: MaskView) -> None:
        self._note_event(LiveEvent.IMAGE_LEFT)
        if self._job is not None:
            self._job.discard()
        # It may be gone, and its signals with it.
        with suppress(RuntimeError, TypeError):
            view.touched.disconnect(self._on_touched)

    def _on_touched(self, places: list[tuple[Index, Region]]) -> None:
        self._since = time.perf_counter()
        self._note_event(LiveEvent.PAINTED)
        if self._view is not None:
            self._view.exchange.begin(self._source)
        if places:
            y, x = ((part.start + part.stop) / 2 for part in places[-1][1])
            self._near = (y, x)
        if self._job is not None:
            self._job.stop()
        self._request_run()

    def _on_move(self, _: View) -> None:
        self._note_event(LiveEvent.CAMERA_MOVED)
        if not self._soon.isActive():
            self._soon.start(_MOVING_MS)

    def _on_model_changed(self) -> None:
        if self.on:
            self._note_event(LiveEvent.MODEL_CHOSEN)

    def _on_related_changed(self) -> None:
        """Learn from images that are not open, or no longer from those."""
        if self.on:
            self._note_event(LiveEvent.MODEL_CHOSEN)
            if self._job is None:
                self._request_run()

    def _on_activity_changed(self) -> None:
        if self._workspace.activity == "predict":
            self._note_event(LiveEvent.PREDICTION_STARTED)
        if self._workspace.activity and self._job is not None:
            self._job.stop()
        elif not self._workspace.activity and self._job is None:
            self._request_run()

    def _note_event(self, event: LiveEvent) -> None:
        self._state = self._state.after(event)

    def _request_run(self) -> None:
        if self.on:
            self._soon.start(0)

    def _start(self) -> None:
        """Run, unless something runs: that one's end comes back here."""
        view = self._view
        if view is None or not self.on or self._workspace.activity:
            return
        if self._job is not None:
            # It computes the features of the view, and takes a while the first time.
            self._show_preparation()
            return
        if self._viewer.dims.ndisplay != 2:
            return
        order = self.make_order(view)
        if not order.learn:
            self.message.emit(_TWO if _classes_of(order.painted) else _NO_STROKE)
            self.take_session().learner = None
        if not self._state.may_run(learnable=order.learn):
            return
        due = self._state.learning is Learning.DUE
        self._launch(replace(order, learn=order.learn and due))

    def _show_preparation(self) -> None:
        """Show that strokes of two classes are there, though not learned from yet."""
        session = self.session
        painted = self._workspace.touched_working_images(others=True)
        classes = {label for working_image in painted for label in working_image.counts}
        if (session is None or session.learner is None) and len(classes) > 1:
            self.message.emit(_PREPARING)

    def make_order(self, view: MaskView) -> LiveOrder:
        """Return what a run needs; ``learn`` if there are strokes of two classes."""
        painted = self._painted(view.working_image)
        viewport = self.viewports[0] if self.viewports else None
        there = shown_view(self._viewer, view.source, view.working_image.layout)
        return LiveOrder(
            working_image=view.working_image,
            painted=painted,
            related=tuple(
                (one, one.strokes_in(view.working_image.names))
                for one in self._workspace.related.images
                if set(one.saved.painted) <= set(view.working_image.names)
            ),
            model=self._workspace.model,
            classes=view.working_image.names,
            learn=len(_classes_of(painted)) > 1,
            current_view=lambda: there if viewport is None else viewport.view,
            near=self._near,
            fresh=self._state.fresh,
        )

    def take_session(self) -> LiveSession:
        """Return the session, made if there is none."""
        if self.session is None:
            self.session = LiveSession(self._workspace)
        return self.session

    def _launch(self, order: LiveOrder) -> None:
        if order.learn and (self.session is None or self.session.learner is None):
            self.message.emit(_PREPARING)
        self._note_event(LiveEvent.RUN_STARTED)
        self._workspace.priority.take(_NAME)
        self._source = _source_of(order.painted)
        self._near = None
        self._job = run(
            partial(live_run, order, self.take_session()),
            parent=self,
            on_events=partial(self._on_events, order, self._state.generation),
            on_result=partial(self._on_result, order),
            on_error=self._on_error,
            on_finished=self._on_finished,
        )

    def _painted(
        self, working_image: WorkingImage
    ) -> tuple[tuple[WorkingImage, Annotations], ...]:
        return tuple(
            (each, each.strokes_in(working_image.names))
            for each in self._workspace.touched_working_images(others=True)
            if each.image.channels == working_image.image.channels
        )

    def _on_events(
        self,
        order: LiveOrder,
        generation: int,
        events: list[Learned | TileDone | ViewPredicted],
    ) -> None:
        learned = [event for event in events if isinstance(event, Learned)]
        self._learned = learned[-1] if learned else self._learned
        if self._since and any(isinstance(event, ViewPredicted) for event in events):
            self._seconds = time.perf_counter() - self._since
            self._since = 0.0
        if self._workspace.activity == "predict":
            return
        self._state = self._state.with_waiting(
            WaitingTile(
                generation=generation,
                working_image=order.working_image,
                classes=order.classes,
                tile=event,
            )
            for event in events
            if not isinstance(event, Learned | ViewPredicted)
        )
        self._show()

    def _show(self) -> None:
        """Write tiles into the mask, but not under a brush that is being drawn."""
        view = self._view
        if view is None or not self._state.waiting:
            return
        if self._workspace.painting():
            QTimer.singleShot(WAIT_MS, self._show)
            return
        image = view.working_image
        tiles = [t for t in self._state.waiting if t.working_image is image]
        self._state = self._state.with_written(tiles)
        written: list[tuple[Index, Region]] = []
        for waiting in tiles:
            written += image.write_tile(waiting.tile, waiting.classes, self._source)
        view.tiles.show(written, self.viewports[0].view)

    def _on_result(self, order: LiveOrder, complete: bool) -> None:
        if order.learn and not complete:
            self._note_event(LiveEvent.LEARNING_STOPPED)
        if order.learn and complete:
            self.message.emit(_describe(order, self._learned, self._seconds))
            self._seconds = 0.0

    def _on_error(self, error: Exception) -> None:
        self.message.emit(f"Live: {describe_error(error)}")

    def _on_finished(self) -> None:
        self._job = None
        self._workspace.priority.give_back(_NAME)
        if not self.on:
            self.session = None
        elif self._state.runs_again:
            self._request_run()


def _classes_of(painted: Iterable[tuple[WorkingImage, Annotations]]) -> set[int]:
    return {label for _, strokes in painted for label in strokes.classes()}


def _source_of(painted: Iterable[tuple[WorkingImage, Annotations]]) -> MaskSource:
    return MaskSource(name="Live", is_model=False, detail=_amount(painted))


def _amount(painted: Iterable[tuple[WorkingImage, Annotations]]) -> str:
    """Return how much was painted: strokes are counted where they are saved."""
    painted = tuple(painted)
    strokes = sum(each.annotations.strokes for each, _ in painted)
    if strokes:
        return f"{strokes:,} stroke" if strokes == 1 else f"{strokes:,} strokes"
    return f"{sum(annotations.count() for _, annotations in painted):,} px"


def _describe(order: LiveOrder, learned: Learned, seconds: float) -> str:
    amount = _amount(order.painted)
    if learned.closed:
        images = "image that is" if learned.closed == 1 else "images that are"
        amount += f", and {learned.closed} {images} not open"
    line = f"Live: {amount}, {seconds:.1f} s" if seconds else f"Live: {amount}"
    return f"{line}; {learned.note}" if learned.note else line


def close_all(viewports: list[ViewportTracker]) -> None:
    """Follow the camera no longer."""
    while viewports:
        viewports.pop().close()
