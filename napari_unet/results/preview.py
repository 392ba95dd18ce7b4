"""The layer of a preview: shown below the mask until the mask itself is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject

from napari_unet.viewer.conversion import (
    class_colormap,
    layer_view,
    part_of,
    placement,
)
from napari_unet.viewer.placement import follow_placement
from napari_unet.viewer.throttled_refresh import ThrottledRefresh
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari.components import ViewerModel

    from napari_unet.jobs.orders import PreviewOrder
    from napari_unet.jobs.preview import PreviewTile
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.viewer.conversion import Layout
    from unet_engine.places import Index, Region

_OPACITY = 0.35
"""From 0 to 1: paler than a mask, which has 0.55."""


class PreviewLayer(QObject):
    """A Labels layer with a part of a smaller level, cleared where the mask is there.

    The mask has pixels of full resolution in a memory of its own. A preview beside it
    costs no memory of the mask's, cannot be taken for the prediction or be trained on,
    and leaves nothing to undo.

    Parameters
    ----------
    viewer
        Gets the layer.
    source
        The image layer.
    working_image
        What is touched of it is not covered.
    order
        Which part of which level.
    parent
        Ends it.
    painting
        Returns whether a stroke is being drawn; nothing is shown below it.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        source: Any,
        working_image: WorkingImage,
        order: PreviewOrder,
        parent: QObject,
        *,
        painting: Callable[[], bool],
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._working_image = working_image
        self._order = order
        height, width = (part.stop - part.start for part in order.region)
        leading = (1,) * len(order.index)
        self._labels = np.zeros((*leading, height, width), np.uint8)
        self._plane = self._labels[(0,) * len(leading)]
        self.layer = Labels(
            layer_view(self._labels, working_image.layout),
            name=f"{source.name} preview",
            opacity=_OPACITY,
            **self._placement(source),
        )
        self.layer.editable = False
        follow_placement(source, self.layer, self._placement)
        self._refreshing = ThrottledRefresh(self._refresh, self, painting)
        active = viewer.layers.selection.active
        viewer.layers.insert(viewer.layers.index(source) + 1, self.layer)
        viewer.layers.selection.active = active

    def set_classes(self, count: int) -> None:
        """Give each class the colour that it has in the mask."""
        self.layer.colormap = class_colormap(count)

    def write(self, tile: PreviewTile) -> None:
        """Show a part, but for pixels that the user touched."""
        self._plane[tile.inner] = tile.labels
        self._uncover_touched(tile.inner)
        self._refreshing.request()

    def uncover(self, places: Iterable[tuple[Index, Region]]) -> None:
        """Uncover regions of the mask that are better than the preview."""
        for index, region in places:
            if index == self._order.index:
                self._plane[self._inside(region)] = 0
                self._refreshing.request()

    def remove(self) -> None:
        """Take the layer away."""
        self._refreshing.stop()
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.deleteLater()

    def _uncover_touched(self, inner: Region) -> None:
        annotations, index = self._working_image.annotations, self._order.index
        if index not in annotations.planes():
            return
        rows, columns = (
            np.minimum((np.arange(p.start, p.stop) + s.start + 0.5) * f, n - 1)
            for p, s, f, n in zip(
                inner,
                self._order.region,
                self._order.factor,
                annotations.shape[-2:],
                strict=True,
            )
        )
        y, x = np.meshgrid(rows.astype(int), columns.astype(int), indexing="ij")
        touched = annotations.get((*index, y, x)) != IGNORE
        self._plane[inner][touched] = 0

    def _inside(self, region: Region) -> Region:
        """Return which pixels of the preview have their middle in a region."""
        rows, columns = (
            slice(
                max(0, round(part.start / step - seen.start)),
                max(0, round(part.stop / step - seen.start)),
            )
            for part, step, seen in zip(
                region, self._order.factor, self._order.region, strict=True
            )
        )
        return rows, columns

    def _placement(self, source: Any) -> dict[str, Any]:
        order = self._order
        layout = self._working_image.layout
        return placed_part(source, layout, order.index, order.region, order.factor)

    def _refresh(self, _: bool) -> None:
        if self.layer in self._viewer.layers:
            self.layer.refresh(extent=False, thumbnail=False)


def placed_part(
    source: Any,
    layout: Layout,
    index: Index,
    region: Region,
    factor: tuple[float, float] = (1.0, 1.0),
) -> dict[str, Any]:
    """Place a part of a plane over the pixels of the image that it stands for.

    Parameters
    ----------
    source, layout
        The image layer.
    index
        The plane.
    region
        Rows and columns, in pixels of the part.
    factor
        Pixels of the image that a pixel of the part is wide, ``(y, x)``.

    Returns
    -------
    dict
        As of ``placement``.
    """
    placed = placement(source, layout)
    ndim = len(placed["scale"])
    start, step = np.zeros(ndim), np.ones(ndim)
    start[[i for i in range(ndim - 2) if i != layout.stretched_axis]] = index
    step[-2:] = factor
    # The middle of its first pixel is the middle of those that it stands for.
    first = np.array([part.start for part in region]) + 0.5
    start[-2:] = first * step[-2:] - 0.5
    return part_of(placed, start, step)
