"""What a mask is as an image: in how many dimensions objects extend, and how large."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.images.pixel_size import PixelSize
from unet_engine.wording import setting

if TYPE_CHECKING:
    from unet_engine.images import Image


def object_ndim(mask: Image, *, planes: bool) -> int:
    """Return in how many dimensions an object extends, 2 or 3.

    Parameters
    ----------
    mask
        Its axes and shape count.
    planes
        The planes of a stack along Z have objects of their own.

    Raises
    ------
    DataError
        When objects would go on along Z, which is not next to Y.
    """
    if planes or "Z" not in mask.leading_axes:
        return 2
    if not mask.leading_axes.endswith("Z"):
        advice = setting(
            command="give --planes", window="choose slice by slice in step 4"
        )
        raise DataError(
            f"the axes of the mask are {mask.leading_axes}YX; objects in 3-D need Z "
            f"next to Y: {advice}, or save the mask with the axes in another order"
        )
    return 3 if mask.leading_shape[-1] > 1 else 2


def scale_along(scale: tuple[float, ...], ndim: int) -> tuple[float, ...]:
    """Return a stated size of a pixel for each axis of an object.

    Parameters
    ----------
    scale
        µm, for all axes or for each.
    ndim
        Number of axes.

    Raises
    ------
    DataError
        When it is for another number of axes.
    """
    if len(scale) not in (1, ndim):
        axes = "ZYX"[-ndim:]
        name = setting(command="--scale", window="Pixel (µm) in step 4")
        raise DataError(
            f"{name} has {len(scale)} numbers and the objects {ndim} "
            f"axes ({axes}); give 1 or {ndim}"
        )
    return scale * ndim if len(scale) == 1 else scale


def with_scale(
    mask: Image, image: Image | None, scale: tuple[float, ...] | None
) -> Image:
    """Return the mask with the size of its pixels that objects are measured in.

    Parameters
    ----------
    mask, image
        Whose sizes count where no other is stated, the first before the second.
    scale
        µm along each axis of an object, or None.
    """
    stated = mask.pixel_size
    if scale is not None:
        axes = "ZYX"[-len(scale) :]
        lengths = dict(zip(axes.lower(), scale, strict=True))
        known = PixelSize.of_micrometres(**lengths)
        stated = replace(known, t=stated.t, z=known.z or stated.z)
    elif image is not None and stated == PixelSize():
        stated = image.pixel_size
    return replace(mask, pixel_size=stated)
