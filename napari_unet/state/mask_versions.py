"""``MaskVersions``: the mask on screen, and the one that it has replaced.

Of the one that is not on screen only the blocks are kept that differ, compressed: a
mask of few classes takes a hundredth of its size, whether it lies in memory or on disk.
What the user painted belongs to both, so predictions are kept and no strokes.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass, field
from itertools import product
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import numpy.typing as npt

    from unet_engine.places import Index, Region

    Values = npt.NDArray[Any]
    Key = tuple[Index, int, int]
    Tiles = dict[Index, set[tuple[int, int, int, int]]]

EDGE = 256
"""Pixels of a block along height and width, as of the blocks of strokes."""
_LEVEL = 1
"""Of zlib: the fastest, as blocks are compressed while tiles arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSource:
    """What a mask was made by.

    Attributes
    ----------
    name
        Of the model, or of the step of the dock.
    is_model
        Distinguishes a model that is named like a step.
    detail
        More about it, for the dock; two sources may differ in it and be one.
    """

    name: str
    is_model: bool = True
    detail: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.name}, {self.detail}" if self.detail else self.name


PAINTED = MaskSource(name="painted by hand", is_model=False)


@dataclass(slots=True)
class Reached:
    """What of a mask a prediction has reached.

    Attributes
    ----------
    planes
        Those in which it wrote anything.
    tiles
        Rows and columns of what it wrote, by plane.
    """

    planes: set[Index] = field(default_factory=set)
    tiles: Tiles = field(default_factory=dict)

    def copy(self) -> Reached:
        """Return an independent copy."""
        tiles = {index: set(those) for index, those in self.tiles.items()}
        return Reached(set(self.planes), tiles)


class PredictedMask(Protocol):
    """What `MaskVersions` needs of a working image."""

    mask: Values
    reached: Reached

    @property
    def counts(self) -> dict[int, int]:
        """Touched pixels of each class."""

    def prediction(self, index: Index, region: Region) -> Values:
        """Return the prediction in a region of a plane; not to be changed."""

    def show_prediction(self, index: Index, region: Region, labels: Values) -> None:
        """Write a prediction into a region, below what was painted."""


