"""``napari-unet objects``: single objects of a mask, and a table of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from unet_engine.cli.commands.object_outlines import ObjectOutlines
from unet_engine.cli.commands.object_tables import ObjectTables
from unet_engine.cli.commands.objects_files import read_rule
from unet_engine.cli.commands.objects_search import find_objects
from unet_engine.cli.files.batch import Batch
from unet_engine.cli.files.companions import Companions
from unet_engine.cli.files.outputs import check_free, is_zarr_name
from unet_engine.cli.files.tasks import Task, check_task, plan_tasks
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options.objects import MaskFiles, ObjectsOptions
from unet_engine.cli.options.parameters import (
    NO_SETTINGS,
    Settings,
    UserPath,
    settings_of,
)
from unet_engine.errors import Cancelled, DataError
from unet_engine.files.inputs import Inputs
from unet_engine.images import ZARR_SUFFIX
from unet_engine.images.folders import list_inputs
from unet_engine.images.zarr.ome_zarr import holds_zarr
from unet_engine.objects.config import ObjectConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from unet_engine.images import LabelRule
    from unet_engine.stopping import Stop

_LABEL_SUFFIXES = (".tif", ".tiff", ".png", ZARR_SUFFIX)


@settings_of(ObjectConfig, everyday=("method", "min_size", "fill_holes"))
def run(
    *masks: Annotated[UserPath, Parameter(name="MASK", required=True)],
    options: ObjectsOptions = ObjectsOptions(),
    settings: Settings = NO_SETTINGS,
) -> int:
    """Give every object of a mask an id of its own, measure and outline it.

    Objects that touch are split as the model shows them, at their necks, or along a
    boundary class. Only parts of the mask are in memory at a time.

    Parameters
    ----------
    masks
        Image of class ids, 0 background; a folder, a pattern, or several.
    options
        What is read and written.
    settings
        How objects are found.

    Raises
    ------
    EngineError
        When a mask, its image and options do not fit each other, or nothing can be
        written.

    Examples
    --------
    napari-unet objects mask.tif -o objects.tif --table objects.csv
    napari-unet objects mask.tif -o objects.tif --image image.tif --model nuclei
    napari-unet objects masks/ -o objects/ --table all.csv --image images/
    napari-unet objects ids.tif --label-values objects --table objects.csv
    napari-unet objects mask.tif --outlines cells.zip
    """
    config = _config(options, settings)
    _check_wishes(options, config)
    tasks, several = _plan(masks, options)
    companions = _companions(options, several=several)
    inputs = Inputs(
        [task.image for task in tasks]
        + [path for one in companions.values() for path in one.paths]
    )
    paths = [task.image for task in tasks]
    tables = ObjectTables(options.table, paths, several=several)
    outlines = ObjectOutlines(options, masks, several=several)
    resume = options.resume and not options.overwrite
    tables.check(inputs, overwrite=options.overwrite, resume=resume)
    if len(tasks) == 1 and not resume:
        # Before the mask is read, and before anything is reported of it.
        _check_outputs(tasks[0], options, inputs, outlines)
    rule = read_rule(options, paths, method=config.method)
    batch = Batch(len(tasks), "masks", "measured" if options.table else "separated")
    with stop_on_interrupt("stopping") as stop:
        search = _Searches(
            options, config, rule, companions, inputs, tables, outlines, batch, stop
        )
        for task in tasks:
            if stop() or not search.run(task, resume=resume):
                break
    complete = batch.done + batch.skipped + len(batch.errors) == batch.total
    if batch.done and (several or complete):
        tables.write()
    if complete:
        return batch.conclude(quiet=options.quiet)
    return batch.stopped()


@dataclass(frozen=True, slots=True, eq=False)
class _Searches:
    """The masks of a run, one by one."""

    options: ObjectsOptions
    config: ObjectConfig
    rule: LabelRule | None
    companions: Mapping[str, Companions]
    inputs: Inputs
    tables: ObjectTables
    outlines: ObjectOutlines
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
        output, table = self.options.output, self.options.table
        with self.batch.attempt(task.image):
            made = resume and output is not None and task.labels.exists()
            kept = task.labels if made and not task.clash else None
            outlined = self.outlines.holds(task.image)
            listed = self.tables.holds(task.image)
            if resume and listed and outlined and (kept or output is None):
                path, where = (kept or task.image), "there"
                if not kept and table is not None:
                    where = f"in {table}"
                self.batch.skip(path, quiet=self.options.quiet, where=where)
                return True
            self.tables.check_new()
            _check_outputs(
                task,
                self.options,
                self.inputs,
                None if resume and outlined else self.outlines,
                kept=kept is not None,
            )
            try:
                found = find_objects(
                    self._files(task, kept, outlined=resume and outlined),
                    self.options,
                    self.config,
                    self.rule,
                    self.stop,
                )
            except Cancelled as cancelled:
                print(f"napari-unet: {cancelled}", file=sys.stderr)
                return False
            self.batch.done += 1
            if found is not None and table is not None:
                self.tables.add(task.image, found)
        return True

    def _files(self, task: Task, kept: Path | None, *, outlined: bool) -> MaskFiles:
        """Return the files of one mask, of the outlines what is not there yet."""
        made = self.options.output is None or kept is not None
        files = {name: each.of(task.image) for name, each in self.companions.items()}
        output = None if made else task.labels
        outlines = None if outlined else self.outlines.of(task.image)
        return MaskFiles(
            mask=task.image, output=output, outlines=outlines, kept=kept, **files
        )


def _companions(options: ObjectsOptions, *, several: bool) -> Mapping[str, Companions]:
    """Return what belongs to the masks."""
    given = {"image": options.image, "probabilities": options.probabilities}
    return {n: Companions(path, n, several=several) for n, path in given.items()}


def _plan(
    masks: Sequence[Path], options: ObjectsOptions
) -> tuple[Sequence[Task], bool]:
    """Return the masks with their outputs, and whether more than one may be meant."""
    files, several = list_inputs(masks)
    if options.output is not None:
        suffixes = _LABEL_SUFFIXES
        return plan_tasks(masks, options.output, None, suffixes=suffixes), several
    return [Task(image=f, labels=f, probabilities=None) for f in files], several


def _config(options: ObjectsOptions, settings: Settings) -> ObjectConfig:
    """Return how objects are found; object ids that are there are kept."""
    ids = options.meaning == "objects"
    defaults = {"method": "keep"} if ids else {}
    config = ObjectConfig(**{**defaults, **settings})
    if ids and config.method != "keep":
        raise DataError(
            f"--label-values objects keeps the ids, and --method {config.method} looks "
            "for objects; leave one of them out"
        )
    if config.method == "keep" and options.meaning in ("classes", "mask"):
        raise DataError(
            "--method keep takes the values for object ids, not "
            f"{options.meaning}; leave --label-values out"
        )
    return config


def _check_wishes(options: ObjectsOptions, config: ObjectConfig) -> None:
    derived = options.table is not None or options.outlines is not None
    if config.method == "keep" and not derived:
        raise DataError(
            "--method keep changes no ids; give --table to measure them, or --outlines"
        )
    if options.output is None and not derived:
        raise DataError(
            "nothing to write; give -o for the objects, --table or --outlines, or more "
            "of them"
        )
    if options.model is not None and config.method != "watershed":
        raise DataError(
            f"--model separates touching objects, and --method {config.method} "
            "splits none; leave one of them out"
        )
    if options.model is not None and options.image is None:
        raise DataError(
            f"--model {options.model} shows objects in the image of the mask; give "
            "--image, or leave --model out"
        )
    if options.probabilities is not None and options.boundary is None:
        raise DataError(
            "--probabilities help where a class is the boundary between objects; name "
            "it with --boundary, or leave them out"
        )


def _check_outputs(
    task: Task,
    options: ObjectsOptions,
    inputs: Inputs,
    outlines: ObjectOutlines | None,
    *,
    kept: bool = False,
) -> None:
    """Make sure that results of a mask can be written and nothing is lost by it.

    Parameters
    ----------
    task, options, inputs
        What is read and written.
    outlines
        Are written too; None when they are there and stay.
    kept
        The objects are there and stay.
    """
    if outlines is not None:
        outlines.check(task.image, inputs)
    if options.output is not None and not kept:
        check_task(task, inputs, _LABEL_SUFFIXES, overwrite=options.overwrite)
        _check_zarr(task.labels, inputs, overwrite=options.overwrite)


def _check_zarr(path: Path, inputs: Inputs, *, overwrite: bool) -> None:
    """Make sure that nothing is lost with a zarr that is there."""
    if not is_zarr_name(path) or not path.exists():
        return
    check_free(path, overwrite=overwrite)
    inputs.check_apart(path)
    if any(path.iterdir()) and not holds_zarr(path):
        raise DataError(f"{path} is no zarr and is not replaced; choose another name")
