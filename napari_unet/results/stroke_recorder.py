"""What the user does to a mask layer becomes annotations, and so does undoing it.

napari's ``paint`` event has the pixels that *changed*. Painting over what the model
already got right changes nothing, yet these pixels are labelled then. The brush and
the polygon of a watched layer therefore enter such pixels in napari's own history too,
as do "accept" and "clear". All of it is then one kind of history item, and napari's
undo and redo treat it alike.
"""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.results.stroke_items import (
    Change,
    Mark,
    MarksAtom,
    Stroke,
    marks_in,
    read_marks,
)
from napari_unet.viewer.brush_coverage import (
    BrushCoverage,
    brush_footprint,
    polygon_footprint,
)
from napari_unet.viewer.private import (
    history_limit,
    is_drawn_on,
    redo_history,
    reset_history,
    save_in_history,
    undo_history,
)
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Labels

    from napari_unet.results.stroke_items import Part
    from napari_unet.state.working_image import WorkingImage
    from unet_engine.places import PlaneRegion


class StrokeRecorder:
    """Keep the annotations of a working image in step with its mask layer.

    Parameters
    ----------
    layer
        The Labels layer that shows ``working_image.mask``.
    on_change
        Called after every stroke, undo and redo with the planes and regions in which
        pixels were touched or given back.

    Attributes
    ----------
    unmarks
        The brush gives what it covers back to the prediction, whatever its label is.
    """

    def __init__(
        self,
        layer: Labels,
        working_image: WorkingImage,
        on_change: Callable[[list[PlaneRegion]], None],
    ) -> None:
        self.layer = layer
        self.working_image = working_image
        self._on_change = on_change
        self.unmarks = False
        limit = history_limit(layer)
        self._done: deque[Stroke] = deque(maxlen=limit)
        self._undone: deque[Stroke] = deque(maxlen=limit)
        layer.events.paint.connect(self._on_paint)
        # napari emits nothing on undo and redo. Its key bindings, its mouse tools and
        # scripts all come through these methods of the layer.
        self._originals = {
            name: getattr(layer, name)
            for name in ("paint", "paint_polygon", "undo", "redo")
        }
        self._paused = False
        self._take_methods()

    def _take_methods(self) -> None:
        layer = self.layer
        layer.paint, layer.paint_polygon = self._paint, self._paint_polygon
        layer.undo, layer.redo = self._undo, self._redo

    def _give_methods_back(self) -> None:
        for name in self._originals:
            vars(self.layer).pop(name, None)

    def disconnect(self) -> None:
        """Leave the layer as it was found."""
        self.layer.events.paint.disconnect(self._on_paint)
        if self._paused:
            self.layer.events.set_data.disconnect(self._follow_history)
        self._give_methods_back()

    def pause(self) -> None:
        """Give the layer its methods back; go on with its events alone.

        That is all but the pixels which were right before they were painted.
        """
        if not self._paused:
            self._paused = True
            self._give_methods_back()
            # Undo and redo draw the layer anew, and emit nothing else.
            self.layer.events.set_data.connect(self._follow_history)

    def resume(self) -> None:
        """Take the methods again that `pause` gave back."""
        if self._paused:
            self._paused = False
            self.layer.events.set_data.disconnect(self._follow_history)
            self._follow_history()
            self._take_methods()

    def forget_history(self) -> None:
        """Leave nothing to undo: other annotations were taken."""
        self._done.clear()
        self._undone.clear()
        reset_history(self.layer)

    def accept(self, parts: Sequence[Part]) -> int:
        """Accept pixels as right, with the labels that they have.

        Returns
        -------
        int
            How many those are.
        """
        return self._state([Mark(p.index, p.region, p.where, p.labels) for p in parts])

    def clear(self, parts: Sequence[Part]) -> int:
        """Give touched pixels back to the model's prediction.

        Returns
        -------
        int
            How many those are.
        """
        return self._state([Mark(p.index, p.region, p.where, IGNORE) for p in parts])

    def _state(self, marks: Sequence[Mark]) -> int:
        """Enter marks in napari's history, and so in ours."""
        marks = [mark for mark in marks if mark.where.any()]
        if marks:
            save_in_history(self.layer, MarksAtom.of(marks, self.layer.ndim))
        return sum(int(np.count_nonzero(mark.where)) for mark in marks)

    def _paint(
        self, coord: Sequence[float], new_label: int, *args: Any, **kw: Any
    ) -> None:
        if self.unmarks and self.layer.mode == "paint":
            self._unmark(brush_footprint(self.layer, coord))
            return
        same = self._confirmed(brush_footprint(self.layer, coord), new_label)
        with self._one_item():
            self._originals["paint"](coord, new_label, *args, **kw)
            self._state(same)

    def _paint_polygon(self, points: Any, new_label: int) -> None:
        same = self._confirmed(polygon_footprint(self.layer, points), new_label)
        with self._one_item():
            self._originals["paint_polygon"](points, new_label)
            self._state(same)

    def _unmark(self, footprint: BrushCoverage) -> None:
        """Give touched pixels back to the prediction; those with locked labels stay."""
        where = footprint.covered
        if self.layer.preserve_labels:
            where = where & (np.asarray(self.layer.data[footprint.box]) == 0)
        layout = self.working_image.layout
        marks = marks_in(footprint.box, where, IGNORE, layout=layout)
        for mark in marks:
            touched = self.working_image.annotations.touched(mark.index, mark.region)
            np.logical_and(mark.where, touched, out=mark.where)
        with self._one_item():
            self._state(marks)

    def _one_item(self) -> Any:
        """Group what follows into one undo, unless a stroke of the mouse does so."""
        if is_drawn_on(self.layer):
            return nullcontext()
        return self.layer.block_history()

    def _confirmed(self, footprint: BrushCoverage, label: int) -> list[Mark]:
        """Return marks for pixels that have the label but were never touched."""
        have = np.asarray(self.layer.data[footprint.box]) == label
        marks = marks_in(
            footprint.box,
            footprint.covered & have,
            label,
            layout=self.working_image.layout,
        )
        for mark in marks:
            target = self.working_image.annotations.target(mark.index, mark.region)
            np.logical_and(mark.where, target != label, out=mark.where)
        return marks

    def _on_paint(self, event: Any) -> None:
        layout = self.working_image.layout
        marks = [mark for atom in event.value for mark in read_marks(atom, layout)]
        self._keep_predictions(marks)
        self.working_image.note_classes()
        changes = []
        with self.working_image.annotations.stroke():
            for mark in marks:
                before = self.working_image.annotations.target(mark.index, mark.region)
                after = np.where(mark.where, mark.label, before).astype(np.uint8)
                self.working_image.record_labels(mark.index, mark.region, after)
                changes.append(Change(mark.index, mark.region, before, after))
        self._done.append(Stroke(event.value, tuple(changes)))
        self._undone.clear()
        if any(np.any(mark.label == IGNORE) for mark in marks):
            # Of the prediction that shows now napari knows nothing.
            self.layer.refresh(extent=False)
        self._on_change([(change.index, change.region) for change in changes])

    def _keep_predictions(self, marks: Sequence[Mark]) -> None:
        """Keep the prediction of the planes that are touched for the first time.

        napari emits a change sometimes before and sometimes after it is made; putting
        the old values back, the last first, is right for both.
        """
        for index in {mark.index for mark in marks}:
            if self.working_image.has_prediction(index):
                continue
            prediction = self.working_image.mask[index].copy()
            for mark in reversed(marks):
                if mark.index == index and mark.old is not None:
                    prediction[mark.region][mark.where] = mark.old[mark.where]
            self.working_image.keep_prediction(index, prediction)

    def _undo(self) -> None:
        self._undo_or_redo("undo", self._done, self._undone)

    def _redo(self) -> None:
        self._undo_or_redo("redo", self._undone, self._done)

    def _undo_or_redo(
        self, name: str, source: deque[Stroke], sink: deque[Stroke]
    ) -> None:
        history = (undo_history if name == "undo" else redo_history)(self.layer)
        item = history[-1] if history else None
        self._originals[name]()
        if item is not None and source and source[-1].is_of(item):
            self._follow(name, source, sink)

    def _follow_history(self, *_: Any) -> None:
        """Follow what napari undid and did again without us."""
        for name, source, sink, found in (
            ("undo", self._done, self._undone, redo_history(self.layer)),
            ("redo", self._undone, self._done, undo_history(self.layer)),
        ):
            while source and any(source[-1].is_of(item) for item in found):
                self._follow(name, source, sink)

    def _follow(self, name: str, source: deque[Stroke], sink: deque[Stroke]) -> None:
        """Make an undo or a redo of napari's one of the annotations."""
        stroke = source.pop()
        sink.append(stroke)
        back = name == "undo"
        with self.working_image.annotations.stroke("undo" if back else "redo"):
            for change in reversed(stroke.changes) if back else stroke.changes:
                labels = change.before if back else change.after
                self.working_image.record_labels(change.index, change.region, labels)
        # There may be a new prediction since the stroke, and napari put the old one
        # back.
        self.layer.refresh(extent=False)
        self._on_change([(change.index, change.region) for change in stroke.changes])
