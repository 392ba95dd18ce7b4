"""What runs in a thread: predictions, trainings, downloads. No Qt, layer or widget.

Orders are made on the main thread from what is on screen; the generators here carry
them out and may import torch.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from napari_unet._drafts import Draft
from napari_unet._first_tile import first_tile
from napari_unet._jobs import load_torch
from napari_unet._preview import preview_tiles
from napari_unet._training_data import training_pairs
from unet_engine.errors import Cancelled
from unet_engine.results import ArrayResults

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_unet._drafts import Model
    from napari_unet._layers import Layout
    from napari_unet._preview import PreviewOrder, PreviewTile
    from napari_unet._subject import Index, Subject
    from napari_unet._training_data import LabelledImage
    from napari_unet._workspace import Workspace
    from unet_engine.annotations import Annotations
    from unet_engine.config import FineTuneConfig, PredictConfig, PretrainConfig
    from unet_engine.events import (
        Denoised,
        FineTuned,
        Prediction,
        Step,
        Stop,
        TileDenoised,
        TileDone,
        Validation,
    )
    from unet_engine.images import Image
    from unet_engine.plan import Place
    from unet_engine.spec import ModelSpec
    from unet_engine.store import Checkpoint, ModelInfo


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
    preview
        What of a smaller level comes first; None when the finest is on screen.
    """

    layer: Any
    subject: Subject
    model: Model
    config: PredictConfig
    indices: tuple[Index, ...] | None
    near: Callable[[], Place | None]
    preview: PreviewOrder | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenoisingOrder:
    """A denoising that was asked for.

    Attributes
    ----------
    layer
        The image layer; only to tell whether a result is still wanted.
    image, layout
        What, and the meaning of its layer's axes.
    model, config, indices, near
        As in a `PredictionOrder`.
    """

    layer: Any
    image: Image
    layout: Layout
    model: Model
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

    model: Model
    classes: tuple[str, ...]
    touched: tuple[tuple[Subject, Annotations], ...]
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
    """A training that ended; ``model`` is the new one, None if nothing was learned."""

    result: FineTuned
    model: ModelInfo | None


def predict_run(
    order: PredictionOrder, workspace: Workspace, stop: Stop
) -> Generator[PreviewTile | TileDone, None, Prediction | None]:
    """Predict, the preview first; see `unet_engine.inference.iter_predict`.

    Returns
    -------
    Prediction or None
        None when it was stopped before the first tile was begun.
    """
    load_torch()
    from unet_engine.inference import iter_predict

    checkpoint = workspace.checkpoint(order.model)
    if order.preview is not None:
        yield from preview_tiles(order.preview, checkpoint, order.config, stop)
    try:
        normalisation = order.subject.normalisation(checkpoint.spec, stop)
    except Cancelled:
        return None
    yield from first_tile(order, checkpoint, normalisation, stop)
    return (
        yield from iter_predict(
            order.subject.image,
            checkpoint,
            order.config,
            stop=stop,
            normalisation=normalisation,
            indices=order.indices,
            near=order.near,
            into=Nowhere(),
        )
    )


class Nowhere(ArrayResults):
    """No results: the mask takes the tiles as they come, and is the only copy."""

    def __init__(self) -> None:
        super().__init__(labels=None)

    def write(self, *_: Any) -> None:
        """Let go of a tile."""


def denoise_run(
    order: DenoisingOrder, workspace: Workspace, stop: Stop
) -> Generator[TileDenoised, None, Denoised]:
    """Take the noise out of an image; see `unet_engine.denoising.iter_denoise`."""
    load_torch()
    from unet_engine.denoising import iter_denoise

    return (
        yield from iter_denoise(
            order.image,
            workspace.checkpoint(order.model),
            order.config,
            stop=stop,
            indices=order.indices,
            near=order.near,
        )
    )


