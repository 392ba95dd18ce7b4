"""What the user does to a mask layer becomes annotations, and so does undoing it.

napari's ``paint`` event tells which pixels *changed*. Painting over what the model
already got right changes nothing, yet it is a statement of the user's. The brush and
the polygon of a watched layer therefore enter such pixels in napari's own history too,
as do "accept" and "clear". All of it is then one kind of history item, and napari's
undo and redo treat it alike.
"""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.draw import polygon2mask

from napari_unet._layers import mask_indices
from unet_engine.spec import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from napari.layers import Labels

    from napari_unet._workspace import Index, Pixels, Subject, Values


class _Statement(tuple[Any, Any, Any]):
    """An atom for napari's history that changes nothing and carries what was said.

    napari replays atoms as ``data[indices] = values``; here both are empty. The pixels
    said something of, flat positions in the mask, and what, are attributes.
    """

    pixels: Pixels
    values: Values

    @classmethod
    def of(cls, pixels: Pixels, values: Values, ndim: int) -> _Statement:
        nowhere = (np.zeros(0, np.intp),) * ndim
        self = cls((nowhere, np.zeros(0, np.uint8), np.zeros(0, np.uint8)))
        self.pixels, self.values = pixels, values
        return self


@dataclass(frozen=True, slots=True, eq=False)
class _Stroke:
    """One item of napari's history and what it said of which pixels.

    Attributes
    ----------
    item
        napari's list of atoms. Undo and redo reverse the list but keep the atoms.
    pixels
        Flat positions in the mask, each once.
    before, after
        What was and is said of them: class ids, or ``IGNORE`` for nothing.
    """

    item: Sequence[Any]
    pixels: Pixels
    before: Values
    after: Values

    def is_of(self, item: Sequence[Any]) -> bool:
        """Whether this is the stroke of a history item."""
        return any(self.item[0] is atom for atom in (item[0], item[-1]))


class StrokeRecorder:
    """Keep the annotations of a subject in step with its mask layer.

    Parameters
    ----------
    layer
        The Labels layer that shows ``subject.mask``.
    on_change
        Called after every stroke, undo and redo with the flat positions of the pixels
        that were touched or given back.
    """

    def __init__(
        self, layer: Labels, subject: Subject, on_change: Callable[[Pixels], None]
    ) -> None:
        self.layer = layer
        self.subject = subject
        self._on_change = on_change
        limit = getattr(layer, "_history_limit", 100)
        self._done: deque[_Stroke] = deque(maxlen=limit)
        self._undone: deque[_Stroke] = deque(maxlen=limit)
        layer.events.paint.connect(self._on_paint)
        # napari emits nothing on undo and redo. Its key bindings, its mouse tools and
        # scripts all come through these methods of the layer.
        self._plain = {
            name: getattr(layer, name)
            for name in ("paint", "paint_polygon", "undo", "redo")
        }
        layer.paint, layer.paint_polygon = self._paint, self._paint_polygon
        layer.undo, layer.redo = self._undo, self._redo

    def disconnect(self) -> None:
        """Leave the layer as it was found."""
        self.layer.events.paint.disconnect(self._on_paint)
        for name in self._plain:
            vars(self.layer).pop(name, None)

    def accept(self, index: Index, region: tuple[slice, slice]) -> int:
        """Say that a region of a plane is right as it is shown.

        Returns
        -------
        int
            Pixels of which nothing, or something else, was said before.
        """
        start = self.subject.first_pixel(index)
        width = self.subject.mask.shape[-1]
        rows, columns = (np.arange(part.start, part.stop) for part in region)
        pixels = (start + rows[:, None] * width + columns).ravel()
        values = self.subject.values_at(pixels)
        news = self.subject.said(pixels) != values
        return self._state(pixels[news], values[news])

    def clear(self, index: Index | None = None) -> int:
        """Give the touched pixels of a plane, or of all, back to the model's guess.

        Returns
        -------
        int
            Pixels that were touched.
        """
        pixels = self.subject.touched_pixels(index)
        cleared = self._state(pixels, np.full(pixels.shape, IGNORE, np.uint8))
        if cleared:
            self.layer.refresh(extent=False)
        return cleared

    def _state(self, pixels: Pixels, values: Values) -> int:
        """Enter what is said of pixels in napari's history, and so in ours."""
        if pixels.size:
            self.layer._save_history(_Statement.of(pixels, values, self.layer.ndim))
        return int(pixels.size)

    def _paint(
        self, coord: Sequence[float], new_label: int, *args: Any, **kw: Any
    ) -> None:
        same = self._same(*_brush_footprint(self.layer, coord), new_label)
        with self._one_item():
            self._plain["paint"](coord, new_label, *args, **kw)
            self._state(same, np.full(same.shape, new_label, np.uint8))

    def _paint_polygon(self, points: Any, new_label: int) -> None:
        same = self._same(*_polygon_footprint(self.layer, points), new_label)
        with self._one_item():
            self._plain["paint_polygon"](points, new_label)
            self._state(same, np.full(same.shape, new_label, np.uint8))

    def _one_item(self) -> Any:
        """Group what follows into one undo, unless a stroke of the mouse does so."""
        if getattr(self.layer, "_block_history", False):
            return nullcontext()
        return self.layer.block_history()

    def _same(
        self, start: Sequence[int], footprint: npt.NDArray[np.bool_], label: int
    ) -> Pixels:
        """Return pixels of a footprint that have the label without it being said."""
        where = tuple(
            slice(s, s + n) for s, n in zip(start, footprint.shape, strict=True)
        )
        have = footprint & (np.asarray(self.layer.data[where]) == label)
        inside = np.nonzero(have)
        pixels = self._flat(tuple(s + p for s, p in zip(start, inside, strict=True)))
        return pixels[self.subject.said(pixels) != label]

    def _flat(self, indices: Sequence[npt.NDArray[np.intp]]) -> Pixels:
        kept = mask_indices(indices, self.subject.layout)
        return np.ravel_multi_index(kept, self.subject.mask.shape)

    def _on_paint(self, event: Any) -> None:
        pixels, old, new = self._gather(event.value)
        stroke = _Stroke(event.value, pixels, self.subject.said(pixels), new)
        self.subject.keep_guesses(pixels, old)
        self.subject.say(pixels, new)
        self._done.append(stroke)
        self._undone.clear()
        self._on_change(pixels)

    def _gather(self, item: Sequence[Any]) -> tuple[Pixels, Values, Values]:
        """Return the pixels of a history item, each once: first old, last new value."""
        parts = [self._read(atom) for atom in item]
        if len(parts) == 1:
            return parts[0]
        pixels, old, new = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        unique, first = np.unique(pixels, return_index=True)
        _, last = np.unique(pixels[::-1], return_index=True)
        return unique, old[first], new[::-1][last]

    def _read(self, atom: Any) -> tuple[Pixels, Values, Values]:
        """Return the pixels of an atom, their values before, and what is said now."""
        if isinstance(atom, _Statement):
            return atom.pixels, self.subject.values_at(atom.pixels), atom.values
        if hasattr(atom, "slice_key"):
            mask, old, new = atom.mask, atom.old_values, atom.new_value
            shape = tuple(part.stop - part.start for part in atom.slice_key)
            inside = np.nonzero(np.ones(shape, bool) if mask is None else mask)
            starts = [part.start for part in atom.slice_key]
            indices = [s + p for s, p in zip(starts, inside, strict=True)]
        else:
            indices, old, new = atom
        pixels = self._flat([np.asarray(part) for part in indices])
        values = np.broadcast_to(np.asarray(new, np.uint8), pixels.shape)
        return pixels, np.ravel(old).astype(np.uint8), values

    def _undo(self) -> None:
        self._replay("undo", self._done, self._undone)

    def _redo(self) -> None:
        self._replay("redo", self._undone, self._done)

    def _replay(self, name: str, source: deque[_Stroke], sink: deque[_Stroke]) -> None:
        history = getattr(self.layer, f"_{name}_history", ())
        item = history[-1] if history else None
        self._plain[name]()
        if item is None or not source or not source[-1].is_of(item):
            return
        stroke = source.pop()
        sink.append(stroke)
        said = stroke.before if name == "undo" else stroke.after
        self.subject.say(stroke.pixels, said)
        # The model may have guessed anew since the stroke, and napari put its old
        # guess back.
        self.layer.refresh(extent=False)
        self._on_change(stroke.pixels)


