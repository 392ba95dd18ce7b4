"""``UntrainedModel``: a model that was described, not trained yet. No Qt, no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.images import match_channels
from unet_engine.models.architectures import ARCHITECTURES, starts_from
from unet_engine.models.checkpoint import ModelInfo
from unet_engine.models.fcn_trunks import FCN_FORMS
from unet_engine.models.spec import ModelSpec
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.store import ModelStore
    from unet_engine.stopping import Stop

    Load = Callable[[ModelInfo], Checkpoint]


@dataclass(frozen=True, slots=True, kw_only=True)
class UntrainedModel:
    """What a new model will be; its weights are made when it is trained.

    It takes the place of a `ModelInfo` until then. Untrained weights need no file: the
    same are made again from this at any time.

    Attributes
    ----------
    name
        That the trained model will get.
    spec
        What it is.
    parent
        The model it takes weights over from, or None.
    imagenet
        It starts from a classifier that was trained on ImageNet.
    """

    name: str
    spec: ModelSpec
    parent: ModelInfo | None = None
    imagenet: bool = False

    @property
    def known_as(self) -> tuple[str, ...]:
        """Names by which strokes know it."""
        return (self.name,)

    @property
    def history(self) -> tuple[dict[str, Any], ...]:
        """The trainings before it."""
        return self.parent.history if self.parent else ()

    @property
    def trained(self) -> bool:
        """Whether it was trained for its classes already, as a coarser network."""
        parent = self.parent
        return (
            parent is not None
            and parent.trained
            and self.spec.classes == parent.spec.classes
        )

    @property
    def transfers(self) -> bool:
        """Whether it starts from trained weights."""
        return self.imagenet or self.parent is not None

    @property
    def origin(self) -> str:
        """Where its weights come from, in words."""
        if self.imagenet:
            return f"{trunk_title(self.spec.architecture)} trained on ImageNet"
        return self.parent.name if self.parent else "random weights"


Model = ModelInfo | UntrainedModel
"""What can be chosen in the dock."""


def make_checkpoint(
    untrained: UntrainedModel, load: Load, *, stop: Stop = never
) -> Checkpoint:
    """Make the weights of an untrained model: the same ones every time. Imports torch.

    Parameters
    ----------
    untrained
        What is wanted.
    load
        Reads the model it starts from.
    stop
        Polled while weights are fetched.

    Raises
    ------
    EngineError
        When weights cannot be fetched or do not fit.
    """
    from unet_engine.models.starting import start_checkpoint, start_from, start_imagenet

    if untrained.imagenet:
        return start_imagenet(untrained.spec, stop=stop)
    if untrained.parent is None:
        return start_checkpoint(untrained.spec)
    return start_from(
        load(untrained.parent),
        untrained.spec.architecture,
        classes=untrained.spec.classes,
    )


def fitting_parents(
    architecture: str, ndim: int, models: Sequence[ModelInfo]
) -> tuple[ModelInfo, ...]:
    """Return the models that a new network can start from."""
    return tuple(
        model
        for model in models
        if starts_from(architecture, model.spec)
        and model.spec.ndim == ndim
        and (model.trained or not model.spec.classes)
    )


def start_for(image: Image | None, models: Sequence[Model]) -> ModelInfo | None:
    """Return the bundled start of every training, if it reads an image; else None.

    Parameters
    ----------
    image
        None: any.
    models
        Those there are.
    """
    for model in models:
        if (
            isinstance(model, ModelInfo)
            and model.bundled
            and model.is_start
            and (image is None or _reads(model, image))
        ):
            return model
    return None


def _reads(model: ModelInfo, image: Image) -> bool:
    try:
        match_channels(image, model.spec.in_channels)
    except DataError:
        return False
    return True


def two_classes_for(
    image: Image, models: Sequence[Model], store: ModelStore
) -> UntrainedModel:
    """Return a model of background and foreground for an image that no model fits.

    Parameters
    ----------
    image
        It gets the name of the image.
    models
        Its start is the bundled one among these; random weights where that does not
        read the image.
    store
        In which the name is free.
    """
    name = store.free_name(file_name(image.name))
    parent = start_for(image, models)
    spec = ModelSpec(in_channels=image.channels)
    if parent is not None:
        spec = parent.spec.changed(classes=spec.classes)
    return UntrainedModel(name=name, spec=spec, parent=parent)


def trunk_title(architecture: str) -> str:
    """Return the name of the classifier under an FCN; ``""`` for other networks."""
    form = FCN_FORMS.get(architecture)
    return ARCHITECTURES[architecture].title.partition(", ")[2] if form else ""


def file_name(text: str) -> str:
    """Return a text as a name that a model may have."""
    plain = re.sub(r"[^\w .()+-]+", "-", text).strip(" .-")
    return plain[:80].strip(" .-") or "image"
