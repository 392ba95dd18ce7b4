"""The channels of an image, and those that a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.images.axes import title_of
from unet_engine.wording import setting

if TYPE_CHECKING:
    from unet_engine.images.image import Image


def match_channels(image: Image, in_channels: int) -> Image:
    """Return the view of an image that a model of ``in_channels`` channels takes.

    A colour image becomes its luminance for a model of one channel, and a single
    channel becomes a grey image of three for a model of colour.

    Raises
    ------
    DataError
        When the counts differ in any other way.
    """
    if image.channels == in_channels:
        return image
    if image.rgb and in_channels == 1:
        return image.to_grey()
    if image.channels == 1 and in_channels == 3 and not image.grey:
        return image.to_colour()
    kind = "a colour image" if image.rgb else "an image"
    advice = (
        f"choose one channel of the image ({_one_channel()})"
        if in_channels == 1
        else "choose an image with as many"
    )
    raise DataError(
        f"{title_of(image.name)} is {kind} with {_count(image.channels)}, "
        f"the model takes {_count(in_channels)}; {advice}, "
        "or train a model for images like this one"
    )


def _one_channel() -> str:
    return setting(command="--channel 0", window="Split Stack in the menu of the layer")


def _count(channels: int) -> str:
    return f"{channels} channel{'s' * (channels != 1)}"
