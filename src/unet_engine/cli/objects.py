"""``napari-unet objects``: single objects of a mask, and a table of them."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from unet_engine.cli.data import add_image_options, open_selected
from unet_engine.cli.interrupts import INTERRUPTED, stop_on_interrupt
from unet_engine.cli.options import add_config_options, config_from, parse_path
from unet_engine.cli.progress import add_quiet_option, bar, tell
from unet_engine.errors import Cancelled, DataError
from unet_engine.images import Image, read_labels, write_labels
from unet_engine.instances.config import ObjectConfig
from unet_engine.writing import check_writable

if TYPE_CHECKING:
    from collections.abc import Generator

    from unet_engine.events import Stop
    from unet_engine.instances import BlockDone, Objects, SemanticMask

_LABEL_SUFFIXES = (".tif", ".tiff", ".png")


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "objects",
        help="find and measure the objects of a mask",
        description="Give every object of a mask an id of its own, and measure it. "
        "Objects that touch are split at their necks, or along a boundary class. Only "
        "parts of the mask are in memory at a time.",
    )
    parser.add_argument(
        "mask", type=parse_path, metavar="MASK", help="image of class ids, 0 background"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=parse_path,
        metavar="OUT",
        help="image of object ids to write (.tif, .png)",
    )
    parser.add_argument(
        "--table", type=parse_path, metavar="CSV", help="table of measurements to write"
    )
    parser.add_argument(
        "--image",
        type=parse_path,
        metavar="FILE",
        help="the image of the mask, for the brightness of the objects",
    )
    parser.add_argument(
        "--image-axes",
        type=str.upper,
        metavar="AXES",
        help="a letter for each axis of --image, as --axes for the mask",
    )
    parser.add_argument(
        "--scale",
        type=parse_scale,
        metavar="UM",
        help="size of a pixel in µm, or Z,Y,X such as 2,0.5,0.5; read from the files "
        "when it is not given",
    )
    parser.add_argument(
        "--planes",
        action="store_true",
        help="the planes of a stack along Z have objects of their own; else objects go "
        "on from plane to plane",
    )
    parser.add_argument(
        "--boundary",
        type=int,
        metavar="CLASS",
        help="class of the boundaries between objects",
    )
    parser.add_argument(
        "--probabilities",
        type=parse_path,
        metavar="FILE",
        help="probability of every class, as predict writes them; with --boundary",
    )
    add_image_options(parser)
    add_config_options(parser, ObjectConfig)
    add_quiet_option(parser)
    parser.set_defaults(run=run)


def parse_scale(text: str) -> tuple[float, ...]:
    """Read one to three numbers above 0, separated by commas."""
    try:
        sizes = tuple(float(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not 1 <= len(sizes) <= 3 or not all(0 < s < float("inf") for s in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 0.5 or 2,0.5,0.5")
    return sizes


def run(arguments: argparse.Namespace) -> int:
    """Find, measure and write the objects.

    Raises
    ------
    EngineError
        When mask, image and options do not fit each other, or nothing can be written.
    """
    from unet_engine.instances import write_table

    started = time.monotonic()
    config = config_from(arguments, ObjectConfig)
    _check_outputs(arguments, config)
    mask_image, image = open_files(arguments)
    scale = choose_scale(arguments, mask_image, image)
    mask = open_mask(arguments, mask_image, scale)
    with stop_on_interrupt("stopping; nothing is written") as stop:
        try:
            objects, table = _find(arguments, config, mask, mask_image, image, stop)
        except Cancelled as cancelled:
            print(f"napari-unet: {cancelled}", file=sys.stderr)
            return INTERRUPTED
    if arguments.output is not None:
        write_labels(arguments.output, objects.labels, image=mask_image)
    if table is not None:
        write_table(arguments.table, table)
        count = len(table["label"])
    else:
        count = objects.classes.size
    written = " and ".join(str(p) for p in (arguments.output, arguments.table) if p)
    print(
        f"{written}: {count} object{'s' * (count != 1)} in {objects.ndim}-D "
        f"({time.monotonic() - started:.1f} s)"
    )
    return 0


def _check_outputs(arguments: argparse.Namespace, config: ObjectConfig) -> None:
    from unet_engine.instances import check_table_suffix

    if arguments.output is None and arguments.table is None:
        raise DataError("nothing to write; give -o for the objects, --table, or both")
    if config.method == "keep" and arguments.table is None:
        raise DataError("--method keep changes no ids; give --table to measure them")
    inputs = (arguments.mask, arguments.image, arguments.probabilities)
    outputs = [path for path in (arguments.output, arguments.table) if path]
    for path in outputs:
        if path.resolve() in {p.resolve() for p in inputs if p}:
            raise DataError(f"{path} would be replaced; write to another place")
        if path == arguments.table:
            check_table_suffix(path)
        elif path.suffix.lower() not in _LABEL_SUFFIXES:
            raise DataError(
                f"{path} is no name for objects; let it end in "
                f"{' or '.join(_LABEL_SUFFIXES)}"
            )
        check_writable(path)


def open_files(arguments: argparse.Namespace) -> tuple[Image, Image | None]:
    """Open the mask, and the image if one is given."""
    options = vars(arguments)
    mask = open_selected(
        arguments.mask, argparse.Namespace(**{**options, "channel": None})
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


def _find(
    arguments: argparse.Namespace,
    config: ObjectConfig,
    mask: SemanticMask,
    mask_image: Image,
    image: Image | None,
    stop: Stop,
) -> tuple[Objects, dict[str, Any] | None]:
    from unet_engine.instances import iter_label_objects, iter_measure_objects

    name = arguments.mask.name
    finding = iter_label_objects(mask, config, stop=stop)
    objects = _drain(finding, name, quiet=arguments.quiet)
    if arguments.table is None:
        return objects, None
    measuring = iter_measure_objects(
        objects,
        image,
        scale=mask.spacing,
        axes=mask_image.leading_axes + "YX",
        stop=stop,
    )
    return objects, _drain(measuring, f"{name}: measuring", quiet=arguments.quiet)


def _drain(run: Generator[BlockDone, None, Any], title: str, *, quiet: bool) -> Any:
    """Run it behind a progress bar."""
    with bar(1, title, quiet=quiet) as progress:
        while True:
            try:
                event = next(run)
            except StopIteration as finished:
                return finished.value
            progress.total = event.total
            progress.update(event.done - progress.n)
