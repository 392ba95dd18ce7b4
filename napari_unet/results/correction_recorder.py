"""What the user does to a layer of objects is recorded, and so is undoing it.

Whether a tool of the dock or one of napari's made it, an edit is an item of napari's
history. The objects that it touched are known from then on as they are, and so are the
classes of some pixels; both are saved before the next edit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.results.stroke_items import Change, Stroke, read_marks
from napari_unet.viewer.private import (
    history_limit,
    is_drawn_on,
    redo_history,
    undo_history,
)
from unet_engine.labels import IGNORE
from unet_engine.objects.editing import claims_after, classes_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt
    from napari.layers import Labels

    from napari_unet.results.stroke_items import Mark
    from napari_unet.state.working_image import WorkingImage
    from unet_engine.places import Index, PlaneRegion

    Ids = npt.NDArray[Any]

_AROUND = 4
"""Pixels around edited objects in which an edit shows anything."""


@dataclass(frozen=True, slots=True, eq=False)
class _Correction:
    """One item of napari's history: what it changed of objects, and of classes."""

    objects: Stroke
    classes: tuple[Change, ...]

    @property
    def places(self) -> list[PlaneRegion]:
        """Planes and regions."""
        return [(change.index, change.region) for change in self.classes]


class CorrectionRecorder:
    """Keeps corrected objects and strokes in step with a layer of objects.

    Parameters
    ----------
    layer
        Shows the ids.
    working_image
        Whose ``corrected_objects`` and ``annotations`` are changed.
    ndim
        In how many dimensions an object extends.
    on_change
        Called after every edit, undo and redo with the planes and regions in which
        something may have changed.

    Attributes
    ----------
    new_class
        Class of an object that is added where the mask has none.
    """

    def __init__(
        self,
        layer: Labels,
        working_image: WorkingImage,
        ndim: int,
        on_change: Callable[[list[PlaneRegion]], None],
    ) -> None:
        self.layer, self.working_image = layer, working_image
        self.new_class = 1
        self._ndim, self._on_change = ndim, on_change
        limit = history_limit(layer)
        self._done: deque[_Correction] = deque(maxlen=limit)
        self._undone: deque[_Correction] = deque(maxlen=limit)
        layer.events.paint.connect(self._on_paint)
        # Undo and redo draw the layer anew, and emit nothing else.
        layer.events.set_data.connect(self._follow_history)

    @property
    def is_drawn_on(self) -> bool:
        """Whether a stroke of napari's tools has begun and not ended."""
        return is_drawn_on(self.layer)

    def forget_history(self) -> None:
        """Leave nothing to undo: the layer got other objects."""
        self._done.clear()
        self._undone.clear()

    def _on_paint(self, event: Any) -> None:
        layout = self.working_image.layout
        marks = [mark for atom in event.value for mark in read_marks(atom, layout)]
        through = self._ndim - 2
        groups: dict[Index, list[Mark]] = {}
        for mark in marks:
            lead = mark.index[: len(mark.index) - through]
            groups.setdefault(lead, []).append(mark)
        objects: list[Change] = []
        classes: list[Change] = []
        for lead, group in groups.items():
            before, after = self._ids(lead, group)
            for claimed, shown in self._changes(lead, before, after):
                objects.append(claimed)
                classes.append(shown)
        self.working_image.note_classes()
        correction = _Correction(Stroke(event.value, tuple(objects)), tuple(classes))
        self._make(correction, "stroke")
        self._done.append(correction)
        self._undone.clear()

    def _ids(self, lead: Index, marks: Sequence[Mark]) -> tuple[Ids, Ids]:
        """Return the ids of a plane or volume before and after an edit.

        napari emits an edit sometimes before and sometimes after it is made.
        """
        data = np.reshape(self.layer.data, self.working_image.mask.shape)
        after = np.array(data[lead])
        places: list[Any] = [(*m.index[len(lead) :], *m.region) for m in marks]
        for place, mark in zip(places, marks, strict=True):
            label = np.asarray(mark.label)
            after[place][mark.where] = label[mark.where] if label.ndim else label
        before = after.copy()
        for place, mark in zip(reversed(places), reversed(marks), strict=True):
            if mark.old is not None:
                before[place][mark.where] = mark.old[mark.where]
        return before, after

    def _changes(
        self, lead: Index, before: Ids, after: Ids
    ) -> Iterator[tuple[Change, Change]]:
        """Yield what an edit changes in each plane, of objects and of classes."""
        changed = before != after
        if not changed.any():
            return
        numbers = {*np.unique(before[changed]), *np.unique(after[changed])}
        box = _box_around(changed | np.isin(after, list(numbers - {0})))
        *depth, rows, columns = box
        indices = [lead]
        for part in depth:
            indices = [(*lead, z) for z in range(part.start, part.stop)]
        image, region = self.working_image, (rows, columns)
        shape = after[box].shape

        def read(notes: Any) -> npt.NDArray[np.uint8]:
            return np.stack([notes.target(i, region) for i in indices]).reshape(shape)

        claims, labels = read(image.corrected_objects), read(image.annotations)
        claimed = claims_after(claims, after[box], changed[box], numbers)
        mask = np.asarray(image.mask[lead][box])
        found = classes_after(before[box], after[box], mask, new_class=self.new_class)
        shown = np.where(found == IGNORE, labels, found).astype(np.uint8)
        arrays = [a.reshape(-1, *shape[-2:]) for a in (claims, claimed, labels, shown)]
        for index, old, new, was, now in zip(indices, *arrays, strict=True):
            yield Change(index, region, old, new), Change(index, region, was, now)

    def _make(self, correction: _Correction, act: Any) -> None:
        """Record a correction, or take it back."""
        image, back = self.working_image, act == "undo"
        with image.corrected_objects.stroke(act):
            for change in correction.objects.changes:
                ids = change.before if back else change.after
                image.corrected_objects.accept(change.index, change.region, ids)
        for index in {change.index for change in correction.classes}:
            if not image.has_prediction(index):
                image.keep_prediction(index, image.mask[index].copy())
        with image.annotations.stroke(act):
            for change in correction.classes:
                labels = change.before if back else change.after
                image.record_labels(change.index, change.region, labels)
        self._on_change(correction.places)

    def _follow_history(self, *_: Any) -> None:
        """Follow what napari undid and did again."""
        for act, source, sink, found in (
            ("undo", self._done, self._undone, redo_history(self.layer)),
            ("redo", self._undone, self._done, undo_history(self.layer)),
        ):
            while source and any(source[-1].objects.is_of(item) for item in found):
                correction = source.pop()
                sink.append(correction)
                self._make(correction, act)


def _box_around(where: npt.NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the box around some pixels, with those in which an edit shows anything."""
    (found,) = ndimage.find_objects(where.astype(np.uint8))
    return tuple(
        slice(max(0, part.start - _AROUND), min(size, part.stop + _AROUND))
        for part, size in zip(found, where.shape, strict=True)
    )
