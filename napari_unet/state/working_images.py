"""``WorkingImages``: the images that are worked on, by the layers that show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_unet.state.same_pixels import same_image_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.state.saved_strokes import SavedStrokes
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.viewer.conversion import Layout


class WorkingImages:
    """Which working image each image layer shows; several layers may show one.

    The strokes of a working image are closed with its last layer, so that other windows
    can open them.

    Parameters
    ----------
    saved
        Has the files of the layers, which show whether two are the same.
    """

    def __init__(self, saved: SavedStrokes) -> None:
        self._saved = saved
        self._of: WeakKeyDictionary[Any, WorkingImage] = WeakKeyDictionary()

    def of(self, layer: Any) -> WorkingImage | None:
        """Return the working image of a layer."""
        return self._of.get(layer)

    def all(self) -> list[WorkingImage]:
        """Return each once, however many layers show it."""
        return list(dict.fromkeys(self._of.values()))

    def layers_of(self, working_image: WorkingImage) -> list[Any]:
        """Return the layers that show a working image, the first one first."""
        return [layer for layer, each in self._of.items() if each is working_image]

    def same_as(self, layer: Any, layouts: Sequence[Layout]) -> WorkingImage | None:
        """Return the working image of another layer with the same pixels, or None."""
        return same_image_of(layer, layouts, self._of, self._saved)

    def adopt(self, layer: Any, working_image: WorkingImage) -> None:
        """Make a working image that of a layer, in place of an earlier one."""
        before = self._of.get(layer)
        self._of[layer] = working_image
        if before is not None and before is not working_image:
            self._close(before)

    def drop(self, layer: Any) -> None:
        """Forget what a layer shows."""
        if (before := self._of.pop(layer, None)) is not None:
            self._close(before)

    def close(self) -> None:
        """Close all strokes."""
        for working_image in self._of.values():
            working_image.annotations.close()
            working_image.corrected_objects.close()

    def _close(self, working_image: WorkingImage) -> None:
        if not self.layers_of(working_image):
            working_image.annotations.close()
            working_image.corrected_objects.close()

    @property
    def painted(self) -> bool:
        """Whether anything was painted since the images were opened."""
        return any(
            each.annotations.strokes > each.annotations.recovery.strokes
            for each in self._of.values()
        )
