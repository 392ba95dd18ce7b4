"""Compare a new model with its parent on examples of what that had learned."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from unet_engine.compute.devices import choose_device
from unet_engine.compute.loading import folded_network
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.errors import EngineError
from unet_engine.training.events import ForgettingCheck
from unet_engine.training.remembered_crops import cut_crops, join_crops
from unet_engine.training.validation import HeldOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.devices import Device
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.training.events import FineTuned
    from unet_engine.training.pairs import TrainingPair

_FORGOT = (
    "On {} examples of what {} had learned the new model is worse: IoU {:.2f} before, "
    "{:.2f} now. Use it for images like these only."
)
_NOT_JUDGED = "It was not compared on what {} had learned: {}."
_ALL = 10**9


def check_forgetting(
    result: FineTuned,
    old: Checkpoint,
    examples: Sequence[TrainingPair],
    pairs: Sequence[TrainingPair],
    *,
    device: Device = "auto",
) -> tuple[FineTuned, list[TrainingPair]]:
    """Judge what a training made on examples of what its parent had learned.

    Examples of images that are here again are left out: their labels may be old.

    Parameters
    ----------
    result
        Of a training, perhaps of one that made nothing better.
    old
        The model that was to be made better.
    examples
        Of what that had learned.
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
        The examples that stay with the new model.
    """
    if not result.improved:
        return result, []
    here = {pair.name for pair in pairs}
    earlier = [example for example in examples if example.name not in here]
    try:
        found = replay(old, result.checkpoint, earlier, device=device)
    except EngineError as error:
        # What was learned is not lost for want of a comparison.
        note = _NOT_JUDGED.format(old.name or "the old model", error)
        kept = join_crops(cut_crops(pairs), earlier)
        return replace(result, notes=(*result.notes, note)), kept
    kept = join_crops(cut_crops(pairs), earlier if found else ())
    if found is None:
        return result, kept
    *history, last = result.checkpoint.history
    last = {**last, "replay": asdict(found)}
    note = _FORGOT.format(
        found.examples, old.name or "the old model", found.before, found.after
    )
    result = replace(
        result,
        checkpoint=replace(result.checkpoint, history=(*history, last)),
        notes=(*result.notes, note) if found.forgot else result.notes,
        replay=found,
    )
    return result, kept


def replay(
    old: Checkpoint,
    new: Checkpoint,
    examples: Sequence[TrainingPair],
    *,
    device: Device = "auto",
) -> ForgettingCheck | None:
    """Judge two models on examples.

    Parameters
    ----------
    old, new
        Of the same classes, though the new one may have further ones.
    examples
        Planes or volumes whose targets are classes of the old model.
    device
        As for a prediction.

    Returns
    -------
    ForgettingCheck or None
        None where the examples do not fit: there are none, or the models differ in
        dimensions, channels or the meaning of a class.
    """
    fitting = [e for e in examples if e.target.ndim == old.spec.ndim]
    known = old.spec.classes
    if (
        not fitting
        or old.spec.ndim != new.spec.ndim
        or new.spec.classes[: len(known)] != known
        or {e.image.shape[0] for e in fitting} != {old.spec.in_channels}
        or old.spec.in_channels != new.spec.in_channels
    ):
        return None
    before, after = (_iou(model, fitting, device) for model in (old, new))
    return ForgettingCheck(before=before, after=after, examples=len(fitting))


def _iou(
    checkpoint: Checkpoint, examples: Sequence[TrainingPair], device: Device
) -> float:
    chosen = choose_device(device)
    with translated_errors():
        network = folded_network(checkpoint).to(chosen)
        held_out = HeldOut(examples, checkpoint.spec, pixels=_ALL, seed=0)
        return held_out.evaluate(network, chosen).iou
