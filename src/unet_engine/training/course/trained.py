"""The checkpoint that a training makes, with a record of how it was made."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from unet_engine.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from unet_engine.training.config import FineTuneConfig
    from unet_engine.training.course.run_state import RunState
    from unet_engine.training.events import Validation


def trained_checkpoint(
    start: Checkpoint,
    weights: Mapping[str, npt.NDArray[Any]],
    state: RunState,
    record: Mapping[str, Any],
    config: FineTuneConfig,
) -> Checkpoint:
    """Return a trained model.

    Parameters
    ----------
    start
        The model that came in.
    weights
        The best ones.
    state
        Of the training. Where nothing was better, the weights are those of the start.
    record
        More for the history.
    config
        How it was trained.
    """
    assert state.before is not None
    after = state.best or state.before
    last: dict[str, Any] = {
        "parent": start.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "steps": after.step,
        "seconds": round(state.seconds, 1),
        "before": _figures(state.before),
        "after": _figures(after),
        **record,
        "config": asdict(config),
    }
    return Checkpoint(
        # What was measured of the old weights does not hold for these.
        spec=replace(start.spec, measured_halo=None, measured_error=None),
        weights=dict(weights),
        history=(*start.history, last),
    )


def _figures(validation: Validation) -> dict[str, float]:
    """Return what JSON can hold: a model without classes has no IoU."""
    figures = {"loss": validation.loss, "iou": validation.iou}
    return {name: value for name, value in figures.items() if math.isfinite(value)}
