"""``ImageOpener``: one image of a list at a time is open, read in a thread."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari.layers import Image as ImageLayer
from qtpy.QtCore import QObject, Signal

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.listing import OpenedImage, open_run, read_run
from napari_unet.results.objects import objects_of
from napari_unet.viewer.reading import ReadFile, add_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace
    from unet_engine.image_list.entry import Entry

_BUSY = "Something is running. Wait until it ends, or cancel it; then go on."
_PAINTING = "A stroke is being drawn. Finish it; then go on."


class ImageOpener(QObject):
    """Opens an image of the list and closes the one that was opened before.

    Images that the user opened himself stay open. What was painted is saved with each
    stroke, so that closing an image loses nothing; a mask is predicted again.

    Parameters
    ----------
    viewer
        Gets the layers.
    workspace, masks
        What is worked on.

    Attributes
    ----------
    viewer
        The viewer.
    message
        What is going on, and why an image is not opened.
    opened
        An image is shown now.
    """

    message = Signal(str)
    opened = Signal(object)

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, masks: Masks, parent: QObject
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self._workspace = workspace
        self._masks = masks
        self._job: Job | None = None
        self._ours: WeakSet[Any] = WeakSet()

    @property
    def running(self) -> bool:
        """Whether an image is being read."""
        return self._job is not None

    def open(self, entry: Entry, then: Callable[[], None] | None = None) -> None:
        """Show an image of the list, read if it is not open.

        Parameters
        ----------
        entry
            The image.
        then
            Called when it is shown.
        """
        images = self._workspace.listed.images
        if images is None or (refusal := self._refusal()):
            self.message.emit("" if images is None else refusal)
            return
        if self._job is not None:
            self._job.discard()
        layer = self.layer_of(images.place_of(entry))
        if layer is not None:
            self._show(entry, layer, then)
            return
        self.message.emit(f"Opening {entry.name}…")
        self._job = job = run(
            partial(open_run, images, entry),
            parent=self,
            on_result=partial(self._on_read, then),
            on_error=self._on_error,
            on_finished=lambda: self._on_finished(job),
        )

    def open_file(self, place: Path, then: Callable[[Any], None] | None = None) -> None:
        """Show an image that need not be in the list, read if it is not open.

        Parameters
        ----------
        place
            Its path.
        then
            Called with its layer when it is shown.
        """
        if refusal := self._refusal():
            self.message.emit(refusal)
            return
        if self._job is not None:
            self._job.discard()
        layer = self.layer_of(place)
        if layer is not None:
            self._choose(layer)
            if then is not None:
                then(layer)
            return
        self.message.emit(f"Opening {place.name}…")
        self._job = job = run(
            partial(read_run, place),
            parent=self,
            on_result=partial(self._on_file, then),
            on_error=self._on_error,
            on_finished=lambda: self._on_finished(job),
        )

    def _on_file(self, then: Callable[[Any], None] | None, read: ReadFile) -> None:
        added = add_file(self.viewer, read)
        if not added:
            self.message.emit(f"{read.path.name} holds no image.")
            return
        self._ours.update(added)
        self._choose(added[0])
        if then is not None:
            then(added[0])

    def layer_of(self, place: Path) -> Any:
        """Return the first image layer of a file that is open, or None."""
        return next(
            (
                layer
                for layer in self.viewer.layers
                if isinstance(layer, ImageLayer)
                and layer.source.path
                and _same(layer.source.path, place)
            ),
            None,
        )

    def _refusal(self) -> str:
        if self._workspace.activity:
            return _BUSY
        return _PAINTING if self._masks.being_painted is not None else ""

    def _on_read(self, then: Callable[[], None] | None, read: OpenedImage) -> None:
        if refusal := self._refusal():
            self.message.emit(refusal)
            return
        listed = self._workspace.listed
        added = add_file(self.viewer, read.file)
        if not added:
            self.message.emit(f"{read.entry.name} holds no image to predict.")
            return
        self._ours.update(added)
        if read.problem is not None and read.entry.state != "untouched":
            known = [p for p in listed.problems if p.entry.path != read.entry.path]
            listed.set_problems([read.problem, *known])
        self._show(read.entry, added[0], then)

    def _show(self, entry: Entry, layer: Any, then: Callable[[], None] | None) -> None:
        """Choose an image, close those that the list opened before, fit the view."""
        self._choose(layer)
        self._workspace.listed.show(entry.path)
        self.opened.emit(layer)
        if then is not None:
            then()

    def _choose(self, layer: Any) -> None:
        self.message.emit("")
        listed = self._workspace.listed
        listed.switching = True
        try:
            self.viewer.layers.selection.active = layer
            self._close_others(layer)
            self.viewer.layers.selection.active = layer
            self.viewer.reset_view()
        finally:
            listed.switching = False

    def _close_others(self, kept: Any) -> None:
        path = kept.source.path
        # After the new image was added: a viewer without any layer is drawn anew.
        for layer in list(self.viewer.layers):
            if layer in self._ours and layer.source.path != path:
                self._close(layer)

    def _close(self, layer: Any) -> None:
        """Remove an image layer and what belongs to it."""
        view = self._masks.views.get(layer)
        objects = objects_of(self.viewer, layer)
        parts = [
            layer,
            *(reversed(view.layers) if view is not None else []),
            *([objects.layer] if objects is not None else []),
        ]
        for part in parts:
            if part in self.viewer.layers:
                self.viewer.layers.remove(part)

    def _on_error(self, error: Exception) -> None:
        self.message.emit(describe_error(error))

    def _on_finished(self, job: Job) -> None:
        if self._job is job:
            self._job = None


def _same(path: str, place: Path) -> bool:
    one = Path(path).absolute()
    return one == place or (one.name == place.name and one.resolve() == place)
