"""``ListFollower``: the list follows the work, and is made with the first stroke."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.listing import check_run, find_run, fingerprint_run
from unet_engine.image_list.checking import settle
from unet_engine.image_list.image_list import relative_path
from unet_engine.models.checkpoint import ModelInfo

if TYPE_CHECKING:
    from napari_unet.state.workspace import Workspace
    from unet_engine.image_list.checking import Checked
    from unet_engine.image_list.image_list import ImageList

_OBJECT_SIZE = "object_size"
"""Setting of a list: the size of objects that was chosen."""

PREDICT = "predict_when_opened"
"""Setting of a list: whether images are predicted when they are opened."""


class ListFollower(QObject):
    """Finds the list of an image, makes one with the first stroke, notes what is done.

    Parameters
    ----------
    workspace
        What is worked on.

    Attributes
    ----------
    message
        Where a list was found or made, and why one could not be.
    size_wanted
        The size of objects of a list that was opened is to be chosen.
    """

    message = Signal(str)
    size_wanted = Signal(object)

    def __init__(self, workspace: Workspace, parent: QObject) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._listed = workspace.listed
        self._job: Job | None = None
        self._jobs: set[Job] = set()
        self._images: ImageList | None = None
        self._looked_for: set[Path] = set()
        self._taking = False
        workspace.layer_changed.connect(self._on_layer_changed)
        workspace.touched_changed.connect(self._note_strokes)
        workspace.classes_changed.connect(self._keep_settings)
        workspace.models_changed.connect(self._keep_settings)
        workspace.activity_changed.connect(self._keep_settings)
        self._listed.list_changed.connect(self._on_list_changed)

    @property
    def busy(self) -> bool:
        """Whether it looks for a list, or checks one."""
        return bool(self._jobs)

    def _run(self, target: Any, on_result: Any) -> Job:
        job = run(
            target,
            parent=self,
            on_result=on_result,
            on_error=lambda error: self.message.emit(describe_error(error)),
            on_finished=lambda: self._jobs.discard(job),
        )
        self._jobs.add(job)
        return job

    def _image(self) -> Path | None:
        """Return the file of the chosen image; None without one."""
        layer = self._workspace.layer
        path = None if layer is None else layer.source.path
        return Path(path).absolute() if path and "://" not in str(path) else None

    def _on_layer_changed(self) -> None:
        if self._listed.switching:
            return
        image = self._image()
        images = self._listed.images
        if images is not None:
            entry = None if image is None else images.entry_of(image)
            self._listed.show("" if entry is None else entry.path)
            self._note_strokes()
        elif image is not None and image not in self._looked_for:
            self._looked_for.add(image)
            self._find(image, make=False)

    def _find(self, image: Path, *, make: bool) -> None:
        if self._job is None or not self._job.running:
            self._job = self._run(
                partial(find_run, image, make), partial(self._on_found, image, make)
            )

    def _on_found(
        self, image: Path, made: bool, found: tuple[ImageList | None, int]
    ) -> None:
        images, others = found
        if images is None:
            # A first stroke may have come meanwhile.
            self._job = None
            self._note_strokes()
            return
        if self._listed.images is not None:
            images.close()
            return
        self._listed.take(images)
        new = made and len(images) == 1
        text = f"This list is kept in {images.path}." if new else ""
        if others:
            text = f"{image.name} is in {others} more list{'s' * (others > 1)}; this "
            text += f"one, {images.path}, was written last."
        self.message.emit(text)

    def _on_list_changed(self) -> None:
        images, before = self._listed.images, self._images
        self._images = images
        if images is None:
            return
        if images is not before:
            self._take_settings(images)
        image = self._image()
        entry = None if image is None else images.entry_of(image)
        self._listed.show("" if entry is None else entry.path)
        self._note_strokes()
        if images is before:
            return
        self._run(partial(check_run, images), partial(self._on_checked, images))

    def _on_checked(self, images: ImageList, checked: Checked) -> None:
        if images is self._listed.images:
            settle(images, checked)
            self._listed.save_soon()
            self._listed.set_problems(checked.problems)

    def _take_settings(self, images: ImageList) -> None:
        """Choose the model and the settings of a list, unless the user chose others."""
        workspace = self._workspace
        self._taking = True
        try:
            names = {model.name for model in workspace.models}
            if images.model in names and not workspace.model_chosen:
                workspace.refresh_models(choose=images.model)
            if (size := images.settings.get(_OBJECT_SIZE)) is not None:
                self.size_wanted.emit(size)
        finally:
            self._taking = False

    def _keep_settings(self) -> None:
        """Note the model and the settings that were chosen."""
        images, workspace = self._listed.images, self._workspace
        if images is None or self._taking:
            return
        model = workspace.model
        if isinstance(model, ModelInfo) and workspace.model_chosen:
            images.choose_model(model.name)
        if workspace.object_size != images.settings.get(_OBJECT_SIZE, "auto"):
            images.remember({_OBJECT_SIZE: workspace.object_size})
        self._listed.save_soon()

    def _note_strokes(self) -> None:
        """Note that something was painted; make a list for it where there is none."""
        image, working_image = self._image(), self._workspace.working_image
        if image is None or working_image is None or self._listed.switching:
            return
        counts = working_image.counts
        images = self._listed.images
        if images is None:
            if counts and (self._job is None or not self._job.running):
                self._find(image, make=True)
            return
        entry = images.entry_of(image)
        if entry is None:
            if not counts or images.read_only or not _belongs(image, images):
                return
            entry = self._listed.add(images.entries_for([image])).new[0]
        self._listed.show(entry.path)
        classes = tuple(working_image.name_of(label) for label in sorted(counts))
        state = entry.state
        if state != "accepted":
            state = "strokes" if counts else "untouched"
        if (state, classes) == (entry.state, entry.classes):
            return
        model = self._workspace.model
        name = model.name if isinstance(model, ModelInfo) and counts else entry.model
        self._listed.update(entry.path, state=state, classes=classes, model=name)
        self.fingerprint(entry.path)

    def fingerprint(self, path: str) -> None:
        """Note what an image is that is worked on, if that is not known yet."""
        images = self._listed.images
        entry = None if images is None else images.get(path)
        if images is None or entry is None or entry.digest or images.read_only:
            return
        self._run(
            partial(fingerprint_run, images.place_of(entry)),
            lambda found: self._listed.update(path, **found),
        )


def _belongs(image: Path, images: ImageList) -> bool:
    """Whether an image that is not in a list is of the same work: of a folder in it."""
    folder = relative_path(image.resolve().parent, images.folder)
    # Of 10,000 images, without a path object for each.
    inside = "" if folder == "." else f"{folder}/"
    return any(
        entry.path.startswith(inside) and "/" not in entry.path[len(inside) :]
        for entry in images.entries
    )
