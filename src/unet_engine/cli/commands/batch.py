"""``napari-unet batch``: many images become masks, objects and one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from unet_engine.cli.interrupts import INTERRUPTED, stop_on_interrupt
from unet_engine.cli.options.batch import BatchOptions
from unet_engine.cli.options.parameters import (
    NO_SETTINGS,
    Settings,
    UserPath,
    settings_of,
)
from unet_engine.cli.progress import bar, report
from unet_engine.errors import DataError
from unet_engine.generators import drain
from unet_engine.models.store import ModelStore
from unet_engine.objects.config import ObjectConfig
from unet_engine.prediction.config import PredictConfig

if TYPE_CHECKING:
    from unet_engine.batch import BatchConfig, BatchEvent, BatchPlan, BatchResult


@settings_of(
    PredictConfig,
    everyday=("device", "object_size"),
    without=("probabilities", "object_maps"),
)
@settings_of(ObjectConfig, everyday=("method", "min_size"), name="finding")
def run(
    *images: Annotated[UserPath, Parameter(name="IMAGE", required=True)],
    options: BatchOptions = BatchOptions(),
    settings: Settings = NO_SETTINGS,
    finding: Settings = NO_SETTINGS,
) -> int:
    """Segment many images, find their objects and measure them.

    Every image gets a mask and an image of its objects; one table, objects.csv, has the
    objects of all, and summary.csv a row for each image and class. Images that are
    finished, with the same model and settings, are passed over: an interrupted batch
    goes on when the same command is given again. An image that fails is named, and the
    others are done; the exit code is then 1.

    Parameters
    ----------
    images
        Files, folders, patterns such as 'day1/*.tif'.
    options
        What is read and written.
    settings
        How masks are predicted.
    finding
        How objects are found.

    Raises
    ------
    EngineError
        When an image fails, or nothing can be written.

    Examples
    --------
    napari-unet batch images/ -o results/ --model nuclei
    napari-unet batch control/ treated/ -o results/ --object-size 30
    napari-unet batch 'day1/*.tif' --no-masks --no-objects
    """
    from unet_engine.batch import iter_run_batch, plan_batch

    config = _config(options, settings, finding)
    checkpoint = ModelStore().load(options.model)
    plan = plan_batch(images, options.output)
    _report_left_out(plan, quiet=options.quiet)
    with stop_on_interrupt("stopping") as stop, _Lines(options.quiet) as lines:
        batch = iter_run_batch(
            plan, checkpoint, config, overwrite=options.overwrite, stop=stop
        )
        result = drain(batch, lines.show)
    return _conclude(result, quiet=options.quiet)


def _config(
    options: BatchOptions, settings: Settings, finding: Settings
) -> BatchConfig:
    from unet_engine.batch import BatchConfig

    return BatchConfig(
        masks=options.masks,
        objects=options.objects,
        table=options.table,
        prediction=PredictConfig(**settings),
        finding=ObjectConfig(**finding),
        planes=options.planes,
        boundary=options.boundary,
        scale=options.scale,
        images=options.choice,
    )


def _report_left_out(plan: BatchPlan, *, quiet: bool) -> None:
    if plan.left_out:
        names = plan.left_out[0].name
        if more := len(plan.left_out) - 1:
            names += f" and {more} more"
        report(
            [f"left out as results of batches: {names}; name them to use them"],
            quiet=quiet,
        )


class _Lines:
    """A bar for each image, and a line when it is done."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._title = ""
        self._what = ""

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_bar()

    def show(self, event: BatchEvent) -> None:
        """Show what happened."""
        from unet_engine.batch import ImageDone, ImageFailed, ImageStarted

        if isinstance(event, ImageStarted):
            self._title = f"{event.number}/{event.total} {event.item.name}"
            self._what = ""
        elif isinstance(event, ImageDone):
            self._end_bar()
            self._report_done(event)
        elif isinstance(event, ImageFailed):
            self._end_bar()
            report([f"napari-unet: error: {event.reason}"])
        else:
            if event.what != self._what:
                self._end_bar()
                self._what = event.what
                title = f"{self._title}: {event.what}"
                self._bar = bar(event.total, title, quiet=self._quiet)
            self._bar.total = event.total
            self._bar.update(event.done - self._bar.n)

    def _report_done(self, event: Any) -> None:
        if event.before:
            report([f"{event.item.name} is finished; skipped"], quiet=self._quiet)
            return
        notes = (f"{self._title}: {note}" for note in event.notes)
        report(notes, quiet=self._quiet)
        found = "" if event.objects is None else f": {_count(event.objects)}"
        print(f"{event.item.name}{found}")

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _conclude(result: BatchResult, *, quiet: bool) -> int:
    """Write the last lines; return the exit code.

    Raises
    ------
    DataError
        When an image failed.
    """
    if result.table is not None:
        images = result.done + result.before + result.earlier
        earlier = f", {result.earlier} of earlier runs" if result.earlier else ""
        print(f"{result.table}: {_count(result.objects)} of {images} images{earlier}")
    if result.summary is not None:
        print(result.summary)
    before = f", {result.before} finished before" if result.before else ""
    if not result.complete:
        failed = f", {len(result.failed)} failed" if result.failed else ""
        report(
            [
                f"napari-unet: stopped, {result.done} of {result.total} images were "
                f"done{before}{failed}; the same command goes on there"
            ]
        )
        return INTERRUPTED
    if result.failed:
        raise DataError(
            f"{len(result.failed)} of {result.total} images could not be done "
            f"({result.done} done{before}); see the lines above"
        )
    report([f"{result.done} images done{before}"], quiet=quiet)
    return 0


def _count(objects: int) -> str:
    return f"{objects} object{'s' * (objects != 1)}"
