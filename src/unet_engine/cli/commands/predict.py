"""``napari-unet predict``: one image or a folder of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

from unet_engine.cli.files.batch import Batch
from unet_engine.cli.files.outputs import is_zarr_name
from unet_engine.cli.files.reading import open_selected
from unet_engine.cli.files.tasks import (
    LABEL_SUFFIXES,
    LARGE_SUFFIXES,
    TIFF_SUFFIXES,
    Task,
    check_fits,
    check_task,
    plan_tasks,
)
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options.data import ImageOptions, OmeZarrOption
from unet_engine.cli.options.parameters import (
    NO_SETTINGS,
    Flag,
    ResultPath,
    Settings,
    SourcePath,
    settings_of,
)
from unet_engine.cli.progress import bar, report
from unet_engine.errors import Cancelled, DataError, EngineError
from unet_engine.files.inputs import Inputs
from unet_engine.generators import drain
from unet_engine.images import (
    ZARR_SUFFIX,
    write_labels,
    write_pixels,
    write_probabilities,
)
from unet_engine.images.zarr.storage import place_of
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.empty_tiles import EmptyRule
from unet_engine.prediction.events import Denoised
from unet_engine.remote.preparation import iter_prepare
from unet_engine.remote.seeking import Reconnecting

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.prediction.events import Prediction, TileDone
    from unet_engine.stopping import Stop

_LARGE_BYTES = 2**26
"""Results from here on go to disk tile by tile."""

_Result = TypeVar("_Result", "Prediction", "Denoised")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PredictOptions(OmeZarrOption, ImageOptions):
    """What is predicted by which model, and where the results go.

    Parameters
    ----------
    output
        The same as the last of the names: where the result goes.
    model
        Name or file of the model.
    probabilities
        Also write the probability of every class (.tif, .ome.zarr, or a folder).
    skip_below
        Tiles of which every pixel is below this value, in every channel, are background
        and not predicted.
    mask
        Zarr, its address, or image file: tiles where it holds nothing but 0 are
        background and not predicted. It is made of the image, or of it at a smaller
        scale.
    resume
        Skip images whose results are there, and go on with an unfinished one.
    overwrite
        Replace results that are there, and start unfinished ones anew; together with
        --resume go on with these.
    """

    output: Annotated[ResultPath | None, Parameter(alias="-o", metavar="OUT")] = None
    model: str = "nuclei"
    probabilities: Annotated[ResultPath | None, Parameter(metavar="OUT2")] = None
    skip_below: float | None = None
    mask: Annotated[SourcePath | None, Parameter(metavar="MASK")] = None
    resume: Flag = False
    overwrite: Flag = False

    @property
    def skip(self) -> EmptyRule | None:
        """Which tiles are background without being predicted, if there may be any."""
        if self.skip_below is None and self.mask is None:
            return None
        mask = "" if self.mask is None else str(place_of(self.mask))
        return EmptyRule(below=self.skip_below, mask=mask)

    @property
    def skips(self) -> bool:
        """Whether images are passed over whose results are there."""
        return self.resume and not self.overwrite

    @property
    def advice(self) -> str:
        """Which command goes on at finished tiles."""
        if self.overwrite and not self.resume:
            return "the same command with --resume, too, goes on there"
        return "the same command goes on there"


@settings_of(
    PredictConfig, everyday=("device",), without=("probabilities", "object_maps")
)
def run(
    *images: Annotated[SourcePath, Parameter(name="IMAGE", required=True)],
    options: PredictOptions = PredictOptions(),
    settings: Settings = NO_SETTINGS,
) -> int:
    """Segment an image, or all images of a folder.

    The results are label images of the same names; or denoised ones with a pretrained
    model. An image that fails is named, and the others are done; the exit code is then
    1. Nothing that exists is replaced without --overwrite, but a mask that was written
    here and is unchanged. An interrupted run to a .zarr, or to a large .tif, goes on
    when the same command is given again.

    Parameters
    ----------
    images
        A file, a .zarr or its address (https://, s3://), a folder, a pattern such as
        'day1/*.tif', or several; then,
        unless -o gives it, OUT: the label image to write (.tif, .png, .ome.zarr, or
        the address of a .zarr in object storage), or the folder for several.
    options
        What is read and written.
    settings
        How it is predicted.

    Raises
    ------
    EngineError
        When the only image cannot be predicted, or the results not be written.

    Examples
    --------
    napari-unet predict image.tif mask.tif
    napari-unet predict images/ masks/ --model mine --resume
    napari-unet predict slide.ome.zarr -o mask.ome.zarr --precision half
    napari-unet predict slide.ome.zarr -o slide.ome.zarr/labels/nuclei
    """
    config = PredictConfig(**settings, probabilities=options.probabilities is not None)
    checkpoint = _load_model(options)
    suffixes = LABEL_SUFFIXES if checkpoint.spec.classes else TIFF_SUFFIXES
    sources, out = _places(images, options)
    tasks = plan_tasks(sources, out, options.probabilities, suffixes=suffixes)
    _report_renamed(tasks, quiet=options.quiet)
    inputs = Inputs(task.image for task in tasks)
    batch = Batch(len(tasks), "images", "segmented")
    with stop_on_interrupt("stopping") as stop:
        run = _Run(options, config, checkpoint, stop)
        for number, task in enumerate(tasks):
            title = task.image.name
            if len(tasks) > 1:
                title = f"{number + 1}/{len(tasks)} {title}"
            if stop():
                return batch.stopped()
            with batch.attempt(task.image):
                if options.skips and not task.clash and task.is_finished:
                    batch.skip(task.labels, quiet=options.quiet)
                    continue
                check_task(task, inputs, suffixes, overwrite=options.overwrite)
                try:
                    if not run.predict(task, title):
                        return batch.stopped()
                except (Cancelled, KeyboardInterrupt):
                    return batch.stopped()
                batch.done += 1
    return batch.conclude(quiet=options.quiet)


def _report_renamed(tasks: Sequence[Task], *, quiet: bool) -> None:
    report(
        (
            f"{task.image.name}: another image has the same name without suffix, so "
            f"the result is {task.labels.name}"
            for task in tasks
            if task.is_renamed
        ),
        quiet=quiet,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Predictions with the same options, one image after the other."""

    options: PredictOptions
    config: PredictConfig
    checkpoint: Checkpoint
    stop: Stop

    def predict(self, task: Task, title: str) -> bool:
        """Predict one image and write the results; False when it was stopped."""
        from unet_engine.prediction.denoising import iter_denoise
        from unet_engine.prediction.segmentation import iter_predict

        if self.options.skip is not None and not self.checkpoint.spec.classes:
            raise DataError(
                f"{self.options.model} restores images, of which no part is "
                "background; leave --skip-below and --mask out"
            )
        image = open_selected(task.image, self.options)
        check_fits(task.labels, image)
        self._prepare(title)
        how = self.checkpoint, self.config
        result: Prediction | Denoised
        if not self.checkpoint.spec.classes:
            denoising = iter_denoise(image, *how, stop=self.stop)
            result = self._drain(denoising, title)
        else:
            into = self._disk_results(task, image)
            run = iter_predict(
                image, *how, stop=self.stop, into=into, skip=self.options.skip
            )
            if into is not None:
                return self._predict_to_disk(run, into, task, title)
            result = self._drain(run, title)
        if not result.complete:
            return False
        _write(task, image, self.checkpoint, result)
        self._report(task, title, result)
        return True

    def _disk_results(self, task: Task, image: Image) -> DiskOutput | None:
        """Return where results go tile by tile, if they are large or an OME-Zarr."""
        paths = [path for path in (task.labels, task.probabilities) if path is not None]
        suffixes = {
            ZARR_SUFFIX if is_zarr_name(path) else path.suffix.lower() for path in paths
        }
        pixels = prod((*image.leading_shape, *image.plane_shape))
        maps = len(self.checkpoint.spec.classes) * self.config.probabilities
        # Labels are bytes, probabilities float32.
        if ZARR_SUFFIX not in suffixes and pixels * (1 + 4 * maps) < _LARGE_BYTES:
            return None
        if not suffixes <= set(LARGE_SUFFIXES):
            if ZARR_SUFFIX not in suffixes:
                return None
            raise DataError(
                f"{task.labels} is kept in memory and {task.probabilities} is not; "
                "write both to .tif or .ome.zarr"
            )
        overwrite, resume = self.options.overwrite, self.options.resume
        version = self.options.ome_zarr
        return DiskOutput(*paths, overwrite=overwrite, resume=resume, ome_zarr=version)

    def _predict_to_disk(
        self,
        run: Generator[TileDone | Reconnecting, None, Prediction],
        into: DiskOutput,
        task: Task,
        title: str,
    ) -> bool:
        """Drain a run that writes as it goes; False when it was stopped."""
        try:
            result = self._drain(run, title)
        except EngineError as error:
            if into.unfinished is None:
                raise
            kept = f"finished tiles are kept in {into.unfinished}"
            raise type(error)(f"{error}; {kept}; {self.options.advice}") from error
        except KeyboardInterrupt:
            return self._report_kept(into, title)
        if not result.complete:
            return self._report_kept(into, title)
        self._report(task, title, result)
        return True

    def _report_kept(self, into: DiskOutput, title: str) -> bool:
        if into.unfinished is not None:
            kept = f"finished tiles are kept in {into.unfinished}"
            report([f"{title}: {kept}; {self.options.advice}"])
        return False

    def _report(self, task: Task, title: str, result: Prediction | Denoised) -> None:
        report((f"{title}: {note}" for note in result.notes), quiet=self.options.quiet)
        print(f"{task.labels} ({result.seconds:.1f} s on {result.device})")

    def _prepare(self, title: str) -> None:
        """Connect to workers elsewhere, and send them the model, behind a bar."""
        device = self.config.device
        run = iter_prepare(device, self.checkpoint.to_bytes, stop=self.stop)
        with bar(1, title, quiet=self.options.quiet) as progress:

            def show(event: Any) -> None:
                progress.set_description_str(f"{title}: {event.describe()}")
                progress.total = event.total
                progress.update(event.done - progress.n)

            drain(run, show)

    def _drain(self, run: Generator[Any, None, _Result], title: str) -> _Result:
        """Run a prediction behind a progress bar."""
        seeks = False
        with bar(1, title, quiet=self.options.quiet) as progress:

            def show(event: Any) -> None:
                nonlocal seeks
                if isinstance(event, Reconnecting) and not seeks:
                    report([f"{title}: {event.describe()}"], quiet=self.options.quiet)
                seeks = isinstance(event, Reconnecting)
                progress.total = event.total
                progress.update(event.done - progress.n)

            return drain(run, show)


def _load_model(options: PredictOptions) -> Checkpoint:
    checkpoint = ModelStore().load(options.model)
    if not checkpoint.spec.classes and options.probabilities is not None:
        raise DataError(
            f"{options.model} restores images and has no classes; "
            "leave --probabilities out"
        )
    return checkpoint


def _places(images: Sequence[Path], options: PredictOptions) -> tuple[list[Path], Path]:
    """Return what is read, and where the result goes."""
    names, out = list(images), options.output
    if out in names or (out is None and len(names) == 1):
        raise DataError(
            "state once where the result goes, as OUT after the image or with --output"
        )
    if out is not None:
        return names, out
    sources, out = names[:-1], names[-1]
    if len(sources) > 1 and out.is_file():
        raise DataError(
            f"{out} is a file, and the results of several images go to a folder; "
            "name the folder last, or with -o"
        )
    return sources, out


def _write(
    task: Task, image: Image, checkpoint: Checkpoint, result: Prediction | Denoised
) -> None:
    if isinstance(result, Denoised):
        write_pixels(task.labels, result.image, image=image)
        return
    if task.probabilities is not None and result.probabilities is not None:
        write_probabilities(
            task.probabilities,
            result.probabilities,
            image=image,
            classes=checkpoint.spec.classes,
        )
    write_labels(task.labels, result.labels, image=image, replaceable=True)
