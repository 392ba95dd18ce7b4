"""What a training yields while it works and what it returns: frozen, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.training.mask_score import MaskScore


_MISLEADING = 0.05
"""Loss of mean IoU that up to 16 crops cannot prove."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is odd about the images or labels, in one line."""

    line: str


@dataclass(frozen=True, slots=True)
class Saving:
    """The training ended and its best model is saved next.

    Closing the run here prevents that.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimiser step.

    Attributes
    ----------
    step
        Its number, from 1.
    loss
        On its crops.
    seconds
        Since the training began.
    seconds_left
        To its end; None as long as it goes on until it no longer gains.
    """

    step: int
    loss: float
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """One evaluation on the pixels that were held out.

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
    expected_iou
        Mean over the classes of the expected IoU of the mask, see ``mask_score``; NaN
        with too few held-out strokes for a score. None where all that is labelled is
        labelled densely: then ``iou`` is that of the mask, and not of some strokes.
    checkpoint
        That model, complete, when it is better than the one before training.
    """

    step: int
    loss: float
    iou: float
    best: bool
    seconds: float
    expected_iou: float | None = None
    checkpoint: Checkpoint | None = field(default=None, compare=False, repr=False)

    @property
    def mask_iou(self) -> float:
        """How right the mask is: expected, or on dense labels; NaN where unknown."""
        return self.iou if self.expected_iou is None else self.expected_iou


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChanged:
    """Labels or images were added or removed, and the next steps learn from them.

    Attributes
    ----------
    step
        Number of the step before.
    images, pixels
        How many are learned from, and how many pixels are labelled in them.
    before, best
        Evaluations of the model before the training and of the best one so far, if
        there is one, as they are on what is held out now.
    """

    step: int
    images: int
    pixels: int
    before: Validation
    best: Validation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """What is computed before the first step: how much of it is done.

    Attributes
    ----------
    what
        In a few words.
    done, total
        Parts of it.
    """

    what: str
    done: int
    total: int


TrainingEvent = Note | Preparing | Step | Validation | DataChanged
"""What a training yields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgettingCheck:
    """An old and a new model on the remembered crops of the old one.

    Attributes
    ----------
    before, after
        Mean IoU over the classes, in [0, 1], of the old and of the new model.
    crops
        How many crops they were compared on.
    """

    before: float
    after: float
    crops: int

    @property
    def forgot(self) -> bool:
        """Whether the new model is worse by more than a few crops can mislead."""
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
    converged
        True when it ended because it no longer gained, before its limit.
    notes
        What the user should know, one sentence each.
    forgetting
        How both do on what the old one had learned; None where nothing is kept of it.
    share
        Of the network beside the pixel classifier in what the model predicts.
    score_before, score_after
        Expected scores of the mask before the training and of the model's; None where
        all that is labelled is labelled densely: see ``before`` and ``after``.
    """

    checkpoint: Checkpoint
    improved: bool
    before: Validation
    after: Validation
    steps: int
    stopped: bool
    notes: tuple[str, ...] = field(default=())
    converged: bool = False
    forgetting: ForgettingCheck | None = None
    share: float = 1.0
    score_before: MaskScore | None = None
    score_after: MaskScore | None = None
