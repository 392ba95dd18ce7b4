"""``StrokeOutlines``: a thin line around what was touched, in the colour of its class.

A stroke of the class that the model had right changes nothing of a mask, and one of the
background nothing at all, as a mask has it transparent. The lines show both.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QObject

from napari_unet.viewer.conversion import mask_indices
from napari_unet.viewer.screen_layer import ScreenLayer
from napari_unet.viewer.throttled_refresh import ThrottledRefresh
from unet_engine.annotations.block import EDGE
from unet_engine.class_colours import colour_of
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.state.working_image import WorkingImage
    from napari_unet.viewer.screen_layer import ScreenPart
    from unet_engine.places import Index, Region

    Values = npt.NDArray[np.uint8]
    Line = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Values]
    """Rows, columns and values of the pixels of a line."""

_BACKGROUND = 1
"""Value of class 0: class ids are one more than in the mask, as 0 shows nothing."""
_DARK = 255
"""Value of the dark parts of the dashes around background."""
_DASH = 4
"""Pixels of the screen: short enough for the smallest brush, and still seen."""
_TOOLS = ("paint", "erase", "fill", "polygon")
"""Modes of a Labels layer in which it is painted on."""
_MOST_KEPT = 4_000_000
"""Pixels of lines that are kept, at 17 bytes each."""


class StrokeOutlines(QObject):
    """A layer with the outlines of the strokes on a mask.

    It is made when there are strokes, or when a tool to paint with is chosen: a layer
    takes a moment to appear, which must not be the one after a stroke.

    Parameters
    ----------
    viewer
        Gets the layer.
    mask
        Shows the mask: the lines lie on its pixels, and are hidden with it.
    working_image
        What was painted on it.
    parent
        Ends it.
    painting
        Returns whether a stroke is being drawn, under which nothing changes.

    Attributes
    ----------
    name
        Of the layer.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        mask: Labels,
        working_image: WorkingImage,
        parent: QObject,
        *,
        name: str,
        painting: Callable[[], bool],
    ) -> None:
        super().__init__(parent)
        self._viewer, self._mask = viewer, mask
        self._working_image = working_image
        self._painting = painting
        self.name = name
        self._screen: ScreenLayer | None = None
        self._ended = False
        self._lines: dict[tuple[Index, int, int], Line] = {}
        self._kept = 0
        self._making = ThrottledRefresh(lambda _: self._make(), self, painting)
        mask.events.mode.connect(self._on_mode)
        self.forget()

    @property
    def layer(self) -> Labels | None:
        """The layer, if there is one."""
        return None if self._screen is None else self._screen.layer

    def note(self, places: Iterable[tuple[Index, Region]]) -> None:
        """Show soon what is touched now in places of the mask."""
        for index, region in places:
            # A line depends on the pixels around it.
            near = (range((p.start - 1) // EDGE, p.stop // EDGE + 1) for p in region)
            for row, column in product(*near):
                if (line := self._lines.pop((index, row, column), None)) is not None:
                    self._kept -= line[0].size
        self._request()

    def forget(self) -> None:
        """Show soon what is touched now, wherever that is."""
        self._lines.clear()
        self._kept = 0
        self._request()

    def show_classes(self) -> None:
        """Follow classes that were added or have another name or order."""
        if self._screen is not None:
            self._screen.layer.colormap = _colormap(self._working_image.names)
            self._screen.layer.features = _features(self._working_image.names)
        self.forget()

    def on_removed(self, layer: object) -> None:
        """Follow the removal of a layer: the user wants no lines on this mask."""
        if self._screen is not None and layer is self._screen.layer:
            self.remove()

    def remove(self) -> None:
        """Take the layer away, for good."""
        if not self._ended:
            self._ended = True
            self._mask.events.mode.disconnect(self._on_mode)
        self.take_away()

    def take_away(self) -> None:
        """Take the layer away; `forget` brings it back."""
        self._making.stop()
        screen, self._screen = self._screen, None
        if screen is not None:
            self._mask.events.visible.disconnect(screen.request)
            screen.remove()

    def _request(self) -> None:
        if self._ended:
            return
        if self._screen is not None:
            self._screen.request()
        else:
            self._making.request()

    def _on_mode(self, _: Any) -> None:
        if self._screen is None:
            self._request()

    def _make(self) -> None:
        if self._ended or self._screen is not None:
            return
        needed = self._mask.mode in _TOOLS or self._working_image.annotations.count()
        if not needed or self._mask not in self._viewer.layers:
            return
        active = self._viewer.layers.selection.active
        if isinstance(active, Labels) and active is not self._mask:
            # napari makes a new layer the active one for a moment, which would put a
            # tool for objects away.
            return
        names = self._working_image.names
        self._screen = ScreenLayer(
            self._viewer,
            self._mask,
            partial(
                Labels,
                name=self.name,
                opacity=1.0,
                colormap=_colormap(names),
                features=_features(names),
            ),
            self._compose,
            dtype=np.uint8,
            parent=self,
            painting=self._painting,
            wanted=lambda: self._mask.visible,
        )
        self._mask.events.visible.connect(self._screen.request)

    def _compose(self, part: ScreenPart) -> Values:
        index = tuple(mask_indices(part.leading, self._working_image.layout))
        shown = np.zeros(part.shape, np.uint8)
        for block in self._working_image.annotations.regions(index):
            if not _meet(block, part.region):
                continue
            y, x, values = self._line(index, block)
            y = (y - part.region[0].start) // part.step
            x = (x - part.region[1].start) // part.step
            inside = (y >= 0) & (y < shown.shape[0]) & (x >= 0) & (x < shown.shape[1])
            y, x, values = y[inside], x[inside], values[inside]
            dark = (values == _BACKGROUND) & ((y + x) // _DASH % 2 == 1)
            shown[y, x] = np.where(dark, _DARK, values)
        return shown

    def _line(self, index: Index, block: Region) -> Line:
        """Return the line in a block, which is found once until it is touched."""
        key = (index, block[0].start // EDGE, block[1].start // EDGE)
        if key not in self._lines:
            if self._kept > _MOST_KEPT:
                self._lines.clear()
                self._kept = 0
            self._lines[key] = self._find_line(index, block)
            self._kept += self._lines[key][0].size
        return self._lines[key]

    def _find_line(self, index: Index, block: Region) -> Line:
        shape = self._working_image.mask.shape[-2:]
        rows, columns = (
            slice(max(0, part.start - 1), min(size, part.stop + 1))
            for part, size in zip(block, shape, strict=True)
        )
        target = self._working_image.annotations.target(index, (rows, columns))
        line = _inner_edges(target) & (target != IGNORE)
        y, x = np.nonzero(line)
        values = target[y, x] + np.uint8(1)
        y, x = y + rows.start, x + columns.start
        # What is beside the block was read for the edges alone.
        own = (y >= block[0].start) & (y < block[0].stop)
        own &= (x >= block[1].start) & (x < block[1].stop)
        return y[own], x[own], values[own]


def _inner_edges(values: Values) -> npt.NDArray[np.bool_]:
    """Return which pixels of a plane have another value beside them, or its end."""
    padded = np.pad(values, 1, constant_values=IGNORE)
    middle = padded[1:-1, 1:-1]
    found = (middle != padded[:-2, 1:-1]) | (middle != padded[2:, 1:-1])
    found |= (middle != padded[1:-1, :-2]) | (middle != padded[1:-1, 2:])
    return found


def _meet(one: Region, other: Region) -> bool:
    """Whether two regions of a plane have pixels in common."""
    return all(
        a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True)
    )


def _colormap(names: Sequence[str]) -> DirectLabelColormap:
    colours: dict[int | None, str] = {_DARK: "black"}
    colours |= {at + 1: colour_of(at) for at in range(len(names))}
    return DirectLabelColormap(
        color_dict={None: "transparent", 0: "transparent", **colours}
    )


def _features(names: Sequence[str]) -> dict[str, list[Any]]:
    """Return what napari shows of a value under the mouse."""
    values = [*range(1, len(names) + 1), _DARK]
    return {"index": values, "painted": [*names, *names[:1]]}