class MaskVersions:
    """Two masks of an image, of which one is on screen.

    Parameters
    ----------
    image
        Has the one on screen, and what was painted, which belongs to both.

    Attributes
    ----------
    shown, hidden
        What the mask on screen was made by, and the other one; None when there is none.
    shows_earlier
        The one on screen is the older one.
    changed
        Another mask is on screen, or was made by something else.
    """

    changed = Signal()

    def __init__(self, image: PredictedMask) -> None:
        self._image = image
        self._blocks: dict[Key, _Block] = {}
        self._pending: set[Key] = set()
        self._reached = Reached()
        self._text = ""
        self.shown: MaskSource | None = None
        self.hidden: MaskSource | None = None
        self.shows_earlier = False

    def begin(self, source: MaskSource) -> bool:
        """Let what a source makes from now on be shown.

        Returns
        -------
        bool
            Whether the masks were exchanged, as it had made the hidden one.
        """
        if source == self.hidden:
            self.exchange()
            return True
        return False

    def write(
        self, index: Index, region: Region, labels: Values, source: MaskSource
    ) -> bool:
        """Write what a source has predicted into its mask.

        One that has made neither mask begins a new one: that on screen becomes the one
        before. One that has made the hidden mask writes there.

        Parameters
        ----------
        index, region
            The plane, and rows and columns of it.
        labels
            ``(h, w)`` values of the mask.
        source
            What made them.

        Returns
        -------
        bool
            Whether they are on screen.
        """
        keys = list(self._keys(index, region))
        self._exchange_blocks(self._pending.intersection(keys))
        if source == self.hidden:
            self.hidden = source
            for key in keys:
                self._write_hidden(key, region, labels)
            self._note_change()
            return False
        if source != self.shown:
            self._start()
        self.shown, self.shows_earlier = source, False
        if self.hidden is not None:
            for key in keys:
                if key not in self._blocks:
                    self._blocks[key] = _Block.of(self._shown_block(key))
        self._image.show_prediction(index, region, labels)
        self._note_change()
        return True

    def record(self, index: Index, region: Region, *, shown: bool) -> None:
        """Record that a prediction has reached a region of one of both masks."""
        rows, columns = region
        reached = self._image.reached if shown else self._reached
        reached.planes.add(index)
        reached.tiles.setdefault(index, set()).add(
            (rows.start, rows.stop, columns.start, columns.stop)
        )

    def exchange(self) -> None:
        """."""
        if self.hidden is None:
            return
        self.shown, self.hidden = self.hidden, self.shown
        self._image.reached, self._reached = self._reached, self._image.reached
        self.shows_earlier = not self.shows_earlier
        # A block that has not been exchanged yet is where it belongs again.
        self._pending = set(self._blocks) - self._pending
        self._note_change()

    @property
    def pending(self) -> bool:
        """Whether parts of the other mask are still on screen."""
        return bool(self._pending)

    def pending_in(self, index: Index, region: Region) -> list[Key]:
        """Return the blocks of a region of a plane that are yet to be exchanged."""
        return [key for key in self._keys(index, region) if key in self._pending]

    def hidden_labels(self, index: Index, region: Region) -> Values:
        """Return the mask that is not on screen, in a region of a plane.

        Without what was painted, which belongs to both.
        """
        labels = np.array(self._image.prediction(index, region))
        for key in self._keys(index, region):
            if key in self._blocks and key not in self._pending:
                here, there = zip(
                    *(
                        _overlap(whole, part)
                        for part, whole in zip(region, self._region(key), strict=True)
                    ),
                    strict=True,
                )
                labels[here] = self._blocks[key].labels()[there]
        return labels

    def exchange_next(self, first: Iterable[Key] = (), seconds: float = inf) -> None:
        """Exchange blocks for as long as there is time, one at least.

        Parameters
        ----------
        first
            Those that come before all others.
        seconds
            The time.
        """
        end = time.monotonic() + seconds
        for key in [*first, *self._pending]:
            if key in self._pending:
                self._exchange_blocks([key])
                if time.monotonic() >= end:
                    return

    def renumber(self, table: Values) -> None:
        """Give the hidden mask other values, as `table` lists them."""
        self._exchange_blocks(set(self._pending))
        for key, block in self._blocks.items():
            self._blocks[key] = _Block.of(table[block.labels()])

    def forget(self) -> None:
        """Keep the mask on screen only."""
        self._blocks.clear()
        self._pending.clear()
        self._reached = Reached()
        self.shown = self.hidden = None
        self.shows_earlier = False
        self._note_change()

    def _note_change(self) -> None:
        text = f"{self.shown} {self.hidden} {self.shows_earlier}"
        if text != self._text:
            self._text = text
            self.changed.emit()

    def _start(self) -> None:
        """Make the mask on screen the one before."""
        self._exchange_blocks(set(self._pending))
        self._blocks.clear()
        before = self.shown
        if before is None and self._image.counts:
            before = PAINTED
        self.hidden = before
        self._reached = self._image.reached.copy()

    def _exchange_blocks(self, keys: Collection[Key]) -> None:
        for key in keys:
            shown, hidden = self._shown_block(key), self._blocks[key]
            self._blocks[key] = _Block.of(shown)
            self._image.show_prediction(key[0], self._region(key), hidden.labels())
        self._pending.difference_update(keys)

    def _write_hidden(self, key: Key, region: Region, labels: Values) -> None:
        known = self._blocks.get(key)
        block = self._shown_block(key).copy() if known is None else known.labels()
        there, here = zip(
            *(
                _overlap(part, whole)
                for part, whole in zip(region, self._region(key), strict=True)
            ),
            strict=True,
        )
        block[there] = labels[here]
        self._blocks[key] = _Block.of(block)

    def _shown_block(self, key: Key) -> Values:
        return self._image.prediction(key[0], self._region(key))

    def _region(self, key: Key) -> Region:
        _, row, column = key
        height, width = self._image.mask.shape[-2:]
        return (
            slice(row * EDGE, min((row + 1) * EDGE, height)),
            slice(column * EDGE, min((column + 1) * EDGE, width)),
        )

    def _keys(self, index: Index, region: Region) -> Iterator[Key]:
        spans = (range(part.start // EDGE, -(-part.stop // EDGE)) for part in region)
        for row, column in product(*spans):
            yield tuple(index), row, column


@dataclass(frozen=True, slots=True)
class _Block:
    """Compressed labels."""

    data: bytes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, labels: Values) -> _Block:
        data = zlib.compress(labels.tobytes(), _LEVEL)
        return cls(data, labels.shape, labels.dtype)

    def labels(self) -> Values:
        """Return them, to be changed."""
        flat = np.frombuffer(bytearray(zlib.decompress(self.data)), self.dtype)
        return flat.reshape(self.shape)


def _overlap(part: slice, whole: slice) -> tuple[slice, slice]:
    """Return what two spans have in common, counted from the second and the first."""
    start, stop = max(part.start, whole.start), min(part.stop, whole.stop)
    return (
        slice(start - whole.start, stop - whole.start),
        slice(start - part.start, stop - part.start),
    )
