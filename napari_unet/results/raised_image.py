"""The image that is worked on is raised: shown, and above what covers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject

from napari_unet.results.objects import objects_of
from napari_unet.results.probabilities import probability_maps_of
from napari_unet.viewer.visibility import covers_of, why_invisible

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer

    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace

_DOING = {
    "predict": "Predicting",
    "train": "Fine-tuning on",
    "pretrain": "Pretraining on",
    "objects": "Finding the objects of",
    "live": "Live on",
}
"""What begins, by the name that it has in the workspace; followed by an image."""
_ON_MASK = ("predict", "objects", "live")
"""Of those the ones that are about the mask too."""


class ImageRaiser(QObject):
    """Raises the image on which work begins, and names it if it was not visible.

    Parameters
    ----------
    viewer
        Has the layers.
    workspace
        Emits when an image is chosen or work on it begins.
    masks
        Has the layers that belong to an image.
    """

    def __init__(self, viewer: ViewerModel, workspace: Workspace, masks: Masks) -> None:
        super().__init__(masks)
        self._viewer = viewer
        self._masks = masks
        workspace.image_picked.connect(self._on_picked)
        workspace.work_begun.connect(self._on_work_begun)

    def _on_picked(self, image: ImageLayer) -> None:
        """Raise the image that was chosen in the dock, and make it the active one."""
        if image not in self._viewer.layers:
            return
        self._raise(image)
        active = self._viewer.layers.selection.active
        if active is not image and active not in self._layers_of(image):
            view = self._masks.of(image)
            chosen = image if view is None else view.layer
            self._viewer.layers.selection.active = chosen

    def _on_work_begun(self, image: Any, activity: str, by_user: bool) -> None:
        """Raise an image, and name it if it was not visible.

        Parameters
        ----------
        image
            What is worked on, or None.
        activity
            What begins.
        by_user
            The user began it just now. Else the layers stay as the user left them.
        """
        if image is None or image not in self._viewer.layers:
            return
        invisible = why_invisible(self._viewer, image)
        view = self._masks.of(image)
        masked = view is not None and activity in _ON_MASK and not view.layer.visible
        if by_user:
            self._raise(image)
            if masked and view is not None:
                view.layer.visible = True
        if invisible:
            still = why_invisible(self._viewer, image)
            change = _describe_change(invisible, still)
            show_info(f"{_DOING[activity]} {image.name}, {change}.")
        elif masked and view is not None:
            was = "was hidden and is shown now" if by_user else "is hidden"
            show_info(f"{_DOING[activity]} {image.name}. {view.layer.name} {was}.")

    def _raise(self, image: ImageLayer) -> None:
        """Show an image, and move it above all that covers it."""
        layers = self._viewer.layers
        image.visible = True
        if image.opacity == 0:
            image.opacity = 1
        if not why_invisible(self._viewer, image).startswith("is covered"):
            return
        covers = covers_of(self._viewer, image)
        above = [*covers, *(own for cover in covers for own in self._layers_of(cover))]
        top = max(layers.index(layer) for layer in above)
        group = [image, *self._layers_of(image)]
        places = sorted(layers.index(layer) for layer in group)
        layers.move_multiple([place for place in places if place <= top], top + 1)

    def _layers_of(self, image: ImageLayer) -> list[Layer]:
        """Return the layers that the dock made of an image."""
        view, objects = self._masks.of(image), objects_of(self._viewer, image)
        found = [] if objects is None else [objects.layer]
        if view is not None:
            found += view.layers
            found += probability_maps_of(self._viewer, view.working_image)
        return [layer for layer in found if layer in self._viewer.layers]


def _describe_change(was: str, now: str) -> str:
    """Return how the visibility of an image changed, as part of a sentence."""
    if not now:
        shown = "is on top now" if was.startswith("is covered") else "is shown now"
        return f"which {was.replace('is', 'was', 1)} and {shown}"
    ways = {
        "lies outside the view": "; reset the view to see it",
        "has no slice where the sliders stand": "; move the sliders to see it",
    }
    return f"which {now}{ways.get(now, '')}"