def train_run(
    order: TrainingOrder, workspace: Workspace, stop: Stop
) -> Generator[Step | Validation, None, Trained]:
    """Train a copy of the model and save it, if it became better, under a free name."""
    load_torch()
    from unet_engine.training import fine_tune

    workspace.store.check_writable()
    checkpoint = workspace.checkpoint(order.model, stop)
    pairs = list(training_pairs(order, checkpoint.spec))
    base = _base_of(order.model, {pair.name for pair in pairs}, workspace)
    if base is not order.model:
        checkpoint = workspace.checkpoint(base, stop)
    checkpoint = _with_classes(checkpoint, order.classes)
    result = yield from fine_tune(checkpoint, pairs, order.config, stop=stop)
    if not result.improved:
        return Trained(result=result, model=None)
    *earlier, last = result.checkpoint.history
    kinship = {
        "parent": _parent_name(order.model, checkpoint),
        "base": _base_name(base),
    }
    history = (*earlier, {**last, **kinship})
    name = workspace.store.free_name(_new_name(order.model))
    model = workspace.store.save(name, replace(result.checkpoint, history=history))
    return Trained(result=result, model=model)


def _base_of(model: Model, names: set[str], workspace: Workspace) -> Model:
    """Return what is tuned: the model, or what it was tuned from.

    Trainings that follow one another forget what came first. A model that learned from
    nothing but what is here again is therefore learned anew, from all of it at once.
    """
    if isinstance(model, Draft) or not model.history:
        return model
    here = set(model.history[-1].get("data", ())) <= names
    return (workspace.base_of(model) if here else None) or model


def _base_name(model: Model) -> str:
    """Return the model in the store that weights came from; ``""`` if none did."""
    if not isinstance(model, Draft):
        return model.name
    parent = model.parent
    same = parent is not None and parent.spec.architecture == model.spec.architecture
    return parent.name if parent is not None and same else ""


def _with_classes(checkpoint: Checkpoint, classes: tuple[str, ...]) -> Checkpoint:
    from unet_engine.training import adapt_checkpoint
    from unet_engine.warm_starts import start_features

    known = checkpoint.spec.classes
    if checkpoint.is_start or classes[: len(known)] != known:
        return start_features(checkpoint, classes=classes)
    return adapt_checkpoint(checkpoint, classes=classes)


def pretrain_run(
    order: PretrainingOrder, workspace: Workspace, stop: Stop
) -> Generator[Step | Validation, None, Trained]:
    """Train a new model without labels and save it, if it learned anything."""
    load_torch()
    from unet_engine.pretraining import pretrain
    from unet_engine.training import start_checkpoint

    workspace.store.check_writable()
    start = start_checkpoint(order.spec, order.config.seed)
    result = yield from pretrain(start, order.images, order.config, stop=stop)
    if not result.improved:
        return Trained(result=result, model=None)
    name = workspace.store.free_name(order.name)
    return Trained(result=result, model=workspace.store.save(name, result.checkpoint))


def fetch_run(trunk: str, stop: Stop) -> Generator[tuple[int, int], None, None]:
    """Fetch the weights of a classifier, if they are not there yet.

    Yields
    ------
    tuple
        Bytes that arrived, and bytes in all or 0.
    """
    load_torch()
    from unet_engine.networks.imagenet import imagenet_weights

    heard: SimpleQueue[tuple[int, int]] = SimpleQueue()

    def fetch() -> None:
        imagenet_weights(trunk, progress=lambda *n: heard.put(n), stop=stop)

    # A callback cannot yield, so the download gets a thread of its own.
    with ThreadPoolExecutor(1) as pool:
        download = pool.submit(fetch)
        while not download.done():
            with suppress(Empty):
                yield heard.get(timeout=0.1)
        download.result()


def _new_name(model: Model) -> str:
    return model.name if isinstance(model, Draft) else tuned_name(model.name)


def _parent_name(model: Model, checkpoint: Checkpoint) -> str:
    if not isinstance(model, Draft):
        return model.name
    return model.parent.name if model.parent else checkpoint.name


def tuned_name(name: str) -> str:
    """Return the name of what comes out of tuning a model, to be made free.

    ``nuclei`` and ``nuclei-ft-3`` both become ``nuclei-ft``.
    """
    return re.sub(r"-ft(-\d+)?$", "", name) + "-ft"
