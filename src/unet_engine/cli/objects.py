"""``napari-unet objects``: single objects of a mask, and a table of them."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.cli.batch import Batch, list_inputs
from unet_engine.cli.companions import Companions
from unet_engine.cli.image_options import add_image_options
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.labelling import add_label_options
from unet_engine.cli.object_tables import ObjectTables, check_same_objects
from unet_engine.cli.objects_files import (
    choose_scale,
    open_files,
    open_mask,
    parse_scale,
    read_rule,
    with_scale,
)
from unet_engine.cli.options import add_config_options, config_from, parse_path
from unet_engine.cli.outputs import Inputs, check_free, is_zarr_name
from unet_engine.cli.predict_files import Task, check_fits, check_task, plan_tasks
from unet_engine.cli.progress import add_quiet_option, bar
from unet_engine.errors import Cancelled, DataError
from unet_engine.generators import drain
from unet_engine.images import ZARR_SUFFIX
from unet_engine.images.zarr.ome_zarr import holds_zarr
from unet_engine.objects.config import ObjectConfig

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from unet_engine.images import Image, LabelRule
    from unet_engine.objects import BlockDone, Objects, SemanticMask
    from unet_engine.stopping import Stop

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
        "masks",
        type=parse_path,
        nargs="+",
        metavar="MASK",
        help="image of class ids, 0 background; a folder, a pattern, or several",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=parse_path,
        metavar="OUT",
        help="image of object ids to write (.tif, .png, .ome.zarr); a folder for many",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that are there, when the new ones are complete",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="skip masks whose results are there, and keep their rows in the table",
    )
    parser.add_argument(
        "--table",
        type=parse_path,
        metavar="CSV",
        help="table of measurements to write; of several masks one, with a column for "
        "the file",
    )
    parser.add_argument(
        "--image",
        type=parse_path,
        metavar="FILE",
        help="the image of the mask, for the brightness of the objects; a folder of "
        "images of the same names for several",
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
        help="probability of every class, as predict writes them; with --boundary; a "
        "folder for several",
    )
    add_label_options(parser)
    add_image_options(parser)
    add_config_options(parser, ObjectConfig)
    add_quiet_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Find, measure and write the objects; masks that fail are named, and left out.

    Raises
    ------
    EngineError
        When a mask, its image and options do not fit each other, or nothing can be
        written.
    """
    config = _config(arguments)
    _check_wishes(arguments, config)
    tasks, several = _plan(arguments)
    companions = {
        name: Companions(getattr(arguments, name), name, several=several)
        for name in ("image", "probabilities")
    }
    inputs = Inputs(
        [task.image for task in tasks]
        + [path for one in companions.values() for path in one.paths]
    )
    masks = [task.image for task in tasks]
    tables = ObjectTables(arguments.table, masks, several=several)
    resume = arguments.resume and not arguments.overwrite
    tables.check(inputs, overwrite=arguments.overwrite, resume=resume)
    rule = read_rule(arguments, masks, method=config.method)
    batch = Batch(len(tasks), "masks", "measured" if arguments.table else "separated")
    with stop_on_interrupt("stopping") as stop:
        search = _Searches(
            arguments, config, rule, companions, inputs, tables, batch, stop
        )
        for task in tasks:
            if stop() or not search.run(task, resume=resume):
                break
    complete = batch.done + batch.skipped + len(batch.errors) == batch.total
    if batch.done and (several or complete):
        tables.write()
    if complete:
        return batch.conclude(quiet=arguments.quiet)
    return batch.stopped(batch.verb)


@dataclass(frozen=True, slots=True, eq=False)
class _Searches:
    """The masks of a run, one by one."""

    arguments: argparse.Namespace
    config: ObjectConfig
    rule: LabelRule | None
    companions: Mapping[str, Companions]
    inputs: Inputs
    tables: ObjectTables
    batch: Batch
    stop: Stop

    def run(self, task: Task, *, resume: bool) -> bool:
        """Find and measure the objects of a mask; False when it was stopped.

        Parameters
        ----------
        task
            The mask.
        resume
            Skip it when all is there, and do only what is missing.
        """
        output, table = self.arguments.output, self.arguments.table
        with self.batch.attempt(task.image):
            made = resume and output is not None and task.labels.exists()
            kept = task.labels if made and not task.clash else None
            if resume and self.tables.holds(task.image) and (kept or output is None):
                path, where = (kept, "there") if kept else (task.image, f"in {table}")
                self.batch.skip(path, quiet=self.arguments.quiet, where=where)
                return True
            self.tables.check_new()
            if output is not None and kept is None:
                overwrite = self.arguments.overwrite
                check_task(task, self.inputs, _LABEL_SUFFIXES, overwrite=overwrite)
                _check_zarr(task.labels, self.inputs, overwrite=overwrite)
            try:
                found = _run_one(
                    self._options(task, kept), self.config, self.rule, self.stop
                )
            except Cancelled as cancelled:
                print(f"napari-unet: {cancelled}", file=sys.stderr)
                return False
            self.batch.done += 1
            if found is not None:
                self.tables.add(task.image, found)
        return True

    def _options(self, task: Task, kept: Path | None) -> argparse.Namespace:
        """Return the options for one mask, with its own files."""
        made = self.arguments.output is None or kept is not None
        files = {name: each.of(task.image) for name, each in self.companions.items()}
        own = {"mask": task.image, "output": None if made else task.labels}
        options = {**vars(self.arguments), **files, **own, "kept": kept}
        return argparse.Namespace(**options)


