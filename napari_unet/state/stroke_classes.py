"""Strokes and models: which strokes a model can learn from, and whose they are.

No Qt and no layer. A value that was painted stands for the name that its class had
then (`WorkingImage.names`); models are compared with it by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.state.untrained_model import UntrainedModel
from unet_engine.errors import SpecError
from unet_engine.models.checkpoint import ModelInfo
from unet_engine.models.lineage import find_known
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.fitting import why_classes_missing, why_not_read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_unet.state.untrained_model import Model
    from napari_unet.state.working_image import WorkingImage

_ASSUMED = (
    "The names of the classes were not saved with these strokes: they are taken for "
    "those of {0}. Choose another model if that is wrong."
)
_GONE = "They were painted for the model {0}, which is not there any more."


def model_identity(model: Model | None, added: Sequence[str]) -> dict[str, Any]:
    """Return what identifies a model, as JSON can hold it.

    Parameters
    ----------
    model
        The chosen one. An untrained model is described as a whole: it is in no file.
    added
        Names of the classes that the next training adds to it.
    """
    if model is None:
        return {}
    identity: dict[str, Any] = {"name": model.name, "added": list(added)}
    if isinstance(model, UntrainedModel):
        identity["untrained"] = {
            "spec": model.spec.to_dict(),
            "parent": model.parent.name if model.parent else None,
            "imagenet": model.imagenet,
        }
    return identity


def model_of(identity: Mapping[str, Any], models: Sequence[Model]) -> Model | None:
    """Return the model that strokes were painted for, if it is there.

    An untrained model that was not trained when the program ended is made again.

    Parameters
    ----------
    identity
        What `model_identity` returned.
    models
        Those there are.
    """
    if (known := find_known(str(identity.get("name") or ""), models)) is not None:
        return known
    untrained = identity.get("untrained")
    if not isinstance(untrained, dict):
        return None
    parent = find_known(str(untrained.get("parent") or ""), models)
    if untrained.get("parent") and not isinstance(parent, ModelInfo):
        return None
    try:
        return UntrainedModel(
            name=str(identity["name"]),
            spec=ModelSpec.from_dict(untrained["spec"]),
            parent=parent if isinstance(parent, ModelInfo) else None,
            imagenet=bool(untrained.get("imagenet")),
        )
    except (SpecError, KeyError, TypeError):
        return None


def added_to(identity: Mapping[str, Any], model: Model | None) -> tuple[str, ...]:
    """Return the classes added to a model when strokes were painted for it."""
    if model is None or identity.get("name") not in model.known_as:
        return ()
    added = identity.get("added", ())
    return tuple(name for name in added if name not in model.spec.classes)


def why_not_learned(
    working_image: WorkingImage,
    model: Model,
    classes: Sequence[str],
    models: Sequence[Model],
) -> str:
    """Return why a model cannot learn from the strokes on an image, and what to do.

    Parameters
    ----------
    working_image
        The image and its strokes.
    model, classes
        The chosen model, and its classes with those that were added to it.
    models
        All there are.

    Returns
    -------
    str
        A line; empty when it can.
    """
    if reason := why_not_read(working_image.image, model.spec):
        return reason
    painted = working_image.painted
    if set(painted) <= set(classes):
        return ""
    fits = fitting_model(working_image, models)
    return why_classes_missing(
        working_image.image.name,
        painted,
        model.name,
        classes,
        fitting=fits.name if fits is not None else "",
    )


def fitting_model(working_image: WorkingImage, models: Sequence[Model]) -> Model | None:
    """Return a model that has all classes painted: that of the strokes comes first."""
    name = working_image.annotations.painted.model.get("name")
    painted = set(working_image.painted)
    fitting = [m for m in models if painted <= set(m.spec.classes)]
    fitting = [m for m in fitting if not why_not_read(working_image.image, m.spec)]
    known = find_known(str(name or ""), fitting)
    return known or next(iter(fitting), None)


def notice(working_image: WorkingImage, model: Model, why: str) -> str:
    """Return the sentence on the classes of strokes that the dock shows, or nothing.

    Parameters
    ----------
    working_image, model
        The image, and the chosen model.
    why
        What `why_not_learned` returned.
    """
    if working_image.assumed_names:
        return _ASSUMED.format(model.name)
    return f"{why[:1].upper()}{why[1:]}." if why else ""


def gone(identity: Mapping[str, Any]) -> str:
    """Return the sentence on a missing model that strokes were painted for."""
    return _GONE.format(identity["name"]) if identity.get("name") else ""


def classes_for_new(
    working_image: WorkingImage, classes: Sequence[str]
) -> tuple[str, ...]:
    """Return the classes of a new model for the strokes of an image.

    Parameters
    ----------
    working_image
        The image.
    classes
        Of the chosen model, which are those unless others were painted.
    """
    painted = working_image.painted
    if not classes:
        return working_image.names
    if set(painted) <= set(classes):
        return tuple(classes)
    first = working_image.names[:1]
    return (*(name for name in first if name not in painted), *painted)
