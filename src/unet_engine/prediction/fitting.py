"""Why a model does not fit an image, for window, command line and proposals."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Protocol

from unet_engine.errors import EngineError
from unet_engine.images import match_channels
from unet_engine.models.checkpoint import ModelInfo
from unet_engine.prediction.plan import check_axes
from unet_engine.wording import setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec


class AnyModel(Protocol):
    """A model in a file, or one that was described and is not trained yet."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def spec(self) -> ModelSpec:
        """What it is."""

    @property
    def trained(self) -> bool:
        """Whether it learned its classes."""


def why_not_used(
    model: AnyModel,
    image: Image | None = None,
    painted: Sequence[str] = (),
    *,
    added: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return all reasons why a model cannot be used on an image, with what to do.

    Nothing but the header of the model was read for it, and no pixel.

    Parameters
    ----------
    model
        Any.
    image
        What it is wanted for; None for any image.
    painted
        Names of the classes that were painted on the image.
    added
        Names of the classes that the next training adds to the model.

    Returns
    -------
    tuple of str
        Sentences without a full stop; none when it fits.
    """
    spec = model.spec
    reasons = [why_gone(model)]
    if image is not None:
        reasons.append(why_not_read(image, spec))
    if not spec.classes:
        reasons.append(
            f"{model.name} has no classes: it takes noise away and gives no mask; make "
            "a new model from it"
        )
    elif not model.trained:
        reasons.append(
            f"{model.name} is untrained: its mask is noise until it is fine-tuned"
        )
    if image is not None and spec.classes:
        classes = (*spec.classes, *added)
        reasons.append(why_classes_missing(image.name, painted, model.name, classes))
    return tuple(reason for reason in reasons if reason)


def why_gone(model: AnyModel) -> str:
    """Return that the file of a model is not there any more; empty when it is."""
    if not isinstance(model, ModelInfo) or model.path.is_file():
        return ""
    restore = setting(
        command=f"restore it (napari-unet models restore {model.name!r})",
        window="bring it back (Manage models… in the … menu of step 1)",
    )
    return (
        f"the file of {model.name} is not there any more ({model.path}): another "
        f"program deleted, moved or renamed it; choose another model, or {restore}"
    )


def why_not_read(image: Image, spec: ModelSpec) -> str:
    """Return why a model cannot take an image as input; empty when it can."""
    try:
        check_axes(match_channels(image, spec.in_channels), spec)
    except EngineError as error:
        return str(error)
    return ""


def describe_extent(
    image: Image, spec: ModelSpec, factors: Sequence[float]
) -> tuple[str, ...]:
    """Return that an image is too small for what a model finds in it to mean much.

    Parameters
    ----------
    image, spec
        What is predicted, by which model.
    factors
        How many pixels of the model one of the image becomes, as of `scale_of`.

    Returns
    -------
    tuple of str
        A sentence without a full stop; none where an object, and a step of the
        coarsest level of the network, fit in.
    """
    least = max(*spec.footprint.divisor[-2:], spec.object_size_px or 0)
    edges = [
        edge * factor
        for edge, factor in zip(image.plane_shape, factors[-2:], strict=True)
    ]
    if min(edges) >= least:
        return ()
    size = " x ".join(map(str, image.plane_shape))
    return (
        f"the image of {size} pixels is too small for this model, which needs "
        f"{ceil(least / min(factors[-2:]))} or more along each axis, so what it finds "
        "means little; predict a larger part of the sample",
    )


def why_classes_missing(
    image: str,
    painted: Sequence[str],
    model: str,
    classes: Sequence[str],
    *,
    fitting: str = "",
) -> str:
    """Return that a model lacks classes that were painted; empty when it has them.

    Parameters
    ----------
    image
        Name of the image.
    painted
        Names of the classes on it.
    model, classes
        Name of the model, and of its classes.
    fitting
        Name of a model that has all of them.
    """
    missing = [name for name in painted if name not in classes]
    if not missing:
        return ""
    names = ", ".join(repr(name) for name in missing)
    which, them = ("class", "it") if len(missing) == 1 else ("classes", "them")
    ways = [f"choose the model {fitting} in step 1"] if fitting else []
    menu = setting(command="", window=" (New model… in the … menu of step 1)")
    add = setting(command="--classes", window="Add class… in step 2")
    ways += [f"make a new model with these classes{menu}", f"add {them} with {add}"]
    return (
        f"strokes on {image or 'the image'} are of the {which} {names}, "
        f"which {model} does not have; {', '.join(ways[:-1])}, or {ways[-1]}"
    )
