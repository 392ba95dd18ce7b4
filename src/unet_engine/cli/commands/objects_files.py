"""What ``napari-unet objects`` reads: a mask, its image, its probabilities, a scale."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.cli.files.reading import of_series, open_selected
from unet_engine.cli.progress import report, report_rule
from unet_engine.errors import DataError, UnknownAxesError
from unet_engine.images import Image, Tally, decide_labels, read_labels
from unet_engine.images.labels.choices import Wording
from unet_engine.images.pictures.reading import PICTURE_SUFFIXES
from unet_engine.models.object_maps import gives_object_maps
from unet_engine.models.store import ModelStore
from unet_engine.objects.mask_image import object_ndim, scale_along
from unet_engine.prediction.config import PredictConfig

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from unet_engine.cli.options.objects import MaskFiles, ObjectsOptions
    from unet_engine.images import LabelRule
    from unet_engine.objects import BlockDone, SemanticMask
    from unet_engine.stopping import Stop

_SAME_SIZE = 1e-3
"""Relative difference of two sizes that rounding in a file explains."""

_WORDING = Wording(objects="--method keep with --table", one_class=True)


def open_files(files: MaskFiles, options: ObjectsOptions) -> tuple[Image, Image | None]:
    """Open the mask, and the image if one is given."""
    mask = _open(files.mask, options, labels=True, channel=None)
    if files.image is None:
        return mask, None
    try:
        image = _open(files.image, options, axes=options.image_axes)
    except UnknownAxesError as error:
        raise DataError(str(error).replace("--axes", "--image-axes")) from error
    return mask, image


def _open(
    path: Path, options: ObjectsOptions, *, labels: bool = False, **changes: Any
) -> Image:
    """Open one of the files of a mask, with some options of the command changed."""

    def read(series: int | None) -> Image:
        changed = replace(options, **changes, series=series)
        return open_selected(path, changed, labels=labels)

    return of_series(read, options.series)


def choose_scale(
    options: ObjectsOptions, mask: Image, image: Image | None
) -> tuple[float, ...] | None:
    """Return the size of a pixel along each spatial axis in µm, if it is known.

    Raises
    ------
    DataError
        When ``--scale`` does not fit the axes of the mask.
    """
    ndim = object_ndim(mask, planes=options.planes)
    axes = "ZYX"[-ndim:]
    if options.scale is not None:
        return scale_along(options.scale, ndim)
    sizes = [one.pixel_size for one in (mask, image) if one is not None]
    known = [lengths for size in sizes if (lengths := size.lengths(axes)) is not None]
    if known:
        _report_sizes(axes, known, quiet=options.quiet)
        return known[0]
    reason = next((size.printed for size in sizes if size.printed), "")
    if ndim == 3:
        reason = reason or "the distance of the slices is not known"
    # Other reasons were named when the files were opened.
    if reason and not any(size.note for size in sizes):
        pixels = "pixels" if ndim == 2 else "voxels"
        report(
            [f"{reason}, so sizes are in {pixels}; give --scale {','.join(axes)}"],
            quiet=options.quiet,
        )
    return None


def _report_sizes(
    axes: str, known: Sequence[tuple[float, ...]], *, quiet: bool
) -> None:
    """Report a mask and an image that state pixels of different sizes."""
    if np.allclose(known[0], known[-1], rtol=_SAME_SIZE, atol=0):
        return
    mask, image = (" x ".join(f"{edge:.6g}" for edge in one) for one in known)
    report(
        [
            f"a pixel of the mask is {mask} µm and one of the image {image} µm "
            f"({axes}); that of the mask counts, unless --scale states another"
        ],
        quiet=quiet,
    )


def read_rule(
    options: ObjectsOptions, paths: Sequence[Path], *, method: str
) -> LabelRule | None:
    """Read what values all masks of a run hold, and report what they mean.

    Parameters
    ----------
    options
        Of the command.
    paths
        All masks. Of several, those that cannot be read are left out.
    method
        How objects are found.

    Returns
    -------
    LabelRule or None
        None where the values are object ids that are kept as they are.

    Raises
    ------
    DataError
        When the values fit no meaning, or more than one, or the only mask cannot be
        read.
    """
    if method == "keep" and options.unlabelled in ("auto", "none"):
        return None
    tallies = []
    for path in paths:
        try:
            tallies.append(_tally(path, options))
        except Exception:  # its line comes in its turn
            if len(paths) == 1:
                raise
    if not tallies:
        return None
    rule = decide_labels(
        tallies,
        values="objects" if method == "keep" else options.meaning,
        unlabelled=options.unlabelled,
        segmented=True,
        wording=_WORDING,
    )
    report_rule(rule, (), quiet=options.quiet)
    return rule


def _tally(path: Path, options: ObjectsOptions) -> Tally:
    """Count the values of a mask block by block."""
    from unet_engine.objects.blocks import BlockGrid

    values = values_of(path, _open(path, options, labels=True, channel=None))
    tally = Tally(path.name, Counter())
    for block in BlockGrid.for_array(values, 2):
        tally.add(values[block.core_slices])
    return tally


def values_of(path: Path, image: Image) -> Any:
    """Return the values of a mask as an array-like."""
    from unet_engine.objects import LabelPlanes

    # The colours of a palette are no ids; its indices are, and need the whole picture.
    picture = path.suffix.lower() in PICTURE_SUFFIXES
    return read_labels(path, negative=True) if picture else LabelPlanes(image)


def open_mask(
    files: MaskFiles,
    options: ObjectsOptions,
    image: Image,
    rule: LabelRule | None,
) -> SemanticMask:
    """Wrap the mask and what is known of its classes, without reading it."""
    from unet_engine.objects import (
        ChannelPlanes,
        ClassPlanes,
        ObjectPlanes,
        SemanticMask,
    )

    classes = values_of(files.mask, image)
    if rule is not None:
        of_objects = rule.meaning == "objects"
        classes = (ObjectPlanes if of_objects else ClassPlanes)(classes, rule)
    probabilities = None
    if files.probabilities is not None:
        maps = _open_probabilities(files.probabilities, options, image)
        probabilities = ChannelPlanes(maps)
    ndim = object_ndim(image, planes=options.planes)
    return SemanticMask(
        classes=classes,
        ndim=ndim,
        # Where necks are is known from sizes in any unit.
        spacing=image.pixel_size.proportions("ZYX"[-ndim:]),
        boundary=options.boundary,
        probabilities=probabilities,
    )


def iter_with_maps(
    mask: SemanticMask, image: Image, options: ObjectsOptions, stop: Stop
) -> Generator[BlockDone, None, SemanticMask]:
    """Give a mask the object maps that its model predicts of its image.

    Raises
    ------
    EngineError
        When the model gives none, or the image does not fit the model or the mask.
    """
    from unet_engine.prediction.object_maps import iter_object_maps

    checkpoint = ModelStore().load(str(options.model))
    if not gives_object_maps(checkpoint):
        raise DataError(
            f"the model {options.model} shows no single objects; leave --model out, "
            "and they are split at their necks"
        )
    shape, size = tuple(mask.classes.shape), (*image.leading_shape, *image.plane_shape)
    if shape != size:
        raise DataError(
            f"the mask is {shape} and {image.name} is {size} pixels; give the image "
            "that the mask was predicted from"
        )
    config = PredictConfig(object_size=options.object_size, device=options.device)
    maps = yield from iter_object_maps(image, checkpoint, config, stop=stop)
    return replace(mask, object_maps=maps, map_names=checkpoint.spec.object_maps)


def _open_probabilities(path: Path, options: ObjectsOptions, mask: Image) -> Image:
    """Open the probabilities; where they name no axes, these are those of the mask."""
    try:
        return _open(path, options, axes=None, channel=None)
    except UnknownAxesError:
        axes = f"C{mask.leading_axes}YX"
        return _open(path, options, axes=axes, channel=None)
