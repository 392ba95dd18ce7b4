"""The objects of what is on screen, shown while their settings are moved."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from napari_unet.results.preview import placed_part
from napari_unet.viewer.conversion import layer_view
from napari_unet.viewer.placement import follow_placement

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.results.mask import MaskView
    from napari_unet.results.objects import ObjectsView
    from unet_engine.places import Index, Region


class ObjectsPreview:
    """A Labels layer with the objects of a part of a plane, above all others.

    The layer of objects that were separated before is hidden meanwhile.

    Parameters
    ----------
    viewer
        Gets the layer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layer: Labels | None = None
        self._hidden: ObjectsView | None = None

    @property
    def shown(self) -> bool:
        """Whether there is one on screen."""
        return self._layer is not None and self._layer in self._viewer.layers

    def show(
        self,
        mask: MaskView,
        objects: ObjectsView | None,
        ids: npt.NDArray[Any],
        index: Index,
        region: Region,
    ) -> None:
        """Show the ``(h, w)`` ids of a part of a mask, in place of earlier ones."""
        self.remove()
        layout = mask.working_image.layout
        place = partial(placed_part, layout=layout, index=index, region=region)
        data = layer_view(ids[(None,) * len(index)], layout)
        name = f"{mask.source.name} objects preview"
        layer = Labels(data, name=name, opacity=0.7, **place(mask.source))
        layer.editable = False
        follow_placement(mask.source, layer, place)
        active = self._viewer.layers.selection.active
        self._viewer.layers.append(layer)
        self._viewer.layers.selection.active = active
        self._layer = layer
        if objects is not None and objects.layer.visible:
            objects.layer.visible = False
            self._hidden = objects

    def remove(self) -> None:
        """Take the layer away, and show what it stood for."""
        if self.shown:
            self._viewer.layers.remove(self._layer)
        self._layer = None
        if self._hidden is not None:
            self._hidden.layer.visible = True
            self._hidden = None
