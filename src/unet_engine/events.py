"""What a run tells while it works and what it returns: frozen, without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from unet_engine.store import Checkpoint

_MISLEADING = 0.05

Stop = Callable[[], bool]
"""Polled every tile or training step; ``True`` ends the run with what it has."""


def never() -> bool:
    """Never stop: the default of every run."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileDone:
    """One finished tile of a prediction.

    Attributes
    ----------
    index
        Position along the leading axes (``()`` for a plane, ``(z,)`` in a stack).
    inner
        Slices of the tile in the plane, ``(Y, X)``.
    labels
        ``(h, w)`` uint8 class ids.
    probabilities
        ``(classes, h, w)`` float32 in [0, 1], or None when they were not asked for.
    done, total
        Tiles finished so far, this one included, and tiles in the run.
    notes
        What happened so far, such as that memory ran out and how it goes on; one
        sentence each.
    """

    index: tuple[int, ...]
    inner: tuple[slice, ...]
    labels: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32] | None
    done: int
    total: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """The result of a prediction.

    Attributes
    ----------
    labels
        ``(*leading, Y, X)`` uint8 class ids; of a run to disk an array-like that reads
        what it is sliced for.
    probabilities
        ``(classes, *leading, Y, X)`` float32 in [0, 1], likewise, or None.
    complete
        False when the run was stopped: tiles that are missing are class 0.
    device
        Where it ran, such as ``"cpu"``.
    notes
        What the user should know about the input, one sentence each.
    """

    labels: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32] | None
    complete: bool
    device: str
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileDenoised:
    """One finished tile of a denoising.

    Attributes
    ----------
    index, inner, done, total, notes
        As in ``TileDone``.
    image
        ``(C, *inner)`` float32, in the range of the image that came in.
    """

    index: tuple[int, ...]
    inner: tuple[slice, ...]
    image: npt.NDArray[np.float32]
    done: int
    total: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Denoised:
    """The result of a denoising.

    Attributes
    ----------
    image
        ``(C, *leading, Y, X)`` float32, in the range of the image that came in.
    complete
        False when the run was stopped: tiles that are missing are 0.
    device, seconds, notes
        As in ``Prediction``.
    """

    image: npt.NDArray[np.float32]
    complete: bool
    device: str
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimiser step: its number from 1, its loss, and the time used and left."""

    step: int
    loss: float
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """One look at the pixels that were held out.

    Attributes
    ----------
    step
        Number of the step it follows; 0 is the model before training.
    loss
        Mean cross entropy over the held-out pixels.
    iou
        Mean over the classes present of intersection over union, in [0, 1]; NaN of a
        model without classes, whose loss is a mean square error.
    best
        True when this is the best model so far.
    """

    step: int
    loss: float
    iou: float
    best: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How the old and the new model do on examples of what the old one had learned.

    Attributes
    ----------
    before, after
        Mean IoU over the classes, of the old and of the new model.
    examples
        How many there are.
    """

    before: float
    after: float
    examples: int

    @property
    def forgot(self) -> bool:
        """Whether the new model is worse by more than a few examples can mislead."""
        return self.after < self.before - _MISLEADING


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FineTuned:
    """The result of a training.

    Attributes
    ----------
    checkpoint
        The best model: the new one, or the very object that went in when
        ``improved`` is False.
    improved
        False when no validation beat the model that went in.
    before, after
        Validation of the model that went in and of the best one.
    stopped
        True when the run was ended by ``stop``.
    notes
        What the user should know, one sentence each.
    replay
        How both do on what the old one had learned; None where nothing is kept of it.
    """

    checkpoint: Checkpoint
    improved: bool
    before: Validation
    after: Validation
    steps: int
    stopped: bool
    notes: tuple[str, ...] = field(default=())
    replay: Replay | None = None
