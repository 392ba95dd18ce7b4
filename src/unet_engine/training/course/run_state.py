"""Where a training is, as plain values: what its next step depends on but weights."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from unet_engine.training.course.gains import Gains
from unet_engine.training.course.ranking import Ranking
from unet_engine.training.events import Validation
from unet_engine.training.mask_score import MaskScore
from unet_engine.training.validation import HeldOutScores


@dataclass(slots=True)
class RunState:
    """The course of a training so far.

    Attributes
    ----------
    step
        Steps that were taken.
    seconds
        That it took.
    evaluated_at
        Step that the last evaluation followed.
    next_evaluation
        Progress at which the next one is due.
    decay_from
        Step after which the decay began, because nothing was gained; 0: not yet.
    before, best
        Evaluation of the model that came in, and of the best weights, if any are.
    best_scores
        More of the second.
    ranking, gains
        What the evaluations so far mean for later ones.
    """

    step: int = 0
    seconds: float = 0.0
    evaluated_at: int = 0
    next_evaluation: float = 0.0
    decay_from: int = 0
    before: Validation | None = None
    best: Validation | None = None
    best_scores: HeldOutScores | None = None
    ranking: Ranking = field(default_factory=Ranking)
    gains: Gains = field(default_factory=Gains)

    def to_json(self) -> str:
        """Return all values as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RunState:
        """Read what ``to_json`` wrote.

        Raises
        ------
        ValueError, TypeError, KeyError
            When it is anything else.
        """
        values = json.loads(text)
        ranking = {name: _scores(one) for name, one in values["ranking"].items()}
        state = cls(
            **{
                **values,
                "before": _validation(values["before"]),
                "best": _validation(values["best"]),
                "best_scores": _scores(values["best_scores"]),
                "ranking": Ranking(**ranking),
                "gains": Gains(**values["gains"]),
            }
        )
        counts = state.step, state.evaluated_at, state.decay_from, state.gains.step
        if not all(isinstance(n, int) and 0 <= n <= state.step for n in counts):
            raise ValueError("its number of steps is none")
        if not (math.isfinite(state.seconds) and state.seconds >= 0):
            raise ValueError("its time is none")
        return state


def _validation(values: dict[str, Any] | None) -> Validation | None:
    if values is None:
        return None
    return Validation(
        step=int(values["step"]),
        loss=float(values["loss"]),
        iou=float(values["iou"]),
        best=bool(values["best"]),
        seconds=float(values["seconds"]),
        expected_iou=values["expected_iou"],
    )


def _scores(values: dict[str, Any] | None) -> HeldOutScores | None:
    if values is None:
        return None
    mask = values["mask"]
    known = None if mask is None else MaskScore(**_with_tuples(mask))
    return HeldOutScores(**{**_with_tuples(values), "mask": known})


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
