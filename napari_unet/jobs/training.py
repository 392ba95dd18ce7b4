"""Trainings that run in a thread. No Qt, layer or widget.

As in `jobs.prediction`, orders are made on the main thread, and torch is imported in
the thread.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.jobs.job import load_torch
from napari_unet.jobs.training_data import LabelsRead, decide_added, describe_rules
from napari_unet.state.untrained_model import UntrainedModel
from unet_engine.training.data.sources import Source
from unet_engine.training.saving import Trained, folders_for_windows, train_and_save

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_unet.jobs.training_data import AddedLabels
    from napari_unet.state.untrained_model import Model
    from napari_unet.state.workspace import Workspace
    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec
    from unet_engine.stopping import Stop
    from unet_engine.training.config import FineTuneConfig, PretrainConfig
    from unet_engine.training.data.labelled_images import LabelledImage, PaintedImage
    from unet_engine.training.data.sources import Latest
    from unet_engine.training.events import Saving, TrainingEvent


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingOrder:
    """What a training needs.

    Attributes
    ----------
    model
        The model to start from.
    classes
        Names of all classes afterwards.
    touched
        Images with a copy of what was painted on them, with values of ``classes``; the
        window posts them anew while the training runs.
    labelled
        Images and labels the user added.
    config
        How to train.
    """

    model: Model
    classes: tuple[str, ...]
    touched: Latest[PaintedImage]
    labelled: tuple[AddedLabels, ...]
    config: FineTuneConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PretrainingOrder:
    """What a pretraining needs.

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


def train_run(
    order: TrainingOrder, workspace: Workspace, stop: Stop
) -> Generator[LabelsRead | TrainingEvent | Saving, None, Trained]:
    """Train a copy of the model and save it, if it became better, under a free name."""
    load_torch()
    stop = workspace.priority.giving_way(stop)
    from unet_engine.models.starting import with_classes
    from unet_engine.training.rounds import Round, train_round

    store, model = workspace.store, order.model
    store.check_writable()
    checkpoint = workspace.checkpoint(model, stop)
    labelled = decide_added(order.labelled, order.classes)
    if labelled:
        yield LabelsRead(line=describe_rules(labelled, order.classes))
    untrained = isinstance(model, UntrainedModel)
    training = Round(
        start=with_classes(checkpoint, order.classes, seed=order.config.seed),
        data=_Data(order.touched, labelled),
        config=order.config,
        name=name_for(model),
        parent=model.parent if isinstance(model, UntrainedModel) else model,
        old=None if untrained else checkpoint,
        restarts=not untrained,
        resumes=True,
    )
    trained = yield from train_round(
        training, store, folders=folders_for_windows(), stop=stop
    )
    return _logged(trained)


def _logged(trained: Trained) -> Trained:
    """Log where a model is that could not be saved: its window may be closed by now."""
    if (unsaved := trained.unsaved) is not None:
        place = unsaved.place or "memory only"
        log.warning("%s; the model %s is in %s", unsaved.reason, unsaved.name, place)
    return trained


def pretrain_run(
    order: PretrainingOrder, workspace: Workspace, stop: Stop
) -> Generator[TrainingEvent | Saving, None, Trained]:
    """Train a new model without labels and save it, if it learned anything."""
    load_torch()
    from unet_engine.models.starting import start_checkpoint
    from unet_engine.training.pretraining import iter_pretrain

    workspace.store.check_writable()
    start = start_checkpoint(order.spec, order.config.seed)
    trained = yield from train_and_save(
        iter_pretrain(start, order.images, order.config, stop=stop),
        workspace.store,
        order.name,
        folders=folders_for_windows(),
    )
    return _logged(trained)


class _Data(Source["LabelledImage | PaintedImage"]):
    """What was painted, as it is now, and the labelled images."""

    def __init__(
        self, touched: Latest[PaintedImage], labelled: tuple[LabelledImage, ...]
    ) -> None:
        self._touched, self._labelled = touched, labelled

    def poll(self) -> tuple[LabelledImage | PaintedImage, ...] | None:
        """Return all of it where strokes were made since, else None."""
        touched = self._touched.poll()
        return None if touched is None else (*touched, *self._labelled)


def name_for(model: Model) -> str:
    """Return the name of what comes out of training a model, to be made free."""
    return model.name if isinstance(model, UntrainedModel) else tuned_name(model.name)


def tuned_name(name: str) -> str:
    """Return the name of what comes out of tuning a model, to be made free.

    ``nuclei`` and ``nuclei-ft-3`` both become ``nuclei-ft``.
    """
    return re.sub(r"-ft(-\d+)?$", "", name) + "-ft"
