"""What runs in a thread: a prediction, a training. No Qt, no layer, no widget.

Orders are made on the main thread from what is on screen; the generators here carry
them out and may import torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_unet._jobs import load_torch
from napari_unet._training_data import training_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_unet._subject import Index, Subject
    from napari_unet._training_data import LabelledImage
    from napari_unet._workspace import Workspace
    from unet_engine.annotations import Annotations
    from unet_engine.config import FineTuneConfig, PredictConfig
    from unet_engine.events import (
        FineTuned,
        Prediction,
        Step,
        Stop,
        TileDone,
        Validation,
    )
    from unet_engine.plan import Place
    from unet_engine.store import ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PredictionOrder:
    """A prediction that was asked for.

    Attributes
    ----------
    layer
        The image layer; only to tell whether a result is still wanted.
    subject, model, config
        What, by which model, and how.
    indices
        Planes to predict; None for all.
    near
        Asked before every tile for the place on screen; must not touch Qt.
    """

    layer: Any
    subject: Subject
    model: ModelInfo
    config: PredictConfig
    indices: tuple[Index, ...] | None
    near: Callable[[], Place | None]


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
        Subjects with a copy of what was touched in them.
    labelled
        Images and labels the user added.
    config
        How to train.
    """

    model: ModelInfo
    classes: tuple[str, ...]
    touched: tuple[tuple[Subject, Annotations], ...]
    labelled: tuple[LabelledImage, ...]
    config: FineTuneConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A training that ended; ``model`` is the new one, None if nothing was learned."""

    result: FineTuned
    model: ModelInfo | None


def predict_run(
    order: PredictionOrder, workspace: Workspace, stop: Stop
) -> Generator[TileDone, None, Prediction]:
    """Predict; see `unet_engine.inference.iter_predict`."""
    load_torch()
    from unet_engine.inference import iter_predict

    checkpoint = workspace.checkpoint(order.model)
    return (
        yield from iter_predict(
            order.subject.image,
            checkpoint,
            order.config,
            stop=stop,
            normalisation=order.subject.normalisation(checkpoint.spec),
            indices=order.indices,
            near=order.near,
        )
    )


def train_run(
    order: TrainingOrder, workspace: Workspace, stop: Stop
) -> Generator[Step | Validation, None, Trained]:
    """Train a copy of the model and save it, if it became better, under a free name."""
    load_torch()
    from unet_engine.training import adapt_checkpoint, fine_tune

    workspace.store.check_writable()
    checkpoint = adapt_checkpoint(
        workspace.checkpoint(order.model), classes=order.classes
    )
    pairs = list(training_pairs(order, checkpoint.spec))
    result = yield from fine_tune(checkpoint, pairs, order.config, stop=stop)
    if not result.improved:
        return Trained(result=result, model=None)
    *earlier, last = result.checkpoint.history
    history = (*earlier, {**last, "parent": order.model.name})
    name = workspace.store.free_name(tuned_name(order.model.name))
    model = workspace.store.save(name, replace(result.checkpoint, history=history))
    return Trained(result=result, model=model)


def tuned_name(name: str) -> str:
    """Return the name of what comes out of tuning a model, to be made free.

    ``nuclei`` and ``nuclei-ft-3`` both become ``nuclei-ft``.
    """
    return re.sub(r"-ft(-\d+)?$", "", name) + "-ft"
