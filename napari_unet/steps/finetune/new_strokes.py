"""Strokes that are made during a training go to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_unet.widgets.forms import TextLine
from unet_engine.training.data.labelled_images import PaintedImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.jobs.training import TrainingOrder
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.state.workspace import Workspace
    from unet_engine.training.events import DataChanged

_REST_MS = 500
"""Milliseconds after a stroke: a training takes up several strokes at once as well, and
each time it evaluates anew."""


class NewStrokes(QObject):
    """Posts the strokes of all images to a training when they have changed.

    Parameters
    ----------
    workspace
        Has the strokes.
    parent
        Ends it.

    Attributes
    ----------
    text
        What the training has taken up.
    """

    def __init__(self, workspace: Workspace, parent: QObject) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._order: TrainingOrder | None = None
        self._images: list[WorkingImage] = []
        self._others = True
        self.text = TextLine()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._post)
        workspace.touched_changed.connect(self._on_changed)
        workspace.layer_lost.connect(self._on_changed)
        workspace.related.changed.connect(self._on_changed)

    def follow(self, order: TrainingOrder | None, *, others: bool = True) -> None:
        """Post to a training from now on, or to none.

        Parameters
        ----------
        order
            Its order; its images are those with strokes now.
        others
            It learns from more images than the chosen one.
        """
        self._timer.stop()
        self.text.setText("")
        self._order, self._others = order, others
        workspace = self._workspace
        self._images = (
            [] if order is None else [*workspace.touched_working_images(others=others)]
        )

    @property
    def images(self) -> list[WorkingImage]:
        """The images that the training learns from now; those that are gone are not."""
        workspace, order = self._workspace, self._order
        if order is not None and workspace.model == order.model:
            # Images that were painted on meanwhile, if its classes are known there.
            touched = workspace.touched_working_images(others=self._others)
            self._images += [one for one in touched if one not in self._images]
        return [one for one in self._images if workspace.layers_of(one) and one.counts]

    def confirm(self, event: DataChanged) -> None:
        """Show that the training has taken them up."""
        images = "image" if event.images == 1 else "images"
        self.text.setText(
            f"Learns from {event.pixels:,} px on {event.images} {images} since step "
            f"{event.step}."
        )

    def _on_changed(self, *_: object) -> None:
        if self._order is not None:
            self._timer.start(_REST_MS)

    def _post(self) -> None:
        if self._order is None:
            return
        if self._workspace.painting():
            self._timer.start(_REST_MS)
            return
        classes = self._order.classes
        touched = [painted_image(one, classes) for one in self.images]
        related = related_painted(self._workspace, classes) if self._others else []
        self._order.touched.post([*touched, *related])


def related_painted(
    workspace: Workspace, classes: Sequence[str] = ()
) -> list[PaintedImage]:
    """Return what is painted on images that are not open.

    Parameters
    ----------
    workspace
        Has what was found.
    classes
        Of the model that learns from it; by default those of the chosen one.
    """
    classes = classes or workspace.classes
    return [
        one.painted(classes)
        for one in workspace.related.images
        if set(one.saved.painted) <= set(classes)
    ]


def painted_image(one: WorkingImage, classes: Sequence[str]) -> PaintedImage:
    """Return a copy of what is painted on an image.

    Parameters
    ----------
    one
        The image.
    classes
        Of the model that learns from it. Classes that it lacks come after them.
    """
    more = tuple(name for name in one.names if name not in classes)
    return PaintedImage(
        image=one.image,
        strokes=one.strokes_in((*classes, *more)),
        normalise=one.normalisation,
        features=one.features,
        corrected_objects=one.corrected_objects.copy(),
        object_size=one.object_sizes.used,
    )