Footprint = tuple[tuple[int, ...], "npt.NDArray[np.bool_]"]
"""First index of a box in the layer's data, and the pixels of the box it covers."""


def _brush_footprint(layer: Labels, coord: Sequence[float]) -> Footprint:
    """Return what napari's brush covers at a place: an ellipsoid, a disc as a rule."""
    centre = np.round(np.asarray(coord)).astype(int)
    axes = _painted_axes(layer)
    scale = np.abs(np.asarray(layer.scale)[axes])
    radius = np.floor(layer.brush_size / 2) + 0.5
    reach = np.zeros(layer.ndim, int)
    reach[axes] = np.floor(radius / (scale / scale.min())).astype(int)
    start = np.clip(centre - reach, 0, layer.data.shape)
    stop = np.clip(centre + reach + 1, start, layer.data.shape)
    box = tuple(stop - start)
    grids = np.ogrid[tuple(slice(0, n) for n in box)]
    distance = np.zeros(box)
    for axis, size in zip(axes, scale / scale.min(), strict=True):
        distance = distance + ((grids[axis] + start[axis] - centre[axis]) * size) ** 2
    return tuple(int(s) for s in start), distance <= radius**2


def _polygon_footprint(layer: Labels, points: Any) -> Footprint:
    """Return what a polygon covers in its plane."""
    corners = np.asarray(points, dtype=int)
    axes = _painted_axes(layer)
    start, stop = corners[0].copy(), corners[0] + 1
    shape = np.asarray(layer.data.shape)[axes]
    start[axes] = np.clip(corners[:, axes].min(axis=0), 0, shape)
    stop[axes] = np.clip(corners[:, axes].max(axis=0) + 1, start[axes], shape)
    box = tuple(stop - start)
    if len(axes) != 2 or 0 in box:
        return tuple(int(s) for s in start), np.zeros(box, bool)
    plane = tuple(int(n) for n in np.asarray(box)[axes])
    filled = polygon2mask(plane, corners[:, axes] - start[axes])
    return tuple(int(s) for s in start), filled.reshape(box)


def _painted_axes(layer: Labels) -> list[int]:
    """Return the axes that napari paints along: the displayed ones as a rule."""
    painted = getattr(layer, "_get_dims_to_paint", None)
    if painted is not None:
        return sorted(int(axis) for axis in painted())
    return list(range(layer.ndim - layer.n_edit_dimensions, layer.ndim))
