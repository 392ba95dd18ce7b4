"""The rounds of training that led to a model: what was labelled, and the score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unet_engine.models.collection.scores import (
    by_class,
    counts,
    mapping,
    number,
    recorded_score,
)
from unet_engine.models.lineage import ancestors_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.collection.scores import Basis, Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRow:
    """A round of training.

    Attributes
    ----------
    model
        Name of the model that it made.
    created
        When it ended, ISO 8601; ``""`` if not recorded.
    images
        How many were learned from; None if not recorded.
    strokes, pixels
        By class, of all that was learned from; empty if not recorded.
    painting_minutes
        Time that the strokes so far took; None if not recorded.
    training_minutes
        Of this round; None if not recorded.
    score
        Mean over the classes; None where there is none to rely on.
    classes
        Score of each class, where it is known.
    basis
        What the scores are.
    """

    model: str
    created: str = ""
    images: int | None = None
    strokes: Mapping[str, int] = field(default_factory=dict)
    pixels: Mapping[str, int] = field(default_factory=dict)
    painting_minutes: float | None = None
    training_minutes: float | None = None
    score: Interval | None = None
    classes: Mapping[str, Interval] = field(default_factory=dict)
    basis: Basis = ""

    @property
    def stroke_count(self) -> int | None:
        """Strokes of all classes; None if not recorded, or there are label images."""
        return sum(self.strokes.values()) or None


def learning_curve(
    model: ModelInfo, models: Sequence[ModelInfo]
) -> tuple[RoundRow, ...]:
    """Return the rounds that led to a model, the first one first.

    Rounds of models that came with the package are not among them, and those of models
    that are not there any more are left out.

    Parameters
    ----------
    model
        The last one.
    models
        Those there are.
    """
    line = [each.model for each in reversed(ancestors_of(model, models))]
    return rows_of([*filter(None, line), model])


def rows_of(line: Sequence[ModelInfo]) -> tuple[RoundRow, ...]:
    """Return a row for each model of a lineage that was trained here.

    Parameters
    ----------
    line
        The first model first.
    """
    return tuple(_row(m) for m in line if m.history and not m.bundled)


def _row(model: ModelInfo) -> RoundRow:
    last = model.history[-1]
    labels = mapping(last.get("labels"))
    painted = number(labels.get("painting_seconds"))
    seconds = number(last.get("seconds"))
    images = number(labels.get("images"))
    score = recorded_score(model)
    return RoundRow(
        model=model.name,
        created=str(last.get("created") or ""),
        images=None if images is None else int(images),
        strokes=by_class(counts(labels.get("strokes")), model.spec.classes),
        pixels=by_class(counts(labels.get("pixels")), model.spec.classes),
        painting_minutes=None if not painted else painted / 60,
        training_minutes=None if seconds is None else seconds / 60,
        score=score.mean,
        classes=score.classes,
        basis=score.basis,
    )
