"""When a training no longer gains: what its evaluations show, and how long to wait."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unet_engine.training.validation import HeldOutScores

_LEAST_RISE = 0.005
"""Of the IoU that is a gain; less is noise even with many held-out pixels."""

_LEAST_FALL = 0.02
"""Share of the loss whose fall is a gain. With few held-out pixels the IoU soon stands
still, at 1 or in steps as large as a stroke, while the loss still shows what is
learned."""

_PATIENCE = 0.5
"""Share of the steps up to the last gain that are waited for the next one: what took
long may pause as long."""

_LEAST_PATIENCE = 60
"""Steps that are waited at least: the average of the weights is behind them by some
dozens, and a new last layer needs as many to gain anything."""


@dataclass(slots=True)
class Gains:
    """Follows evaluations and finds when they no longer get better.

    Attributes
    ----------
    iou, loss
        Of the last gains.
    step
        That the last gain followed, or from which they are waited for.
    """

    iou: float = -math.inf
    loss: float = math.inf
    step: int = 0

    def add(self, found: HeldOutScores, step: int) -> None:
        """Take an evaluation in that follows a step."""
        rise = not self.iou >= found.iou - _LEAST_RISE
        fall = found.loss < (1 - _LEAST_FALL) * self.loss
        if (rise and not math.isnan(found.iou)) or fall:
            self.step = step
        # Of many small rises the sum is a gain: only a gain moves the mark.
        if rise and not math.isnan(found.iou):
            self.iou = found.iou
        if fall:
            self.loss = found.loss

    def are_over(self, step: int) -> bool:
        """Whether the wait for the next gain is over after a step."""
        return step - self.step >= max(_LEAST_PATIENCE, _PATIENCE * self.step)
