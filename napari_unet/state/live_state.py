"""``LiveState``: what Live has to do next, whatever happened in whichever order.

Pure: no Qt, no layer, no thread. Each event gives a new state by the table
``TRANSITIONS``; the widget that shows Live passes the events and reads the state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from unet_engine.places import Index

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_unet.state.working_image import WorkingImage
    from unet_engine.prediction.events import TileDone

Tile = tuple[Index, int, int]
"""Plane, first row and first column of a tile."""


class Learning(Enum):
    """Whether the strokes, with features of the chosen model, were learned from."""

    DONE = auto()
    DUE = auto()


class Mask(Enum):
    """What becomes of the mask on screen."""

    KEPT = auto()
    """It is a prediction of the model, which stays until something is painted."""
    REPLACED = auto()
    """By what is predicted from the strokes."""


class Camera(Enum):
    """Whether what is on screen is what the last run began with."""

    STILL = auto()
    MOVED = auto()


class LiveEvent(Enum):
    """What happens to Live."""

    IMAGE_CHOSEN = auto()
    """One without a prediction, or with strokes on it."""
    PREDICTED_IMAGE_CHOSEN = auto()
    """One with a prediction that is not painted on."""
    IMAGE_LEFT = auto()
    PAINTED = auto()
    """A stroke, an undo or a redo."""
    CAMERA_MOVED = auto()
    """Or a slider."""
    MODEL_CHOSEN = auto()
    PREDICTION_STARTED = auto()
    """By the button Predict: the mask is that of the model again."""
    RUN_STARTED = auto()
    """A run that learns, if that is due, and predicts what is on screen."""
    LEARNING_STOPPED = auto()
    """A run ended before it had learned from all strokes."""


State = Learning | Mask | Camera

TRANSITIONS: dict[LiveEvent, tuple[State, ...]] = {
    LiveEvent.IMAGE_CHOSEN: (Learning.DUE, Mask.REPLACED),
    LiveEvent.PREDICTED_IMAGE_CHOSEN: (Learning.DUE, Mask.KEPT),
    LiveEvent.IMAGE_LEFT: (),
    LiveEvent.PAINTED: (Learning.DUE, Mask.REPLACED),
    LiveEvent.CAMERA_MOVED: (Camera.MOVED,),
    LiveEvent.MODEL_CHOSEN: (Learning.DUE,),
    LiveEvent.PREDICTION_STARTED: (Learning.DONE, Mask.KEPT),
    LiveEvent.RUN_STARTED: (Learning.DONE, Camera.STILL),
    # Unless the mask is kept: then there is nothing to learn for until a stroke.
    LiveEvent.LEARNING_STOPPED: (Learning.DUE,),
}
"""What each event sets; what it does not name stays as it is."""

_OUTDATING = {
    LiveEvent.IMAGE_CHOSEN,
    LiveEvent.PREDICTED_IMAGE_CHOSEN,
    LiveEvent.PAINTED,
}
"""Events after which no tile on screen is up to date any more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WaitingTile:
    """A finished tile that is not in the mask yet: a stroke is being drawn.

    Attributes
    ----------
    generation
        Of the state in which its run began.
    working_image, classes
        Whose mask it belongs to, and the names of its classes.
    tile
        Its class ids.
    """

    generation: int
    working_image: WorkingImage
    classes: tuple[str, ...]
    tile: TileDone

    @property
    def key(self) -> Tile:
        """What identifies the tile."""
        rows, columns = self.tile.inner[-2:]
        return self.tile.index, rows.start, columns.start


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """What Live has to do next.

    Attributes
    ----------
    learning, mask, camera
        See there.
    generation
        Counts the events that made all tiles outdated.
    fresh
        Tiles of the mask that are up to date.
    waiting
        Tiles that will be written into the mask, in their order.
    """

    learning: Learning = Learning.DONE
    mask: Mask = Mask.KEPT
    camera: Camera = Camera.STILL
    generation: int = 0
    fresh: frozenset[Tile] = frozenset()
    waiting: tuple[WaitingTile, ...] = ()

    def after(self, event: LiveEvent) -> LiveState:
        """Return the state after an event."""
        changes = {_FIELDS[type(value)]: value for value in TRANSITIONS[event]}
        if event is LiveEvent.LEARNING_STOPPED and self.mask is Mask.KEPT:
            changes = {}
        state = replace(self, **changes)  # type: ignore[arg-type]
        if event in _OUTDATING:
            return replace(state, generation=self.generation + 1, fresh=frozenset())
        if event is LiveEvent.IMAGE_LEFT:
            return replace(state, waiting=())
        return state

    def with_waiting(self, tiles: Iterable[WaitingTile]) -> LiveState:
        """Return the state after tiles arrived."""
        return replace(self, waiting=(*self.waiting, *tiles))

    def with_written(self, tiles: Iterable[WaitingTile]) -> LiveState:
        """Return the state after all waiting tiles were taken up.

        Parameters
        ----------
        tiles
            Those that were written into the mask. They are up to date if nothing was
            painted since their run began.
        """
        fresh = {tile.key for tile in tiles if tile.generation == self.generation}
        return replace(self, waiting=(), fresh=self.fresh | fresh)

    @property
    def runs_again(self) -> bool:
        """Whether something happened since the run began that the next one is for."""
        return self.learning is Learning.DUE or self.camera is Camera.MOVED

    def may_run(self, *, learnable: bool) -> bool:
        """Return whether a run may begin.

        Parameters
        ----------
        learnable
            There are strokes of two classes; without them a run only prepares the
            features of what is on screen, and leaves the mask as it is.
        """
        return not learnable or self.mask is Mask.REPLACED


_FIELDS: dict[type[State], str] = {
    Learning: "learning",
    Mask: "mask",
    Camera: "camera",
}
