"""Trainings that run in a thread. No Qt, layer or widget.

As in `_runs`, orders are made on the main thread, and torch is imported in the thread.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_unet.jobs.job import load_torch
from napari_unet.jobs.training_data import (
    LabelsRead,
    decide_added,
    describe_rules,
    training_pairs,
)
from napari_unet.state.untrained_model import UntrainedModel
from unet_engine.training.rescue import Unsaved, folders_for_windows, save_or_rescue

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_unet.jobs.training_data import LabelledImage
    from napari_unet.state.untrained_model import Model
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.state.workspace import Workspace
    from unet_engine.annotations.annotations import Annotations
    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint, ModelInfo
    from unet_engine.models.spec import ModelSpec
    from unet_engine.stopping import Stop
    from unet_engine.training.config import FineTuneConfig, PretrainConfig
    from unet_engine.training.events import FineTuned, Step, Validation
    from unet_engine.training.pairs import TrainingPair


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingOrder:
    """A training that was asked for.

    Attributes
    ----------
    model
        The model to start from.
    classes
        Names of all classes afterwards.
    touched
        WorkingImages with a copy of what was touched in them.
    labelled
        Images and labels the user added.
    config
        How to train.
    """

    model: Model
    classes: tuple[str, ...]
    touched: tuple[tuple[WorkingImage, Annotations], ...]
    labelled: tuple[LabelledImage, ...]
    config: FineTuneConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PretrainingOrder:
    """A pretraining that was asked for.

    Attributes
    ----------
    name
        Of the model that it makes, unless that is taken.
    spec
        Of a model without classes.
    images, config
        What to learn from, and how.
    """

    name: str
    spec: ModelSpec
    images: tuple[Image, ...]
    config: PretrainConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A training that ended.

    Attributes
    ----------
    result
        What was learned.
    model
        The new one; None if nothing was learned, or it could not be saved.
    unsaved
        The new one if it could not be saved, else None.
    """

    result: FineTuned
    model: ModelInfo | None
    unsaved: Unsaved | None = None


@dataclass(frozen=True, slots=True)
class Saving:
    """The training ended and its best model is saved next.

    Who does not want it any more ends the run here.
    """


def train_run(
    order: TrainingOrder, workspace: Workspace, stop: Stop
) -> Generator[LabelsRead | Step | Validation | Saving, None, Trained]:
    """Train a copy of the model and save it, if it became better, under a free name."""
    load_torch()
    from unet_engine.models.starting import model_of_planes
    from unet_engine.training.fine_tuning import fine_tune
    from unet_engine.training.forgetting import check_forgetting
    from unet_engine.training.pairs import recorded_pairs
    from unet_engine.training.remembered_crops import load_remembered

    workspace.store.check_writable()
    checkpoint = old = workspace.checkpoint(order.model, stop)
    remembered = (
        () if isinstance(order.model, UntrainedModel) else load_remembered(order.model)
    )
    rules = decide_added(order)
    if rules:
        yield LabelsRead(line=describe_rules(rules, order.classes))
    pairs, note = recorded_pairs(list(training_pairs(order, checkpoint.spec, rules)))
    base = _base_of(order.model, {pair.name for pair in pairs}, workspace)
    anew = base is not order.model
    if anew:
        checkpoint = workspace.checkpoint(base, stop)
    checkpoint = _with_classes(checkpoint, order.classes)
    result = yield from fine_tune(
        checkpoint,
        pairs,
        order.config,
        previous=old if anew else None,
        features_from=model_of_planes(workspace.store, checkpoint.spec.in_channels),
        stop=stop,
    )
    if note:
        sentence = f"{note[0].upper()}{note[1:]}."
        result = replace(result, notes=(*result.notes, sentence))
    if not result.improved:
        return Trained(result=result, model=None)
    result, kept = check_forgetting(
        result, old, remembered, pairs, device=order.config.device
    )
    *earlier, last = result.checkpoint.history
    kinship = {
        "parent": _parent_name(order.model, checkpoint),
        "base": _base_name(base),
    }
    history = (*earlier, {**last, **kinship})
    result = replace(result, checkpoint=replace(result.checkpoint, history=history))
    yield Saving()
    return _saved(workspace, _new_name(order.model), result, kept)


def _saved(
    workspace: Workspace,
    stem: str,
    result: FineTuned,
    crops: Sequence[TrainingPair] = (),
) -> Trained:
    """Save a new model under a free name; one that cannot be saved is kept."""
    store = workspace.store
    saved = save_or_rescue(
        store,
        store.free_name(stem),
        result.checkpoint,
        crops=crops,
        folders=folders_for_windows(),
    )
    if isinstance(saved, Unsaved):
        # The window that shows it may be closed by now.
        log.warning(
            "%s; the model %s is in %s",
            saved.reason,
            saved.name,
            saved.place or "memory only",
        )
        return Trained(result=result, model=None, unsaved=saved)
    return Trained(result=result, model=saved)


def _base_of(model: Model, names: set[str], workspace: Workspace) -> Model:
    """Return what is tuned: the model, or what it was tuned from.

    Trainings that follow one another forget what came first. A model that learned from
    nothing but what is here again is therefore learned anew, from all of it at once.
    """
    if isinstance(model, UntrainedModel) or not model.history:
        return model
    here = set(model.history[-1].get("data", ())) <= names
    return (workspace.base_of(model) if here else None) or model


def _base_name(model: Model) -> str:
    """Return the model in the store that weights came from; ``""`` if none did."""
    if not isinstance(model, UntrainedModel):
        return model.name
    parent = model.parent
    same = parent is not None and parent.spec.architecture == model.spec.architecture
    return parent.name if parent is not None and same else ""


def _with_classes(checkpoint: Checkpoint, classes: tuple[str, ...]) -> Checkpoint:
    from unet_engine.models.starting import adapt_checkpoint, start_features

    known = checkpoint.spec.classes
    if checkpoint.is_start or classes[: len(known)] != known:
        return start_features(checkpoint, classes=classes)
    return adapt_checkpoint(checkpoint, classes=classes)


def pretrain_run(
    order: PretrainingOrder, workspace: Workspace, stop: Stop
) -> Generator[Step | Validation | Saving, None, Trained]:
    """Train a new model without labels and save it, if it learned anything."""
    load_torch()
    from unet_engine.models.starting import start_checkpoint
    from unet_engine.training.pretraining import pretrain

    workspace.store.check_writable()
    start = start_checkpoint(order.spec, order.config.seed)
    result = yield from pretrain(start, order.images, order.config, stop=stop)
    if not result.improved:
        return Trained(result=result, model=None)
    yield Saving()
    return _saved(workspace, order.name, result)


def _new_name(model: Model) -> str:
    return model.name if isinstance(model, UntrainedModel) else tuned_name(model.name)


def _parent_name(model: Model, checkpoint: Checkpoint) -> str:
    if not isinstance(model, UntrainedModel):
        return model.name
    return model.parent.name if model.parent else checkpoint.name


def tuned_name(name: str) -> str:
    """Return the name of what comes out of tuning a model, to be made free.

    ``nuclei`` and ``nuclei-ft-3`` both become ``nuclei-ft``.
    """
    return re.sub(r"-ft(-\d+)?$", "", name) + "-ft"
