"""``ScreenLayer``: a layer with what is composed for the screen, and no more.

Its size is that of the canvas, however large the layer is on whose pixels it lies: it
is composed anew where the camera goes, of every second or fourth pixel where more would
not show.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QObject

from napari_unet.viewer.conversion import part_of, place_of
from napari_unet.viewer.placement import follow_placement
from napari_unet.viewer.private import camera_of, canvas_size
from napari_unet.viewer.throttled_refresh import ThrottledRefresh
from napari_unet.viewer.visibility import (
    Frame,
    leading_index,
    plane_shape,
    shows_slice,
    to_pixels,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Layer

    from unet_engine.places import Index, Region

    Values = npt.NDArray[Any]

_MARGIN = 0.25
"""Part of the screen that is composed beyond each edge, for the camera to move on."""

_made: WeakKeyDictionary[Any, list[Callable[[], object]]] = WeakKeyDictionary()
"""What has to be done when a layer goes."""


def is_screen_layer(layer: Any) -> bool:
    """Whether a layer shows what is composed for the screen, and is no data."""
    return layer in _made


def remove_screen_layers(viewer: ViewerModel) -> None:
    """Remove all of them from a viewer, also those whose owners are gone."""
    for layer in [layer for layer in viewer.layers if is_screen_layer(layer)]:
        _remove(viewer, layer)


def _remove(viewer: ViewerModel, layer: Any) -> None:
    callbacks = _made.get(layer, [])
    while callbacks:
        with suppress(ValueError):
            callbacks.pop()()
    if layer in viewer.layers:
        viewer.layers.remove(layer)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenPart:
    """What is composed of a layer.

    Attributes
    ----------
    leading
        Position along all axes of the layer but the last two.
    region
        Rows and columns of the plane: what is on screen, and some around it.
    step
        Only every so many pixels show, along rows and columns.
    seen
        Columns that are on screen, first and last, as floats.
    """

    leading: Index
    region: Region
    step: int
    seen: tuple[float, float]

    @property
    def key(self) -> tuple[Any, ...]:
        """Index of the pixels that show, in the layer's array."""
        every = (slice(p.start, p.stop, self.step) for p in self.region)
        return (*self.leading, *every)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what is composed."""
        rows, columns = (-(-(p.stop - p.start) // self.step) for p in self.region)
        return rows, columns

    def covers(self, other: ScreenPart) -> bool:
        """Whether all that another one has on screen is composed already."""
        same = (self.leading, self.step) == (other.leading, other.step)
        return same and all(
            mine.start <= theirs.start and theirs.stop <= mine.stop
            for mine, theirs in zip(self.region, other.region, strict=True)
        )


class ScreenLayer(QObject):
    """A layer that is composed for the screen.

    Parameters
    ----------
    viewer
        Gets the layer, above `reference`.
    reference
        The layer on whose pixels it lies, and whose place it follows.
    make
        Returns the layer for ``(…, h, w)`` values, and where they are placed.
    compose
        Returns the values of a part, ``(h, w)``.
    dtype
        Of the values.
    parent
        Ends it.
    painting
        Returns whether a stroke is being drawn, under which nothing changes.
    follow_camera
        What is composed depends on where in it the screen is: any move of the camera
        composes it anew.
    wanted
        Returns whether it is to be seen now; else it is hidden.

    Attributes
    ----------
    layer
        The layer.
    on_removal
        Called when the layer goes, without the objects of Qt that may be gone before.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        reference: Layer,
        make: Callable[..., Layer],
        compose: Callable[[ScreenPart], Values],
        *,
        dtype: npt.DTypeLike,
        parent: QObject,
        painting: Callable[[], bool] = lambda: False,
        follow_camera: Callable[[], bool] = lambda: False,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(parent)
        self._viewer, self.reference = viewer, reference
        self._compose = compose
        self._follows_camera = follow_camera
        self._wanted = wanted
        self._is_hidden = False
        self._part = ScreenPart(
            leading=(0,) * (reference.ndim - 2),
            region=(slice(0, 1), slice(0, 1)),
            step=1,
            seen=(0.0, 1.0),
        )
        self._values: Values = np.zeros((1,) * reference.ndim, dtype)
        self.layer = make(self._values, **self._placement(reference))
        self.layer.editable = False
        unfollow = follow_placement(reference, self.layer, self._placement)
        self.on_removal: list[Callable[[], object]] = [unfollow]
        _made[self.layer] = self.on_removal
        self._refreshing = ThrottledRefresh(self._refresh, self, painting)
        camera, dims = camera_of(viewer).events, viewer.dims.events
        for event in (
            camera.center, camera.zoom,
            dims.current_step, dims.ndisplay, dims.order,
        ):  # fmt: skip
            event.connect(self._on_moved)
            self.on_removal.append(partial(event.disconnect, self._on_moved))
        active = viewer.layers.selection.active
        viewer.layers.insert(viewer.layers.index(reference) + 1, self.layer)
        viewer.layers.selection.active = active
        self.show()

    @property
    def part(self) -> ScreenPart:
        """What is composed now."""
        return self._part

    def request(self, *_: Any) -> None:
        """Compose it anew soon: what it shows has changed."""
        self._refreshing.request()

    def show(self) -> None:
        """Compose it anew at once."""
        if self.layer not in self._viewer.layers:
            return
        part = self.find_part()
        if part is None:
            # Hidden by the user it stays hidden.
            self._is_hidden |= self.layer.visible
            self.layer.visible = False
            return
        self._take(part)
        if self._is_hidden:
            self._is_hidden, self.layer.visible = False, True

    def remove(self) -> None:
        """Take the layer away, and follow nothing any more."""
        self._refreshing.stop()
        _remove(self._viewer, self.layer)
        self.deleteLater()

    def find_part(self, margin: float = _MARGIN) -> ScreenPart | None:
        """Return what is on screen of the reference; None where there is nothing."""
        viewer, layer = self._viewer, self.reference
        last = (viewer.dims.ndim - 2, viewer.dims.ndim - 1)
        if (
            not self._wanted()
            or tuple(viewer.dims.displayed) != last
            or layer not in viewer.layers
            or not shows_slice(viewer, layer)
        ):
            return None
        seen = to_pixels(viewer, layer, Frame.of(viewer).corners)
        low, high = seen.min(axis=0), seen.max(axis=0)
        # Pixels of the layer that one of the canvas shows.
        step = max(1, int((high - low).max() / max(canvas_size(viewer))))
        region = []
        for start, stop, size in zip(low, high, plane_shape(layer), strict=True):
            beyond = margin * (stop - start)
            first = min(max(0, int(start - beyond)), size)
            end = min(max(0, int(stop + beyond) + 2), size)
            # The same pixels show wherever the part begins.
            region.append(slice(first - first % step, end))
        if any(part.start >= part.stop for part in region):
            return None
        return ScreenPart(
            leading=leading_index(viewer, layer),
            region=(region[0], region[1]),
            step=step,
            seen=(float(low[1]), float(high[1])),
        )

    def _take(self, part: ScreenPart) -> None:
        self._part = part
        shape = (*(1,) * len(part.leading), *part.shape)
        composed = self._compose(part).reshape(shape)
        if composed.shape == self._values.shape:
            self._values[...] = composed
            self._put()
            self.layer.refresh(extent=False, thumbnail=False, highlight=False)
        else:
            self._values = np.array(composed, self._values.dtype)
            self._put()
            self.layer.data = self._values

    def _put(self) -> None:
        """Place what is composed, unless it is there already."""
        placed = self._placement(self.reference)
        for name in ("scale", "translate"):
            if not np.array_equal(getattr(self.layer, name), placed[name]):
                setattr(self.layer, name, placed[name])

    def _placement(self, reference: Layer) -> dict[str, Any]:
        part = self._part
        start = np.array([*part.leading, *(p.start for p in part.region)], float)
        step = np.ones(len(start))
        step[-2:] = part.step
        start[-2:] += (part.step - 1) / 2
        return part_of(place_of(reference), start, step)

    def _on_moved(self, _: Any = None) -> None:
        part = self.find_part(margin=0)
        known = part is not None and self._part.covers(part) and not self._is_hidden
        if not known or self._follows_camera():
            self.request()

    def _refresh(self, _: bool) -> None:
        self.show()
