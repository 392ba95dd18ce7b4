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
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.results.stroke_items import Change, Claim, Statement, Stroke, boxed
from napari_unet.viewer.brush_coverage import (
    BrushCoverage,
    brush_footprint,
    polygon_footprint,
)
from napari_unet.viewer.conversion import mask_indices
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
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
        limit = getattr(layer, "_history_limit", 100)
        self._done: deque[Stroke] = deque(maxlen=limit)
        self._undone: deque[Stroke] = deque(maxlen=limit)
        layer.events.paint.connect(self._on_paint)
        # napari emits nothing on undo and redo. Its key bindings, its mouse tools and
        # scripts all come through these methods of the layer.
        self._plain = {
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
        for name in self._plain:
            vars(self.layer).pop(name, None)

    def disconnect(self) -> None:
        """Leave the layer as it was found."""
        self.layer.events.paint.disconnect(self._on_paint)
        if self._paused:
            self.layer.events.set_data.disconnect(self._follow_history)
        self._give_methods_back()

    def pause(self) -> None:
        """Give the layer its methods back; go on with what its events tell.

        That is all but the pixels which were right before they were painted.
        """
        if not self._paused:
            self._paused = True
            self._give_methods_back()
            # Undo and redo draw the layer anew, and tell nothing else.
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
        self.layer._reset_history()

    def accept(self, parts: Sequence[Part]) -> int:
        """Say that pixels are right as they are shown.

        Returns
        -------
        int
            How many those are.
        """
        return self._state([Claim(p.index, p.region, p.where, p.labels) for p in parts])

    def clear(self, parts: Sequence[Part]) -> int:
        """Give touched pixels back to the model's guess.

        Returns
        -------
        int
            How many those are.
        """
        claims = [Claim(p.index, p.region, p.where, IGNORE) for p in parts]
        if cleared := self._state(claims):
            self.layer.refresh(extent=False)
        return cleared

    def _state(self, claims: Sequence[Claim]) -> int:
        """Enter claims in napari's history, and so in ours."""
        claims = [claim for claim in claims if claim.where.any()]
        if claims:
            self.layer._save_history(Statement.of(claims, self.layer.ndim))
        return sum(int(np.count_nonzero(claim.where)) for claim in claims)

    def _paint(
        self, coord: Sequence[float], new_label: int, *args: Any, **kw: Any
    ) -> None:
        same = self._confirmed(brush_footprint(self.layer, coord), new_label)
        with self._one_item():
            self._plain["paint"](coord, new_label, *args, **kw)
            self._state(same)

    def _paint_polygon(self, points: Any, new_label: int) -> None:
        same = self._confirmed(polygon_footprint(self.layer, points), new_label)
        with self._one_item():
            self._plain["paint_polygon"](points, new_label)
            self._state(same)

    def _one_item(self) -> Any:
        """Group what follows into one undo, unless a stroke of the mouse does so."""
        if getattr(self.layer, "_block_history", False):
            return nullcontext()
        return self.layer.block_history()

    def _confirmed(self, footprint: BrushCoverage, label: int) -> list[Claim]:
        """Return claims for the pixels that have the label without it being said."""
        have = np.asarray(self.layer.data[footprint.box]) == label
        claims = self._claims(footprint.box, footprint.covered & have, label)
        for claim in claims:
            target = self.working_image.annotations.target(claim.index, claim.region)
            np.logical_and(claim.where, target != label, out=claim.where)
        return claims

    def _on_paint(self, event: Any) -> None:
        claims = [claim for atom in event.value for claim in self._read(atom)]
        self._keep_guesses(claims)
        self.working_image.note_classes()
        changes = []
        with self.working_image.annotations.stroke():
            for claim in claims:
                before = self.working_image.annotations.target(
                    claim.index, claim.region
                )
                after = np.where(claim.where, claim.label, before).astype(np.uint8)
                self.working_image.say(claim.index, claim.region, after)
                changes.append(Change(claim.index, claim.region, before, after))
        self._done.append(Stroke(event.value, tuple(changes)))
        self._undone.clear()
        self._on_change([(change.index, change.region) for change in changes])

    def _keep_guesses(self, claims: Sequence[Claim]) -> None:
        """Keep what the model said of the planes that are touched for the first time.

        napari tells of a change sometimes before and sometimes after it is made;
        putting the old values back, the last first, is right for both.
        """
        for index in {claim.index for claim in claims}:
            if self.working_image.has_guess(index):
                continue
            guess = self.working_image.mask[index].copy()
            for claim in reversed(claims):
                if claim.index == index and claim.old is not None:
                    guess[claim.region][claim.where] = claim.old[claim.where]
            self.working_image.keep_guess(index, guess)

    def _read(self, atom: Any) -> Sequence[Claim]:
        """Return what an atom of napari's history says."""
        if isinstance(atom, Statement):
            return atom.take_claims()
        if not hasattr(atom, "slice_key"):
            return self._claims(*boxed(*atom))
        box = atom.slice_key
        shape = tuple(part.stop - part.start for part in box)
        where = np.ones(shape, bool) if atom.mask is None else atom.mask
        old = np.zeros(shape, np.asarray(atom.old_values).dtype)
        old[where] = np.ravel(atom.old_values)
        return self._claims(box, where, atom.new_value, old)

    def _claims(
        self,
        box: tuple[slice, ...],
        where: npt.NDArray[np.bool_],
        label: Any,
        old: npt.NDArray[Any] | None = None,
    ) -> list[Claim]:
        """Divide a box of the layer into boxes of the planes of the mask."""
        layout = self.working_image.layout
        *leading, rows, columns = mask_indices(box, layout)
        shape = (*(part.stop - part.start for part in leading), *where.shape[-2:])
        where, old = where.reshape(shape), None if old is None else old.reshape(shape)
        labels = np.reshape(label, shape) if np.ndim(label) else None
        claims = []
        for offset in np.ndindex(*shape[:-2]):
            if where[offset].any():
                index = tuple(p.start + o for p, o in zip(leading, offset, strict=True))
                claims.append(
                    Claim(
                        index,
                        (rows, columns),
                        where[offset].copy(),
                        int(label) if labels is None else labels[offset],
                        None if old is None else old[offset],
                    )
                )
        return claims

    def _undo(self) -> None:
        self._replay("undo", self._done, self._undone)

    def _redo(self) -> None:
        self._replay("redo", self._undone, self._done)

    def _replay(self, name: str, source: deque[Stroke], sink: deque[Stroke]) -> None:
        history = getattr(self.layer, f"_{name}_history", ())
        item = history[-1] if history else None
        self._plain[name]()
        if item is not None and source and source[-1].is_of(item):
            self._follow(name, source, sink)

    def _follow_history(self, *_: Any) -> None:
        """Follow what napari undid and did again without us."""
        for name, source, sink, found in (
            ("undo", self._done, self._undone, self.layer._redo_history),
            ("redo", self._undone, self._done, self.layer._undo_history),
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
                said = change.before if back else change.after
                self.working_image.say(change.index, change.region, said)
        # The model may have guessed anew since the stroke, and napari put its old
        # guess back.
        self.layer.refresh(extent=False)
        self._on_change([(change.index, change.region) for change in stroke.changes])
