"""An object of a batch on screen: its image, the objects of the image, and the view."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal

from napari_unet.jobs.batch_table import object_run
from napari_unet.jobs.job import describe_error, run
from napari_unet.viewer.private import camera_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari.components import ViewerModel

    from napari_unet.steps.images.opening import ImageOpener
    from unet_engine.batch import BatchItem

_NAME = "objects of the batch"
"""Of the layer."""

_ZOOM_SHARE = 12
"""How many times an object of the usual size fits the canvas, at least."""


class ObjectOnScreen(QObject):
    """Goes to objects of a batch.

    Parameters
    ----------
    opener
        Opens images.
    parent
        The dialog.

    Attributes
    ----------
    message
        Why an object is not shown.
    shown
        An object is on screen, by its id.
    """

    message = Signal(str)
    shown = Signal(int)

    def __init__(self, opener: ImageOpener, parent: QObject) -> None:
        super().__init__(parent)
        self._opener = opener
        opener.message.connect(self.message)

    @property
    def _viewer(self) -> ViewerModel:
        return self._opener.viewer

    def go_to(self, item: BatchItem, table: Path, row: int) -> None:
        """Open the image of an object and centre the view on it.

        Parameters
        ----------
        item
            The image.
        table, row
            Where the object is listed.
        """
        self._opener.open_file(item.image, partial(self._read, item, table, row))

    def _read(self, item: BatchItem, table: Path, row: int, layer: Any) -> None:
        run(
            partial(object_run, table, row, item.result("objects")),
            parent=self,
            on_result=lambda found: self._show(layer, *found),
            on_error=lambda error: self.message.emit(describe_error(error)),
        )

    def _show(self, layer: Any, values: Mapping[str, str], ids: Any) -> None:
        if layer not in self._viewer.layers:
            return
        label = int(values["label"])
        for earlier in [each for each in self._viewer.layers if each.name == _NAME]:
            self._viewer.layers.remove(earlier)
        if ids is not None:
            count = min(ids.ndim, layer.ndim)
            objects = Labels(
                ids,
                name=_NAME,
                opacity=0.6,
                scale=layer.scale[-count:],
                translate=layer.translate[-count:],
            )
            objects.selected_label = label
            objects.contour = 1
            self._viewer.add_layer(objects)
            self._viewer.layers.selection.active = layer
        self._centre(layer, values)
        self.shown.emit(label)

    def _centre(self, layer: Any, values: Mapping[str, str]) -> None:
        """Put the object in the middle, in its slice."""
        place = _place_in(values)
        if len(place) > layer.ndim:
            return
        scale, translate = layer.scale[-len(place) :], layer.translate[-len(place) :]
        world = np.array(place) * scale + translate
        dims, camera = self._viewer.dims, camera_of(self._viewer)
        for axis, where in enumerate(world, dims.ndim - len(world)):
            if axis in dims.not_displayed:
                dims.set_point(axis, where)
        camera.center = (*camera.center[:-2], *world[-2:])
        extent = np.array(layer.extent.world[1] - layer.extent.world[0])[-2:].max()
        camera.zoom = max(camera.zoom, _zoom_for(values, scale, extent, camera.zoom))


def _zoom_for(
    values: Mapping[str, str], scale: Any, extent: float, fitting: float
) -> float:
    """Return a zoom at which an object fills a part of the canvas.

    Parameters
    ----------
    values
        Its row.
    scale
        Of the layer.
    extent
        Of the image.
    fitting
        The zoom at which the image fits the canvas.
    """
    edge = max(
        (float(values[f"{a} stop (px)"]) - float(values[f"{a} start (px)"])) * scale[-1]
        for a in "yx"
    )
    return fitting * max(1.0, extent / (_ZOOM_SHARE * max(edge, 1e-9)))


def _place_in(values: Mapping[str, str]) -> list[float]:
    """Return where an object is along the axes of its mask, in pixels."""
    place = []
    for letter in "tzyx":
        for name in (letter, f"centroid {letter} (px)"):
            if values.get(name):
                place.append(float(values[name]))
                break
    return place