def _plan(arguments: argparse.Namespace) -> tuple[Sequence[Task], bool]:
    """Return the masks with their outputs, and whether more than one may be meant."""
    files, several = list_inputs(arguments.masks)
    if arguments.output is not None:
        suffixes = _LABEL_SUFFIXES
        return plan_tasks(
            arguments.masks, arguments.output, None, suffixes=suffixes
        ), several
    return [Task(image=f, labels=f, probabilities=None) for f in files], several


def _run_one(
    one: argparse.Namespace,
    config: ObjectConfig,
    rule: LabelRule | None,
    stop: Stop,
) -> dict[str, Any] | None:
    """Find, measure and write the objects of a mask; return their table if asked for.

    Raises
    ------
    Cancelled
        When ``stop`` says so.
    """
    from unet_engine.objects import label_zarr, write_objects

    started = time.monotonic()
    mask_image, image = open_files(one)
    if one.output is not None:
        check_fits(one.output, mask_image)
    scale = choose_scale(one, mask_image, image)
    mask_image = with_scale(mask_image, image, scale)
    mask = open_mask(one, mask_image, rule)
    search = _Search(one, config, mask, mask_image, image, scale, stop)
    if is_zarr_name(one.output):
        options = {"stop": stop, "replace": one.overwrite}
        with label_zarr(one.output, mask, mask_image, **options) as out:
            objects, table = search.run(out)
    else:
        objects, table = search.run()
        if one.output is not None:
            write_objects(one.output, objects.labels, mask_image)
    if one.kept is not None:
        check_same_objects(one.kept, objects.labels)
    count = len(table["label"]) if table is not None else objects.classes.size
    written = " and ".join(str(p) for p in (one.output or one.mask, one.table) if p)
    print(
        f"{written}: {count} object{'s' * (count != 1)} in {objects.ndim}-D"
        f"{_left_out(objects, config, table)} ({time.monotonic() - started:.1f} s)"
    )
    return table


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


def _left_out(
    objects: Objects, config: ObjectConfig, table: Mapping[str, Any] | None
) -> str:
    """Tell of objects that are too small, and of pixels without intensity."""
    from unet_engine.objects import describe_left_out

    line = ""
    if objects.small:
        line = (
            f"; {objects.small} of fewer than {config.min_size} pixels left out "
            "(--min-size 0 keeps them)"
        )
    if table is not None and (pixels := describe_left_out(dict(table))):
        line += f"; {pixels}"
    return line


def _check_wishes(arguments: argparse.Namespace, config: ObjectConfig) -> None:
    if config.method == "keep" and arguments.table is None:
        raise DataError("--method keep changes no ids; give --table to measure them")
    if arguments.output is None and arguments.table is None:
        raise DataError("nothing to write; give -o for the objects, --table, or both")
    if arguments.probabilities is not None and arguments.boundary is None:
        raise DataError(
            "--probabilities help where a class is the boundary between objects; say "
            "which with --boundary, or leave them out"
        )


def _check_zarr(path: Path, inputs: Inputs, *, overwrite: bool) -> None:
    """Make sure that nothing is lost with a zarr that is there."""
    if not is_zarr_name(path) or not path.exists():
        return
    check_free(path, overwrite=overwrite)
    inputs.check_apart(path)
    if any(path.iterdir()) and not holds_zarr(path):
        raise DataError(f"{path} is no zarr and is not replaced; choose another name")


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """What is looked for and measured."""

    arguments: argparse.Namespace
    config: ObjectConfig
    mask: SemanticMask
    mask_image: Image
    image: Image | None
    scale: tuple[float, ...] | None
    stop: Stop

    def run(self, out: Any = None) -> tuple[Objects, dict[str, Any] | None]:
        """Find the objects, and measure them if there is to be a table.

        Parameters
        ----------
        out
            Takes their ids.
        """
        from unet_engine.objects import iter_label_objects, iter_measure_objects

        name, quiet = self.arguments.mask.name, self.arguments.quiet
        finding = iter_label_objects(self.mask, self.config, out=out, stop=self.stop)
        objects = _drain_behind_bar(finding, name, quiet=quiet)
        if self.arguments.table is None:
            return objects, None
        measuring = iter_measure_objects(
            objects,
            self.image,
            scale=self.scale,
            axes=self.mask_image.leading_axes + "YX",
            stop=self.stop,
        )
        return objects, _drain_behind_bar(measuring, f"{name}: measuring", quiet=quiet)


def _drain_behind_bar(
    run: Generator[BlockDone, None, Any], title: str, *, quiet: bool
) -> Any:
    """Run it behind a progress bar."""
    with bar(1, title, quiet=quiet) as progress:

        def show(event: BlockDone) -> None:
            progress.total = event.total
            progress.update(event.done - progress.n)

        return drain(run, show)
