"""``Annotations``: what the user touched, sparse and in blocks.

A touched pixel is ground truth; all others are ``IGNORE`` and show the prediction.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.annotations.act_history import EarlierTimes
from unet_engine.annotations.block import EDGE
from unet_engine.annotations.blocks import (
    Blocks,
    as_class_ids,
    overlaps,
    split_pixels,
)
from unet_engine.annotations.painted_classes import PaintedClasses
from unet_engine.annotations.recovery import (
    Recovery,
    damaged_beginning,
    newest_file,
    recover,
)
from unet_engine.annotations.stroke_log import StrokeLog
from unet_engine.annotations.touched_pixels import TouchedPixels
from unet_engine.errors import DataError
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from unet_engine.annotations.records import Act, ActRecord
    from unet_engine.annotations.recovery import Found
    from unet_engine.places import Index


class Annotations(TouchedPixels):
    """The touched pixels of a label image, in memory in proportion to what was touched.

    Those made by ``open`` are on disk too, from the moment at which they change.

    Parameters
    ----------
    shape
        Of the whole label array, leading axes included: ``(*leading, Y, X)``.

    Attributes
    ----------
    recovery
        What was found when they were opened.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(shape)
        self.recovery = Recovery()
        self._elsewhere = Blocks()
        self._log: StrokeLog | None = None
        self._act: Act | None = None
        self._painted = PaintedClasses()
        self._time = 0.0  # of the last act

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        shape: Sequence[int],
        *,
        image_info: Mapping[str, Any] | None = None,
    ) -> Annotations:
        """Load annotations from where they were saved, and save every change there.

        Blocks are read at their first use, as all may not fit the memory. See
        ``recovery`` for what was found, ``save_error`` for whether saving works.

        Parameters
        ----------
        path
            A folder; made with the first change when there is none.
        shape
            As above. Planes with strokes that it does not have are kept, out of reach.
        image_info
            What identifies the image, as JSON types. Without it nothing does.

        Raises
        ------
        DataError
            When there are strokes of another height and width or other axes there, or
            such that cannot be read.
        """
        opened = cls(shape)
        log = StrokeLog(Path(path), opened.shape, image_info or {})
        found = log.open()
        opened._load(found)
        opened._painted = found.header.painted
        opened._log = log
        return opened

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Annotations:
        """Read annotations as they are saved; changes stay in memory.

        Nothing is written or locked: they may be open in a window.

        Parameters
        ----------
        path
            Their folder.

        Raises
        ------
        DataError
            When there are none, or they cannot be read.
        """
        if newest_file(Path(path)) is None:
            raise DataError(f"there are no strokes in {path}; choose another folder")
        found = recover(Path(path), (1, 1))
        if found.recovery.image_info is None:
            raise damaged_beginning(Path(path))
        notes = cls(found.header.shape)
        notes._load(found)
        notes._painted = found.header.painted
        return notes

    @property
    def save_error(self) -> str:
        """Why changes are not being saved, for the user; empty when all is well."""
        return "" if self._log is None else self._log.save_error

    @property
    def folder(self) -> Path | None:
        """Where changes are saved, once there are any; None for those in memory."""
        saved = self._log is not None and self._log.exists
        return self._log.folder if saved and self._log is not None else None

    @property
    def strokes(self) -> int:
        """Number of strokes that were not undone; 0 for those in memory."""
        return 0 if self._log is None else self._log.strokes

    @property
    def painted(self) -> PaintedClasses:
        """Names of the classes by value, and the model that they were painted for."""
        return self._painted

    def name_classes(
        self, names: Sequence[str], model: Mapping[str, Any] | None = None
    ) -> None:
        """Name the classes of the values, before the first pixel gets one of them.

        It is saved together with the next act.

        Parameters
        ----------
        names
            By value. Names that a value has already stay what they are.
        model
            What identifies the chosen model, as JSON types.

        Raises
        ------
        DataError
            When a value that has a name would get another one.
        """
        names, before = tuple(names), self._painted.names
        if names[: len(before)] != before:
            raise DataError(
                f"the strokes were painted as {', '.join(before)} and cannot become "
                f"{', '.join(names)}; add new classes after those"
            )
        self._painted = PaintedClasses(names=names, model=dict(model or {}))
        if self._log is not None:
            self._log.set_painted(self._painted)

    @property
    def conflicts(self) -> int:
        """Touched pixels that got one class and later another, which counts."""
        return self._blocks.conflicts

    @property
    def damaged(self) -> int:
        """Blocks on disk that could not be read; what was painted in them is lost."""
        return self._blocks.damaged

    def watch(self, on_save_error: Callable[[], None] | None) -> None:
        """Call a function when ``save_error`` changes, from any thread."""
        if self._log is not None:
            self._log.on_save_error = on_save_error

    def close(self) -> None:
        """Bring everything to the disk; further changes stay in memory."""
        if self._log is not None:
            self._log.close()

    def resume(self) -> None:
        """Save changes again after ``close``; those between come along with them."""
        if self._log is not None:
            self._log.resume()

    @contextmanager
    def stroke(self, act: Act = "stroke") -> Iterator[None]:
        """Make all changes within the block one: saved as a whole, counted once.

        Parameters
        ----------
        act
            ``"undo"`` takes the last one back, with its conflicts; ``"redo"`` makes it
            again.
        """
        if self._act is not None:
            yield
            return
        self._act = act
        try:
            yield
        finally:
            self._act = None
            self._settle(act)

    def set(self, indices: Sequence[npt.ArrayLike], values: npt.ArrayLike) -> None:
        """Set pixels to a class.

        Parameters
        ----------
        indices
            An index array for each axis of ``shape``, as the paint event of a Labels
            layer holds them; of a pixel that occurs twice, the last value counts.
        values
            A class id for each pixel, or one for all; ``IGNORE`` clears them.

        Raises
        ------
        DataError
            When an index lies outside the image or a value is no class id.
        """
        *where, ids = np.broadcast_arrays(*self._checked(indices), np.asarray(values))
        ids = as_class_ids(ids.ravel())
        with self.stroke():
            for index, key, y, x, chosen in split_pixels([w.ravel() for w in where]):
                self._blocks.own(index, key).ids[y, x] = ids[chosen]

    def clear(self, indices: Sequence[npt.ArrayLike]) -> None:
        """Clear pixels, which show the prediction again.

        Parameters
        ----------
        indices
            An integer index array for each axis of ``shape``.

        Raises
        ------
        DataError
            When an index lies outside the image.
        """
        self.set(indices, IGNORE)

    def accept(
        self,
        index: Sequence[int],
        region: Sequence[slice],
        labels: npt.ArrayLike,
    ) -> None:
        """Set a whole region to the classes it shows: it is correct as it is.

        Parameters
        ----------
        index
            Position along the leading axes.
        region
            Slices of height and width.
        labels
            ``(h, w)`` integer class ids of the region.

        Raises
        ------
        DataError
            When the region is not inside the image or the labels do not fit it.
        """
        index = self._checked_index(index)
        rows, columns = self._checked_region(region)
        ids = as_class_ids(np.asarray(labels))
        if ids.shape != (len(rows), len(columns)):
            raise DataError(
                f"labels of shape {ids.shape} do not fit the region of "
                f"{len(rows)} x {len(columns)} pixels"
            )
        with self.stroke():
            self._write_region(self._blocks, index, (rows, columns), ids)

    def copy(self, values: Mapping[int, int] | None = None) -> Annotations:
        """Return an independent copy, for a run that later strokes must not change.

        It is in memory only, shares what does not change, and may be read in a thread.

        Parameters
        ----------
        values
            Another value for each value, for a model with another order of classes;
            pixels of values that are missing in it are untouched in the copy. Such a
            copy is to be read and not to be changed.
        """
        other = Annotations(self.shape)
        other._blocks = self._blocks.share()
        other._painted, other._values = self._painted, self._values
        if values is not None:
            other._values = np.full(IGNORE + 1, IGNORE, np.uint8)
            for old, new in values.items():
                other._values[old] = new
            if self._values is not None:
                other._values = other._values[self._values]
        return other

    def _load(self, found: Found) -> None:
        """Take over the blocks and acts of a log."""
        height, width = self.shape[-2:]
        for index, key, block in found.blocks:
            if key[0] * EDGE < height and key[1] * EDGE < width:
                self._home(index).add_stored(index, key, block)
        self._time = found.header.time
        for act in found.acts:
            self._repeat(act)
        for blocks in (self._blocks, self._elsewhere):
            blocks.forget_history()
        elsewhere = len(self._elsewhere.planes())
        self.recovery = replace(found.recovery, elsewhere=elsewhere)

    def _repeat(self, act: ActRecord) -> None:
        """Make an act of a log again."""
        height, width = self.shape[-2:]
        earlier = {}
        for box in act.boxes:
            y, x = box.corner
            rows = range(y, min(y + box.ids.shape[0], height))
            columns = range(x, min(x + box.ids.shape[1], width))
            self._write_region(
                self._home(box.index), box.index, (rows, columns), box.ids
            )
            if box.times is not None:
                for key, there, here in overlaps(rows, columns):
                    times = EarlierTimes(there, box.ids[here], box.times[here])
                    earlier[box.index, key] = times
        self._time = self._next_time(act.time)
        for blocks in (self._blocks, self._elsewhere):
            blocks.settle(self._time, undo=act.act == "undo", earlier=earlier or None)

    def _next_time(self, now: float) -> float:
        """Return the time of an act, later than all before it whatever the clock is."""
        return max(now, math.nextafter(self._time, math.inf))

    def _home(self, index: Index) -> Blocks:
        """Return the blocks of planes that there are, or of those that are gone."""
        here = all(i < n for i, n in zip(index, self.shape[:-2], strict=True))
        return self._blocks if here else self._elsewhere

    def _settle(self, act: Act) -> None:
        """Count and save what was changed."""
        now = self._next_time(time.time())
        boxes = self._blocks.settle(now, undo=act == "undo")
        if not boxes:
            return
        self._time = now
        log = self._log
        if log is None:
            return
        log.append(act, boxes, now)
        if log.grown:
            copies = self._blocks.share(), self._elsewhere.share()
            log.compact(copies, now)

    def _write_region(
        self,
        blocks: Blocks,
        index: Index,
        region: tuple[range, range],
        ids: npt.NDArray[np.uint8],
    ) -> None:
        """Write the ids of a region; where nothing is or was, no block is made."""
        for key, there, here in overlaps(*region):
            if blocks.find(index, key) is not None or np.any(ids[here] != IGNORE):
                blocks.own(index, key).ids[there] = ids[here]
