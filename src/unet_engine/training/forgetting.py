"""Compare a new model with its parent on the crops that stayed beside that one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unet_engine.compute.devices import choose_device
from unet_engine.compute.loading import folded_network
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.errors import EngineError
from unet_engine.training.data.remembered_crops import cut_crops, join_crops
from unet_engine.training.events import ForgettingCheck
from unet_engine.training.validation import HeldOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.devices import Device
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.training.events import FineTuned

_FORGOT = (
    "On {} crops of what {} had learned the new model is worse: IoU {:.2f} before, "
    "{:.2f} now. Use it for images like these only."
)
_NOT_JUDGED = "It was not compared on what {} had learned: {}."
_ALL = 10**9
"""Pixels: more than remembered crops have, so that none is left out."""


def check_forgetting(
    result: FineTuned,
    old: Checkpoint,
    remembered: Sequence[TrainingPair],
    pairs: Sequence[TrainingPair],
    *,
    device: Device = "auto",
) -> tuple[FineTuned, list[TrainingPair]]:
    """Compare what a training made with its parent on what that had learned.

    Crops of images that are here again are left out: their labels may be old.

    Parameters
    ----------
    result
        Of a training, perhaps of one that made nothing better.
    old
        The model that was to be made better.
    remembered
        The crops beside it.
    pairs
        What the new one learned from.
    device
        As for a prediction.

    Returns
    -------
    FineTuned
        With the comparison, also in the last entry of the history of the model, and
        with a note where the new model is worse, or could not be judged.
    list of TrainingPair
        The crops that stay with the new model.
    """
    if not result.improved:
        return result, []
    here = {pair.name for pair in pairs}
    earlier = [crop for crop in remembered if crop.name not in here]
    try:
        found = compare(old, result.checkpoint, earlier, device=device)
    except EngineError as error:
        # What was learned is not lost for want of a comparison.
        note = _NOT_JUDGED.format(old.name or "the old model", error)
        kept = join_crops(cut_crops(pairs), earlier)
        return replace(result, notes=(*result.notes, note)), kept
    kept = join_crops(cut_crops(pairs), earlier if found else ())
    if found is None:
        return result, kept
    *history, last = result.checkpoint.history
    last = {**last, "replay": _record(found)}
    note = _FORGOT.format(
        found.crops, old.name or "the old model", found.before, found.after
    )
    result = replace(
        result,
        checkpoint=replace(result.checkpoint, history=(*history, last)),
        notes=(*result.notes, note) if found.forgot else result.notes,
        forgetting=found,
    )
    return result, kept


def compare(
    old: Checkpoint,
    new: Checkpoint,
    crops: Sequence[TrainingPair],
    *,
    device: Device = "auto",
) -> ForgettingCheck | None:
    """Measure two models on labelled crops.

    Parameters
    ----------
    old, new
        Of the same classes, though the new one may have further ones.
    crops
        Planes or volumes whose targets are classes of the old model.
    device
        As for a prediction.

    Returns
    -------
    ForgettingCheck or None
        None where the crops do not fit: there are none, or the models differ in
        dimensions, channels or the meaning of a class.
    """
    fitting = [crop for crop in crops if crop.target.ndim == old.spec.ndim]
    known = old.spec.classes
    if (
        not fitting
        or old.spec.ndim != new.spec.ndim
        or new.spec.classes[: len(known)] != known
        or {crop.image.shape[0] for crop in fitting} != {old.spec.in_channels}
        or old.spec.in_channels != new.spec.in_channels
    ):
        return None
    before, after = (_iou(model, fitting, device) for model in (old, new))
    return ForgettingCheck(before=before, after=after, crops=len(fitting))


def _record(found: ForgettingCheck) -> dict[str, float]:
    """Return it as histories of models hold it."""
    return {"before": found.before, "after": found.after, "examples": found.crops}


def _iou(
    checkpoint: Checkpoint, crops: Sequence[TrainingPair], device: Device
) -> float:
    chosen = choose_device(device)
    with translated_errors():
        network = folded_network(checkpoint).to(chosen)
        held_out = HeldOut(crops, checkpoint.spec, pixels=_ALL, seed=0)
        return held_out.evaluate(network, chosen).iou
