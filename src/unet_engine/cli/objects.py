"""``napari-unet objects``: single objects of a mask, and a table of them."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.cli.data import add_image_options
from unet_engine.cli.interrupts import INTERRUPTED, stop_on_interrupt
from unet_engine.cli.labelling import add_label_options
from unet_engine.cli.masks import (
    choose_scale,
    open_files,
    open_mask,
    parse_scale,
    read_rule,
)
from unet_engine.cli.options import add_config_options, config_from, parse_path
from unet_engine.cli.progress import add_quiet_option, bar
from unet_engine.errors import Cancelled, DataError
from unet_engine.images import ZARR_SUFFIX
from unet_engine.images.ome_zarr import holds_zarr
from unet_engine.instances.config import ObjectConfig
from unet_engine.writing import check_writable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from unet_engine.events import Stop
    from unet_engine.images import Image
    from unet_engine.instances import BlockDone, Objects, SemanticMask

_LABEL_SUFFIXES = (".tif", ".tiff", ".png", ZARR_SUFFIX)


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
        "mask", type=parse_path, metavar="MASK", help="image of classes, 0 background"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=parse_path,
        metavar="OUT",
        help="image of object ids to write (.tif, .png, .ome.zarr)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a .zarr that is there, when the new one is complete",
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
    add_label_options(parser)
    add_image_options(parser)
    add_config_options(parser, ObjectConfig)
    add_quiet_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Find, measure and write the objects.

    Raises
    ------
    EngineError
        When mask, image and options do not fit each other, or nothing can be written.
    """
    from unet_engine.instances import label_zarr, write_objects, write_table

    started = time.monotonic()
    config = _config(arguments)
    _check_outputs(arguments, config)
    mask_image, image = open_files(arguments)
    scale = choose_scale(arguments, mask_image, image)
    rule = read_rule(arguments, [arguments.mask], method=config.method)
    mask = open_mask(arguments, mask_image, scale, rule)
    with stop_on_interrupt("stopping; nothing is written") as stop:
        search = _Search(arguments, config, mask, mask_image, image, stop)
        try:
            if _is_zarr(arguments.output):
                options = {"stop": stop, "replace": arguments.overwrite}
                with label_zarr(arguments.output, mask, mask_image, **options) as out:
                    objects, table = search.run(out)
            else:
                objects, table = search.run()
        except Cancelled as cancelled:
            print(f"napari-unet: {cancelled}", file=sys.stderr)
            return INTERRUPTED
    if arguments.output is not None and not _is_zarr(arguments.output):
        write_objects(arguments.output, objects.labels, mask_image)
    if table is not None:
        write_table(arguments.table, table)
        count = len(table["label"])
    else:
        count = objects.classes.size
    written = " and ".join(str(p) for p in (arguments.output, arguments.table) if p)
    print(
        f"{written}: {count} object{'s' * (count != 1)} in {objects.ndim}-D"
        f"{_left_out(objects, config)} ({time.monotonic() - started:.1f} s)"
    )
    return 0


def _config(arguments: argparse.Namespace) -> ObjectConfig:
    """Return how objects are found; object ids that are there are kept."""
    ids = arguments.label_values == "objects"
    defaults = {"method": "keep"} if ids else {}
    config: ObjectConfig = config_from(arguments, ObjectConfig, **defaults)
    if ids and config.method != "keep":
        raise DataError(
            f"--label-values objects keeps the ids, and --method {config.method} looks "
            "for objects; leave one of them out"
        )
    if config.method == "keep" and arguments.label_values in ("classes", "mask"):
        raise DataError(
            "--method keep takes the values for object ids, not "
            f"{arguments.label_values}; leave --label-values out"
        )
    return config


def _left_out(objects: Objects, config: ObjectConfig) -> str:
    """Tell of objects that are too small."""
    if not objects.small:
        return ""
    return (
        f"; {objects.small} of fewer than {config.min_size} pixels left out "
        "(--min-size 0 keeps them)"
    )


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
        elif _is_zarr(path):
            _check_replaceable(path, inputs, overwrite=arguments.overwrite)
        check_writable(path, folder=_is_zarr(path))


def _is_zarr(path: Path | None) -> bool:
    return path is not None and path.suffix.lower() == ZARR_SUFFIX


def _check_replaceable(
    path: Path, inputs: Sequence[Path | None], *, overwrite: bool
) -> None:
    """Make sure that nothing is lost with a zarr that is there."""
    if not path.exists():
        return
    if not overwrite:
        raise DataError(
            f"{path} is there already; choose another name, or pass --overwrite"
        )
    inside = [p for p in inputs if p and path.resolve() in p.resolve().parents]
    if inside or (any(path.iterdir()) and not holds_zarr(path)):
        what = f"holds {inside[0]}" if inside else "is no zarr"
        raise DataError(f"{path} {what} and is not replaced; choose another name")


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """What is looked for and measured."""

    arguments: argparse.Namespace
    config: ObjectConfig
    mask: SemanticMask
    mask_image: Image
    image: Image | None
    stop: Stop

    def run(self, out: Any = None) -> tuple[Objects, dict[str, Any] | None]:
        """Find the objects, and measure them if there is to be a table.

        Parameters
        ----------
        out
            Takes their ids.
        """
        from unet_engine.instances import iter_label_objects, iter_measure_objects

        name, quiet = self.arguments.mask.name, self.arguments.quiet
        finding = iter_label_objects(self.mask, self.config, out=out, stop=self.stop)
        objects = _drain(finding, name, quiet=quiet)
        if self.arguments.table is None:
            return objects, None
        measuring = iter_measure_objects(
            objects,
            self.image,
            scale=self.mask.spacing,
            axes=self.mask_image.leading_axes + "YX",
            stop=self.stop,
        )
        return objects, _drain(measuring, f"{name}: measuring", quiet=quiet)


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
