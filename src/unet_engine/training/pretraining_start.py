"""What a training without labels is for, and what it starts from. No torch.

Annotations here are read at run time by the command line and the window.
"""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from unet_engine.errors import SpecError
from unet_engine.images.neighbours import count_slices
from unet_engine.models.spec import ModelSpec
from unet_engine.training.config import PretrainConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.images import Image

Purpose = Literal["restore", "start"]
"""Take noise out of images; or become the start of a network of classes."""

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

_SLICES = 5
"""Slices that a slice of a stack is restored from, where it has as many: two on each
side, beyond which little is left of most structures."""

_RESTORING: dict[str, Any] = {"crop": 64, "batch": 8, "learning_rate": 5e-3}
"""Settings of a U-Net that restores images: it corrects within a few pixels, and more
and smaller steps get it farther in the same time. At 2e-3 it hardly left the Gaussians
in 300 steps."""

_RESTORING_DEPTH = 3
"""Poolings of it: noise needs no wider view."""


def start_spec(
    purpose: Purpose,
    images: "Sequence[Image]",
    *,
    depth: int | None = None,
    width: int | None = None,
) -> ModelSpec:
    """Return the model that learns from images without labels.

    Parameters
    ----------
    purpose
        What it is to be good for.
    images
        What it learns from. Grey and colour images together are all seen in grey.
    depth, width
        Poolings, and channels of the first level; None for what is usual.

    Raises
    ------
    SpecError
        When there is no such purpose or no such network.
    """
    if purpose not in PURPOSES:
        raise SpecError(f"purpose is {purpose!r}; use {' or '.join(PURPOSES)}")
    size = {"depth": depth, "width": width}
    given: dict[str, Any] = {
        name: value for name, value in size.items() if value is not None
    }
    channels = min((image.channels for image in images), default=1)
    if purpose == "start":
        return ModelSpec(
            architecture="autoencoder", classes=(), in_channels=channels, **given
        )
    thinnest = min(map(count_slices, images), default=1)
    slices = min(_SLICES, thinnest - (thinnest + 1) % 2)
    return ModelSpec(
        architecture="unet",
        classes=(),
        in_channels=channels,
        slices=slices,
        **({"depth": _RESTORING_DEPTH} | given),
    )


def usual_settings(purpose: Purpose) -> dict[str, Any]:
    """Return the fields of a ``PretrainConfig`` that suit a purpose."""
    usual = {field.name: field.default for field in fields(PretrainConfig)}
    return usual | (_RESTORING if purpose == "restore" else {})
