"""The result layers of models without classes: images without noise."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image as ImageLayer
from qtpy.QtCore import QObject

from napari_unet.state.large_arrays import zeros
from napari_unet.viewer.conversion import full_data, placement
from napari_unet.viewer.placement import follow_placement
from napari_unet.viewer.throttled_refresh import ThrottledRefresh

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.jobs.orders import DenoisingOrder
    from napari_unet.viewer.conversion import Layout
    from unet_engine.prediction.events import TileDenoised


class DenoisedLayers(QObject):
    """Make and fill a layer for each image that is denoised.

    Parameters
    ----------
    viewer
        Gets the layers, above the images.
    parent
        Ends it.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._views: WeakKeyDictionary[ImageLayer, _DenoisedView] = WeakKeyDictionary()

    def show(self, order: DenoisingOrder) -> None:
        """Make the layer of an image, or take the one that there is."""
        view = self._views.get(order.layer)
        if view is None or not view.fits(order):
            self._views[order.layer] = _DenoisedView(self._viewer, order, self)

    def write(self, order: DenoisingOrder, tiles: list[TileDenoised]) -> bool:
        """Write finished tiles; return whether the layer is still wanted."""
        view = self._views[order.layer]
        for tile in tiles:
            view.write(tile)
        view.refreshing.request()
        return view.fits(order)

    def finish(self, order: DenoisingOrder) -> None:
        """Show what was written."""
        self._views[order.layer].refreshing.request(finished=True)


class _DenoisedView(QObject):
    """A layer with an image of the engine, ``(C, *leading, Y, X)``, in its memory."""

    def __init__(
        self, viewer: ViewerModel, order: DenoisingOrder, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._key = _key(order)
        image, source = order.image, order.layer
        channels = order.model.spec.in_channels
        colour = image.rgb and channels == image.channels
        shape = (channels, *image.leading_shape, *image.plane_shape)
        # napari shows colours of floats from 0 to 1 only.
        dtype = np.dtype(full_data(source).dtype if colour else np.float32)
        self._array = zeros(shape, dtype, f"denoised {source.name}")
        self._fit = _fitting(dtype) if colour else _keep
        self.layer = ImageLayer(
            _layer_view(self._array, order.layout, colour=colour),
            name=f"{source.name} denoised",
            rgb=colour,
            **_appearance(source, colour=colour),
            **placement(source, order.layout, channels=True),
        )
        place = partial(placement, layout=order.layout, channels=True)
        follow_placement(source, self.layer, place)
        self.refreshing = ThrottledRefresh(self._refresh, self)
        active = viewer.layers.selection.active
        viewer.layers.insert(viewer.layers.index(source) + 1, self.layer)
        viewer.layers.selection.active = active

    def fits(self, order: DenoisingOrder) -> bool:
        """Whether the layer is there and can take what is ordered."""
        return self._is_there() and self._key == _key(order)

    def write(self, tile: TileDenoised) -> None:
        where: tuple[int | slice, ...] = (*tile.index, *tile.inner)
        self._array[:, *where] = self._fit(tile.image)

    def _refresh(self, finished: bool) -> None:
        if self._is_there():
            self.layer.refresh(extent=False, thumbnail=finished)

    def _is_there(self) -> bool:
        return self.layer in self._viewer.layers


def _key(order: DenoisingOrder) -> tuple[Any, ...]:
    data = full_data(order.layer)
    return (tuple(data.shape), order.layout.axes, order.model.spec.in_channels)


def _layer_view(
    array: npt.NDArray[Any], layout: Layout, *, colour: bool
) -> npt.NDArray[Any]:
    """Return the memory of ``(C, *leading, Y, X)`` with the axes of the layer."""
    if colour:
        return np.moveaxis(array, 0, -1)
    if layout.channel_axis is None:
        return array[0]
    return np.moveaxis(array, 0, layout.channel_axis)


def _appearance(source: ImageLayer, *, colour: bool) -> dict[str, Any]:
    if colour or source.rgb:
        return {}
    return {"contrast_limits": source.contrast_limits, "colormap": source.colormap}


def _keep(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return pixels


def _fitting(
    dtype: np.dtype[Any],
) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]:
    """Return what brings pixels into the range that colours of a type have."""
    if np.issubdtype(dtype, np.integer):
        most = np.iinfo(dtype).max
        return lambda pixels: np.clip(np.rint(pixels), 0, most).astype(dtype)
    return lambda pixels: np.clip(pixels, 0, 1).astype(dtype)
