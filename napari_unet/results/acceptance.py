"""What Accept and Clear would do to a mask: which pixels, of which classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.results.stroke_items import Part
from napari_unet.viewer.visible_pixels import check_visible, visible_pixels
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.results.mask import MaskView
    from napari_unet.results.stroke_recorder import StrokeRecorder
    from napari_unet.state.working_image import Values, WorkingImage
    from napari_unet.viewer.visible_pixels import VisiblePixels
    from unet_engine.places import Index, Region

_BACKGROUND = 0
"""Class id that napari does not preserve: it is transparent."""


@dataclass(slots=True, eq=False, kw_only=True)
class Proposal:
    """What is about to be done to pixels of a mask, at once and undone at once.

    Attributes
    ----------
    working_image
        The image.
    parts
        The pixels.
    clears
        They are given back to the prediction; else they are accepted as they are.
    everywhere
        Not on screen only.
    locked
        Pixels that stay, as napari preserves their labels.
    unknown
        Pixels that stay, as no prediction has reached them.
    """

    working_image: WorkingImage
    clears: bool
    everywhere: bool = False
    parts: list[Part] = field(default_factory=list)
    locked: int = 0
    unknown: int = 0

    @property
    def counts(self) -> dict[int, int]:
        """Pixels of each class, the most first."""
        totals = np.zeros(IGNORE + 1, np.int64)
        for part in self.parts:
            labels = part.labels[part.where]
            totals += np.bincount(labels, minlength=IGNORE + 1)
        return {int(v): int(totals[v]) for v in np.argsort(-totals) if totals[v]}

    @property
    def count(self) -> int:
        """Pixels in all."""
        return sum(int(np.count_nonzero(part.where)) for part in self.parts)

    @property
    def question(self) -> str:
        """The question before very many pixels are changed."""
        if self.clears:
            return (
                f"Clear {self._what()}? They become the prediction again. Undo brings "
                "them back."
            )
        return (
            f"Accept {self._what()}? They count as right from then on. Undo takes it "
            "back."
        )

    @property
    def report(self) -> str:
        """What was done."""
        done = "Cleared" if self.clears else "Accepted"
        return " ".join([f"{done} {self._what()}.", *self._left()])

    @property
    def refusal(self) -> str:
        """Why nothing is done, when there is no pixel."""
        name = self.working_image.image.name
        left = self._left()
        if left:
            what = "clear" if self.clears else "accept"
            return " ".join([f"Nothing to {what} on {name}.", *left])
        if not self.clears:
            return f"Nothing to accept: all of {name} on screen is touched already."
        if self.everywhere or not self.working_image.counts:
            return f"Nothing to clear: no pixel of {name} is touched."
        return (
            f"Nothing to clear: no pixel of {name} on screen is touched. Choose in all "
            "slices to clear the others."
        )

    def carry_out(self, recorder: StrokeRecorder) -> None:
        """Do it, in one step of the undo."""
        if self.clears:
            recorder.clear(self.parts)
        else:
            recorder.accept(self.parts)

    def drop_changed(self) -> None:
        """Leave out what changed since the question: a run may have gone on."""
        for part in self.parts:
            now = self.working_image.annotations.target(part.index, part.region)
            if not self.clears:
                shown = np.asarray(self.working_image.mask[part.index][part.region])
                now = np.where(now == part.labels, IGNORE, shown)
            part.where[now != part.labels] = False

    def _what(self) -> str:
        slices = len({part.index for part in self.parts})
        classes = ", ".join(
            f"{count:,} {self.working_image.name_of(value)}"
            for value, count in self.counts.items()
        )
        return (
            f"{_number(self.count, 'pixel')} on {_number(slices, 'slice')} of "
            f"{self.working_image.image.name}: {classes}"
        )

    def _left(self) -> list[str]:
        left = []
        if self.locked:
            left.append(
                f"{_number(self.locked, 'pixel')} with a label stay as they are, as "
                "preserve labels is on."
            )
        if self.unknown:
            left.append(
                f"{_number(self.unknown, 'pixel')} on screen are not predicted yet and "
                "stay open."
            )
        return left


def propose_acceptance(viewer: ViewerModel, view: MaskView) -> Proposal:
    """Return what Accept would label: pixels on screen that have no label yet.

    Raises
    ------
    DataError
        When no pixel of the mask is visible, or it is locked.
    """
    check_visible(view.source, view.layer)
    visible = visible_pixels(viewer, view.source, view.layer, view.working_image.layout)
    working_image, index, region = view.working_image, visible.index, visible.region
    shown = np.asarray(working_image.mask[index][region])
    where = visible.where & (shown < IGNORE)
    labels = shown.astype(np.uint8)
    where &= working_image.annotations.target(index, region) != labels
    proposal = Proposal(working_image=working_image, clears=False)
    predicted_pixels = working_image.predicted_pixels(index, region)
    if predicted_pixels is not None:
        predicted_pixels |= working_image.annotations.touched(index, region)
        proposal.unknown = int(np.count_nonzero(where & ~predicted_pixels))
        where &= predicted_pixels
    proposal.locked = _keep_locked(view, where, labels)
    if where.any():
        proposal.parts.append(Part(index, region, where, labels))
    return proposal


def propose_clearing(
    viewer: ViewerModel, view: MaskView, *, everywhere: bool
) -> Proposal:
    """Return what Clear would give back to the model: on screen, or in all slices.

    Raises
    ------
    DataError
        When no pixel of the mask is visible, or it is locked.
    """
    check_visible(view.source, view.layer)
    working_image = view.working_image
    proposal = Proposal(working_image=working_image, clears=True, everywhere=everywhere)
    visible = None
    if not everywhere:
        visible = visible_pixels(viewer, view.source, view.layer, working_image.layout)
    planes = working_image.annotations.planes() if visible is None else (visible.index,)
    for index in planes:
        for block in working_image.annotations.regions(index):
            part = _touched_part(working_image, index, block, visible)
            if part is not None:
                proposal.locked += _keep_locked(view, part.where, part.labels)
                if part.where.any():
                    proposal.parts.append(part)
    return proposal


def _touched_part(
    working_image: WorkingImage,
    index: Index,
    block: Region,
    visible: VisiblePixels | None,
) -> Part | None:
    """Return the touched pixels of a block, of those on screen."""
    if visible is None:
        labels = working_image.annotations.target(index, block)
        return Part(index, block, labels != IGNORE, labels)
    rows, columns = (
        slice(max(one.start, other.start), min(one.stop, other.stop))
        for one, other in zip(block, visible.region, strict=True)
    )
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    top, left = (part.start for part in visible.region)
    seen = visible.where[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    labels = working_image.annotations.target(index, (rows, columns))
    return Part(index, (rows, columns), seen & (labels != IGNORE), labels)


def _keep_locked(view: MaskView, where: npt.NDArray[np.bool_], labels: Values) -> int:
    """Take pixels out whose labels napari preserves; return how many those are."""
    if not view.layer.preserve_labels:
        return 0
    locked = where & (labels != _BACKGROUND)
    where &= ~locked
    return int(np.count_nonzero(locked))


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
