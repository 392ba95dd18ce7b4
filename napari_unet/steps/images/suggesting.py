"""``ImageSuggestion``: opens the image of the list in which corrections help most."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.list_search import (
    ListSearched,
    SearchOrder,
    SuggestedImage,
    list_search_run,
)
from napari_unet.viewer.viewport import go_to

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.correct.live import Live
    from napari_unet.steps.images.opening import ImageOpener
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.stopping import Stop

_NO_MODEL = "Suggest: choose a trained model, or paint two classes with Live on."
_NONE_LEFT = "Suggest: no image without strokes is left in the list."
_NOTHING = "Suggest: no image could be predicted with this model."


class ImageSuggestion(QObject):
    """Looks at the images without strokes, and opens the most uncertain one.

    Parameters
    ----------
    viewer
        Whose camera is moved.
    workspace, masks
        What is worked on.
    live
        Has what was learned from the strokes.
    opener
        Opens the image.

    Attributes
    ----------
    message
        How far it is, and what was found.
    changed
        A search began or ended.
    """

    message = Signal(str)
    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        workspace: Workspace,
        masks: Masks,
        live: Live,
        opener: ImageOpener,
    ) -> None:
        super().__init__(opener)
        self._viewer = viewer
        self._workspace = workspace
        self._masks = masks
        self._live = live
        self._opener = opener
        self._job: Job | None = None
        self._ahead: list[SuggestedImage] = []
        for signal in (workspace.classes_changed, workspace.touched_changed):
            signal.connect(self._ahead.clear)

    @property
    def running(self) -> bool:
        """Whether it is searching."""
        return self._job is not None

    def toggle(self) -> None:
        """Search and open, or stop the search."""
        if self._job is not None:
            self._job.stop()
            return
        if self._open_next():
            return
        order = self._order()
        if order is None:
            return
        self.message.emit("Suggest: looking at the images…")
        self._job = run(
            partial(list_search_run, order),
            parent=self,
            on_events=self._on_events,
            on_result=self._on_found,
            on_error=lambda error: self.message.emit(
                f"Suggest: {describe_error(error)}"
            ),
            on_finished=self._on_finished,
        )
        self.changed.emit()

    def _order(self) -> SearchOrder | None:
        workspace, images = self._workspace, self._workspace.listed.images
        if images is None or workspace.activity:
            return None
        load = self._loader()
        if load is None:
            self.message.emit(_NO_MODEL)
            return None
        wanted = tuple(
            (entry.path, images.place_of(entry))
            for entry in images.entries
            if entry.state == "untouched" and entry.path != workspace.listed.current
        )
        if not wanted:
            self.message.emit(_NONE_LEFT)
            return None
        return SearchOrder(
            images=wanted,
            load=load,
            device=workspace.device,
            object_size=workspace.object_size,
        )

    def _loader(self) -> Any:
        """Return what loads what Live has learned, else the chosen model."""
        workspace, view, session = (
            self._workspace,
            self._masks.current,
            self._live.session,
        )
        if view is not None and session is not None and session.learner is not None:
            order = self._live.make_order(view)

            def learned(_: Stop) -> Checkpoint:
                with session.lock:
                    return session.model(order)

            return learned
        model = workspace.model
        if model is None or not model.trained or not model.spec.classes:
            return None
        return partial(workspace.checkpoint, model)

    def _on_events(self, events: list[ListSearched]) -> None:
        last = events[-1]
        self.message.emit(f"Suggest: {last.done} of {last.total} images looked at…")

    def _on_found(self, found: list[SuggestedImage]) -> None:
        self._ahead[:] = found
        if not self._open_next():
            self.message.emit(_NOTHING)

    def _open_next(self) -> bool:
        """Open the next of the images found that is still without strokes."""
        images = self._workspace.listed.images
        while self._ahead and images is not None:
            suggested = self._ahead.pop(0)
            entry = images.get(suggested.path)
            if entry is not None and entry.state == "untouched":
                self._opener.open(entry, partial(self._on_opened, suggested))
                return True
        return False

    def _on_opened(self, suggested: SuggestedImage) -> None:
        layer, place = self._workspace.layer, suggested.place
        if layer is not None and place is not None:
            go_to(self._viewer, layer, (*place.index, place.rows, place.columns))
        self.message.emit(
            "Suggest: the model is least sure here. Paint where the mask is wrong."
        )

    def _on_finished(self) -> None:
        self._job = None
        self.changed.emit()
