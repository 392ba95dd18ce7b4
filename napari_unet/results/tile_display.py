"""Tiles that arrive in a mask, on screen: soon, together, and only where it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet.viewer.throttled_refresh import ThrottledRefresh
from napari_unet.viewer.viewport import is_visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari.components import ViewerModel
    from napari.layers import Labels
    from qtpy.QtCore import QObject

    from napari_unet.state.working_image import WorkingImage
    from unet_engine.places import Index, Region, View


class TileDisplay:
    """Shows the tiles of a mask that are new.

    Parameters
    ----------
    viewer, layer
        The layer of the mask, and where it is.
    working_image
        Whose mask the layer shows.
    painting
        Returns whether a stroke is being drawn: nothing is drawn under it.
    parent
        Ends it.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        layer: Labels,
        working_image: WorkingImage,
        painting: Callable[[], bool],
        parent: QObject,
    ) -> None:
        self._viewer = viewer
        self._layer = layer
        self._working_image = working_image
        self._refreshing = ThrottledRefresh(self._refresh, parent, painting)
        self._waiting: list[Region] = []
        self._seen: View | None = None

    def stop(self) -> None:
        """Draw nothing any more."""
        self._refreshing.stop()

    def show(self, tiles: Iterable[tuple[Index, Region]], view: View) -> None:
        """Show new tiles soon, if they are on screen: the canvas takes a while to draw.

        Those beside the screen wait until the camera moves there. Those of other planes
        need nothing: napari reads a plane when it is turned to.

        Parameters
        ----------
        tiles
            Planes and regions.
        view
            What is on screen.
        """
        self._waiting += [region for index, region in tiles if index == view[0]]
        self.follow_view(view)

    def follow_view(self, view: View) -> None:
        """Show the tiles that wait for the camera to come."""
        if self._seen is not None and self._seen[0] != view[0]:
            self._waiting.clear()
        self._seen = view
        if any(is_visible(view, region) for region in self._waiting):
            self._refreshing.request()

    def show_all(self) -> None:
        """Show what has arrived, in the thumbnail too."""
        self._refreshing.request(finished=True)

    def draw(self) -> None:
        """Show all of the mask that is on screen at once."""
        self._waiting.clear()
        if self._layer in self._viewer.layers:
            self._layer.refresh(extent=False, thumbnail=False)

    def _refresh(self, finished: bool) -> None:
        if self._layer not in self._viewer.layers:
            return
        if finished or self._seen is None or not self._takes_regions:
            self._waiting.clear()
            self._layer.refresh(extent=False, thumbnail=finished)
            return
        shown = [region for region in self._waiting if is_visible(self._seen, region)]
        self._waiting = [region for region in self._waiting if region not in shown]
        plane = self._working_image.mask[self._seen[0]]
        for region in shown:
            # What napari's brush emits: the texture gets these pixels and no others.
            self._layer.events.labels_update(
                data=np.ascontiguousarray(plane[region]),
                offset=[part.start for part in region],
            )

    @property
    def _takes_regions(self) -> bool:
        """Whether the pixels of the mask are those of the texture on screen."""
        ndim = self._viewer.dims.ndim
        return (
            tuple(self._viewer.dims.displayed) == (ndim - 2, ndim - 1)
            and self._layer.contour == 0
            and not self._layer.multiscale
            and self._working_image.mask.dtype == np.uint8
        )
