"""Looks, in a thread, for strokes of the same task on images that are not open."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_unet.jobs.job import Job, run
from napari_unet.state.related_image import RelatedImage
from unet_engine.models.checkpoint import ModelInfo
from unet_engine.training.data.related_strokes import Task, related_strokes
from unet_engine.training.data.saved_strokes import SavedStrokes

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from napari.components import ViewerModel

    from napari_unet.state.workspace import Workspace
    from unet_engine.annotations.store import StrokeStore
    from unet_engine.stopping import Stop

log = logging.getLogger(__name__)

_REST_MS = 300
"""Milliseconds after the last change: layers come and go in groups."""


def search_run(
    task: Task, store: StrokeStore, without: Collection[Path], stop: Stop
) -> Generator[None, None, tuple[list[SavedStrokes], list[str]]]:
    """Return the strokes that were found, and why others are left out."""
    found, left_out = [], []
    for one in related_strokes(task, store, without=without, stop=stop):
        if isinstance(one, SavedStrokes):
            found.append(one)
        else:
            left_out.append(one.reason)
        yield
    return found, left_out


class RelatedImages(QObject):
    """Keeps `Workspace.related` up to date with the image and the model chosen.

    Parameters
    ----------
    viewer
        Has the layers of the images that are open.
    workspace
        Gets what is found.
    """

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._workspace = workspace
        self._task: Any = None
        self._job: Job | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._search)
        for signal in (
            workspace.layer_changed,
            workspace.classes_changed,
            workspace.mask_changed,
            workspace.listed.list_changed,
        ):
            signal.connect(self._on_changed)

    @property
    def busy(self) -> bool:
        """Whether a search runs, or is about to."""
        return self._job is not None or bool(self._timer.isActive())

    def _on_changed(self) -> None:
        if self._workspace.saved.store.has_any() or self._workspace.related.images:
            self._timer.start(_REST_MS)

    def _search(self) -> None:
        if self._job is not None:
            self._timer.start(_REST_MS)
            return
        workspace = self._workspace
        image = workspace.working_image
        if image is None or workspace.model is None or not workspace.model.spec.classes:
            return
        without = workspace.open_stroke_folders()
        task = Task(
            classes=workspace.classes,
            channels=image.image.channels,
            images=self._open_files(),
            listed=workspace.listed.members(),
            model=workspace.model.name,
            models=tuple(m for m in workspace.models if isinstance(m, ModelInfo)),
        )
        if (task, without) == self._task:
            return
        self._task = task, without
        self._job = run(
            partial(search_run, task, workspace.saved.store, without),
            parent=self,
            on_result=self._on_found,
            on_error=self._on_error,
            on_finished=self._on_finished,
        )

    def _open_files(self) -> tuple[Path, ...]:
        paths = (layer.source.path for layer in self._viewer.layers)
        return tuple(Path(path) for path in paths if path)

    def _on_found(self, result: tuple[list[SavedStrokes], list[str]]) -> None:
        found, left_out = result
        # What was measured of an image that was found before stays known.
        known = {each.saved.folder: each for each in self._workspace.related.images}
        self._workspace.related.replace(
            tuple(known.get(one.folder) or RelatedImage(one) for one in found),
            tuple(left_out),
        )

    def _on_error(self, error: Exception) -> None:
        log.warning("strokes on other images cannot be read: %s", error)

    def _on_finished(self) -> None:
        self._job = None
