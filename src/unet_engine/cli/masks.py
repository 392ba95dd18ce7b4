"""What ``napari-unet objects`` reads: a mask, its image, its probabilities, a scale."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, cast

import numpy as np

from unet_engine.cli.data import open_selected
from unet_engine.cli.progress import tell
from unet_engine.errors import DataError
from unet_engine.images import Image, read_labels

if TYPE_CHECKING:
    from unet_engine.instances import SemanticMask


def parse_scale(text: str) -> tuple[float, ...]:
    """Read one to three numbers above 0, separated by commas."""
    try:
        sizes = tuple(float(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not 1 <= len(sizes) <= 3 or not all(0 < s < float("inf") for s in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 0.5 or 2,0.5,0.5")
    return sizes


def open_files(arguments: argparse.Namespace) -> tuple[Image, Image | None]:
    """Open the mask, and the image if one is given."""
    options = vars(arguments)
    mask = open_selected(
        arguments.mask,
        argparse.Namespace(**{**options, "channel": None}),
        labels=True,
    )
    if arguments.image is None:
        return mask, None
    image = open_selected(
        arguments.image,
        argparse.Namespace(**{**options, "axes": arguments.image_axes}),
    )
    return mask, image


def choose_scale(
    arguments: argparse.Namespace, mask: Image, image: Image | None
) -> tuple[float, ...] | None:
    """Return the size of a pixel along each spatial axis in µm, if it is known.

    Raises
    ------
    DataError
        When ``--scale`` does not fit the axes of the mask.
    """
    ndim = _ndim(arguments, mask)
    if arguments.scale is not None:
        if len(arguments.scale) not in (1, ndim):
            raise DataError(
                f"--scale has {len(arguments.scale)} numbers and the objects {ndim} "
                f"axes ({'ZYX'[-ndim:]}); give 1 or {ndim}"
            )
        return cast("tuple[float, ...]", tuple(np.broadcast_to(arguments.scale, ndim)))
    for one in filter(None, (mask, image)):
        if one.pixel_size_um is None:
            continue
        plane = (one.pixel_size_um, one.pixel_size_um)
        if ndim == 2:
            return plane
        if one.slice_step_um is not None:
            return (one.slice_step_um, *plane)
    if ndim == 3:
        tell(
            [
                "the distance of the slices is not known, so sizes are in voxels; give "
                "--scale Z,Y,X"
            ],
            quiet=arguments.quiet,
        )
    return None


def open_mask(
    arguments: argparse.Namespace, image: Image, scale: tuple[float, ...] | None
) -> SemanticMask:
    """Wrap the mask and what is known of its classes, without reading it."""
    from unet_engine.instances import ChannelPlanes, LabelPlanes, SemanticMask

    # The colours of a palette are no ids; its indices are, and need the whole picture.
    picture = arguments.mask.suffix.lower() in (".png", ".jpg", ".jpeg")
    classes = read_labels(arguments.mask) if picture else LabelPlanes(image)
    probabilities = None
    if arguments.probabilities is not None:
        options = {**vars(arguments), "axes": None, "channel": None}
        probabilities = ChannelPlanes(
            open_selected(arguments.probabilities, argparse.Namespace(**options))
        )
    return SemanticMask(
        classes=classes,
        ndim=_ndim(arguments, image),
        spacing=scale,
        boundary=arguments.boundary,
        probabilities=probabilities,
    )


def _ndim(arguments: argparse.Namespace, mask: Image) -> int:
    if arguments.planes or "Z" not in mask.leading_axes:
        return 2
    if not mask.leading_axes.endswith("Z"):
        raise DataError(
            f"the axes of the mask are {mask.leading_axes}YX; objects in 3-D need Z "
            "next to Y: give --planes, or save the mask with the axes in another order"
        )
    return 3 if mask.leading_shape[-1] > 1 else 2
