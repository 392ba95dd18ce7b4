"""Which evaluation of a training has the best weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unet_engine.training.validation import HeldOutScores

_CHANGE_COST = 5.0
"""What a changed share of the unlabelled rest costs, in IoU."""


@dataclass(slots=True)
class Ranking:
    """Compares evaluations with the first one and with the highest so far.

    Attributes
    ----------
    first
        Of the model before the training.
    highest
        That no later one has exceeded; None where none was better than the first.
    """

    first: HeldOutScores | None = None
    highest: HeldOutScores | None = None

    def is_best(self, found: HeldOutScores, tolerance: float) -> bool:
        """Take an evaluation in; whether its weights are to be preferred from now on.

        Parameters
        ----------
        found
            Of the averaged weights.
        tolerance
            Loss of IoU up to which later weights are preferred to the highest.
        """
        if self.first is None:
            self.first = found
            return True
        # Change of the rest ranks the candidates but forbids none of them: a model that
        # was wrong nearly everywhere has to change nearly everywhere.
        overtakes = found.overtakes
        if overtakes is None:
            overtakes = is_better(found, self.first, change_cost=0.0)
        if not overtakes:
            return False
        if self.highest is None or is_better(
            found, self.highest, change_cost=_CHANGE_COST
        ):
            self.highest = found
            return True
        return found.score >= self.highest.score - tolerance


def is_better(new: HeldOutScores, old: HeldOutScores, *, change_cost: float) -> bool:
    """Compare by score less the cost of changes; where that is equal, by loss."""
    if not math.isfinite(new.loss):
        return False
    if math.isnan(new.iou):
        return new.loss < old.loss
    score, best = (
        round(one.score - change_cost * one.changed, 4) for one in (new, old)
    )
    return (score, -new.loss) > (best, -old.loss)
