"""``ComparisonLayer``: two masks in one layer, in turn or beside each other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QObject, Signal

from napari_unet.viewer.screen_layer import ScreenLayer
from unet_engine.labels import IGNORE
from unet_engine.metrics.comparison import (
    ONLY_FIRST,
    ONLY_SECOND,
    OTHER,
    difference_map,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.results.compared_masks import ComparedMask, ValueKind
    from napari_unet.viewer.screen_layer import ScreenPart

    Ids = npt.NDArray[np.integer[Any]]
    Values = npt.NDArray[np.uint8]

CompareMode = Literal["first", "second", "swipe", "differences"]
"""What the layer shows of the two masks."""

DIFFERENCE_COLOURS = {ONLY_FIRST: "#e69f00", ONLY_SECOND: "#56b4e9", OTHER: "#cc79a7"}
"""Of Okabe and Ito 2008, which colour-blind people can distinguish too."""
_COLOURS = 98
"""Ids that have a colour of their own: napari repeats those of labels after 49."""
_SECOND = _COLOURS
"""Added to the values of the second mask, which may have other colours."""
_DIFFERENCE = 2 * _COLOURS
"""Added to the values of a map of differences."""
_LINE = 255
"""Value of the line between both masks."""
_OPACITY = 0.7
"""From 0 to 1: a little more than a mask has, as differences are small."""


class ComparisonLayer(QObject):
    """Shows two masks in a layer of its own, and hides theirs meanwhile.

    Parameters
    ----------
    viewer
        Gets the layer.
    first, second
        The masks.
    kinds
        What their values are.
    parent
        Ends it.
    painting
        Returns whether a stroke is being drawn.

    Attributes
    ----------
    ended
        One of the masks was shown or replaced by other means: it is over.
    mode
        What is shown.
    masks, kinds
        Both, and what their values are.
    share
        Where the line is, from 0, the left edge of the screen, to 1, the right one.
    """

    ended = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        first: ComparedMask,
        second: ComparedMask,
        kinds: tuple[ValueKind, ValueKind],
        parent: QObject,
        *,
        painting: Callable[[], bool],
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.masks = (first, second)
        self.kinds = kinds
        self.mode: CompareMode = "first"
        self.share = 0.5
        self._read: tuple[Any, Values, Values] | None = None
        self._hidden: list[tuple[Labels, str]] = []
        self._hide_masks()
        self._screen = ScreenLayer(
            viewer,
            first.layer,
            partial(
                Labels,
                name="comparison",
                opacity=_OPACITY,
                colormap=_colormap(first, second),
                features=_names(first, second),
            ),
            self._compose,
            dtype=np.uint8,
            parent=self,
            painting=painting,
            follow_camera=lambda: self.mode == "swipe",
        )
        self._screen.on_removal.append(partial(_show_again, viewer, self._hidden))
        self._watch()

    @property
    def layer(self) -> Labels:
        """The layer."""
        return self._screen.layer

    def show(self, mode: CompareMode, share: float | None = None) -> None:
        """Show the masks in another way, at once."""
        self.mode = mode
        self.share = self.share if share is None else share
        self._screen.show()

    def refresh(self, *_: Any) -> None:
        """Follow masks that have changed, soon."""
        self._read = None
        self._screen.request()

    def remove(self) -> None:
        """Take the layer away, and show the masks that were shown before."""
        self._screen.remove()
        self.deleteLater()

    def _hide_masks(self) -> None:
        for layer in dict.fromkeys(mask.layer for mask in self.masks):
            if layer.visible:
                self._hidden.append((layer, str(layer.mode)))
                # Nobody paints on what is not seen.
                layer.mode = "pan_zoom"
                layer.visible = False

    def _watch(self) -> None:
        for mask in self.masks:
            events = mask.layer.events
            for emitter in (events.data, events.paint, events.set_data):
                self._watch_one(emitter, self.refresh)
            self._watch_one(events.labels_update, self.refresh)
            self._watch_one(events.visible, self._on_visible)
            if mask.view is not None:
                self._watch_one(mask.view.working_image.versions.changed, self.refresh)

    def _watch_one(self, emitter: Any, callback: Callable[..., None]) -> None:
        emitter.connect(callback)
        self._screen.on_removal.append(partial(emitter.disconnect, callback))

    def _on_visible(self, event: Any) -> None:
        if event.source.visible:
            self._hidden[:] = [o for o in self._hidden if o[0] is not event.source]
            self.ended.emit()

    def _compose(self, part: ScreenPart) -> Values:
        first, second = self._read_part(part)
        if self.mode == "first":
            return first
        if self.mode == "swipe":
            return self._beside(part, first, second)
        if self.mode == "second":
            return second
        return self._differences(part)

    def _read_part(self, part: ScreenPart) -> tuple[Values, Values]:
        key = (part.leading, part.region, part.step)
        if self._read is None or self._read[0] != key:
            first, second = (
                _coloured(self._ids(which, part), kind, offset)
                for which, kind, offset in zip(
                    (0, 1), self.kinds, (0, _SECOND), strict=True
                )
            )
            self._read = (key, first, second)
        return self._read[1:]

    def _ids(self, which: int, part: ScreenPart) -> Ids:
        index = self.masks[0].squeeze(part.leading)
        return self.masks[which].read(index, part.region, part.step)

    def _beside(self, part: ScreenPart, first: Values, second: Values) -> Values:
        start, stop = part.seen
        column = start + self.share * (stop - start)
        at = round((column - part.region[1].start) / part.step)
        shown = second.copy()
        at = min(max(at, 0), shown.shape[1])
        shown[:, :at] = first[:, :at]
        # As wide as two pixels of the screen.
        wide = max(1, round((stop - start) / part.step / 500))
        shown[:, at : at + wide] = _LINE
        return shown

    def _differences(self, part: ScreenPart) -> Values:
        is_objects = [kind == "objects" for kind in self.kinds]
        found = difference_map(
            self._ids(0, part),
            self._ids(1, part),
            objects=(is_objects[0], is_objects[1]),
        )
        found[found > 0] += _DIFFERENCE
        return found


def _show_again(viewer: ViewerModel, hidden: list[tuple[Labels, str]]) -> None:
    """Show masks that were hidden, with the tool that they had."""
    while hidden:
        layer, mode = hidden.pop()
        if layer in viewer.layers:
            layer.visible = True
            layer.mode = mode


def _coloured(ids: Ids, kind: ValueKind, offset: int) -> Values:
    """Return the values of the layer for ids of a mask; 0 stays 0."""
    values = np.asarray((ids.astype(np.int64) - 1) % _COLOURS + 1 + offset, np.uint8)
    values[ids <= 0] = 0
    if kind == "classes":
        values[ids == IGNORE] = 0
    return values


def _colormap(first: ComparedMask, second: ComparedMask) -> DirectLabelColormap:
    colours: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    ids = np.arange(1, _COLOURS + 1)
    for mask, offset in ((first, 0), (second, _SECOND)):
        each = zip(ids.tolist(), mask.layer.colormap.map(ids), strict=True)
        colours |= {number + offset: colour for number, colour in each}
    for value, name in DIFFERENCE_COLOURS.items():
        colours[_DIFFERENCE + value] = name
    colours[_LINE] = "white"
    return DirectLabelColormap(color_dict=colours)


def _names(first: ComparedMask, second: ComparedMask) -> dict[str, list[Any]]:
    """Return what napari shows of a value under the mouse."""
    names: dict[int, str] = {}
    for mask, offset in ((first, 0), (second, _SECOND)):
        for value, name in enumerate(mask.names[: _COLOURS + 1]):
            if value:
                names[value + offset] = f"{mask.name}: {name}"
    for value, text in difference_texts(first, second).items():
        names[_DIFFERENCE + value] = text
    return {"index": list(names), "shows": list(names.values())}


def difference_texts(first: ComparedMask, second: ComparedMask) -> dict[int, str]:
    """Return what the colours of differences mean."""
    return {
        ONLY_FIRST: f"only in {first.name}",
        ONLY_SECOND: f"only in {second.name}",
        OTHER: "in both, of another class or object",
    }
