"""Prediction: plan the tiles, run the network on each, put the results together."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, cast

import numpy as np

from unet_engine.config import PredictConfig
from unet_engine.errors import Cancelled, DataError, OutOfMemoryError, SpecError
from unet_engine.events import Prediction, Stop, TileDone, never
from unet_engine.images import Normalisation, match_channels
from unet_engine.images.chunks import keep_chunks
from unet_engine.interruption import interruptible
from unet_engine.plan import (
    Index,
    Place,
    PredictionPlan,
    nearest_first,
    plan_prediction,
)
from unet_engine.results import ArrayResults, PredictionRun
from unet_engine.runtime import Runner, runner_for, translated_errors
from unet_engine.spec import ARCHITECTURES
from unet_engine.symmetry import SYMMETRIES, Symmetry
from unet_engine.tiling import Interval, Tile, TilePlan, read_reflected

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.results import Results
    from unet_engine.spec import ModelSpec
    from unet_engine.store import Checkpoint

__all__ = ["PredictionPlan", "iter_predict", "plan_prediction", "predict"]

_SMALLEST_TILE = 64
_HALVINGS = 2


def predict(
    image: Image,
    checkpoint: Checkpoint,
    config: PredictConfig | None = None,
    *,
    stop: Stop = never,
    normalisation: Normalisation | None = None,
    indices: Iterable[Index] | None = None,
    near: Place | Callable[[], Place | None] | None = None,
    into: Results | None = None,
) -> Prediction:
    """Predict an image; ``iter_predict`` without the events."""
    run = iter_predict(
        image,
        checkpoint,
        config,
        stop=stop,
        normalisation=normalisation,
        indices=indices,
        near=near,
        into=into,
    )
    while True:
        try:
            next(run)
        except StopIteration as finished:
            return cast("Prediction", finished.value)


def iter_predict(
    image: Image,
    checkpoint: Checkpoint,
    config: PredictConfig | None = None,
    *,
    stop: Stop = never,
    normalisation: Normalisation | None = None,
    indices: Iterable[Index] | None = None,
    near: Place | Callable[[], Place | None] | None = None,
    into: Results | None = None,
) -> Generator[TileDone, None, Prediction]:
    """Predict an image tile by tile, and yield every tile as it is finished.

    Tiles give the same result as the whole image in one piece. When a device runs out
    of memory the tiles are halved, twice at most, and then the CPU goes on; finished
    tiles are kept and a note says so.

    Parameters
    ----------
    image
        Any number of planes; only what a tile needs is read at a time.
    checkpoint
        The model. Give the same object again to spare building its network again.
    config
        Device, tile size, and whether to keep the probabilities.
    stop
        Polled before every tile and every layer; ``True`` returns what there is.
    normalisation
        Of this image with the model's channels; measured when it is None.
    indices
        Positions along the leading axes to predict; the others stay class 0.
    near
        ``(index, (y, x))``: planes and tiles nearest to it come first. A callable is
        asked again before every tile.
    into
        Where finished tiles go: ``ArrayResults`` for arrays of your own,
        ``DiskResults`` for files and for runs that can go on after an interruption;
        new arrays in memory when it is None.

    Yields
    ------
    TileDone
        In the order of ``near``, else in raster order; tiles that ``into`` has from an
        earlier run are not predicted again.

    Returns
    -------
    Prediction

    Raises
    ------
    DataError
        When the channels do not fit the model, a position is not in the image, a tile
        cannot be read or written, or a file changed; tiles that are finished stay.
    SpecError
        When the model has no classes: it restores images, see ``denoising``.
    CheckpointError
        When the weights do not fit their spec.
    OutOfMemoryError
        When even the smallest tile does not fit the CPU's memory.
    """
    started = time.monotonic()
    config = config or PredictConfig()
    spec = checkpoint.spec
    if not spec.classes:
        raise SpecError(
            f"this model ({spec.architecture}) has no classes and cannot segment; "
            "choose another one, or fine-tune this one on labels"
        )
    image = keep_chunks(match_channels(image, spec.in_channels))
    plan = plan_prediction(image, spec, config, indices, on_disk=into is not None)
    results = _in_memory(plan, spec, config) if into is None else into
    fingerprint = _fingerprint(image)
    if normalisation is None:
        normalisation = Normalisation.measure(
            image, low=spec.low_percentile, high=spec.high_percentile
        )
    predictor = TilePredictor(image, checkpoint, config, normalisation, stop)
    run = PredictionRun(
        image=image,
        fingerprint=fingerprint,
        checkpoint=checkpoint,
        config=config,
        plan=plan,
        normalisation=normalisation,
        device=predictor.device,
    )
    with closing(results):
        complete = yield from _fill(results, run, predictor, stop, near)
    return Prediction(
        labels=results.labels,
        probabilities=results.probabilities,
        complete=complete,
        device=predictor.device,
        seconds=time.monotonic() - started,
        notes=predictor.notes,
    )


def _fill(
    results: Results,
    run: PredictionRun,
    predictor: TilePredictor,
    stop: Stop,
    near: Place | Callable[[], Place | None] | None,
) -> Generator[TileDone, None, bool]:
    """Predict the tiles that are not there yet; False when it was stopped."""
    plan = run.plan
    finished = results.begin(run)
    done = len(finished)
    for index, tile in nearest_first(plan, near):
        if finished and plan.number(index, tile) in finished:
            continue
        if stop():
            return False
        with _named_tile(index, tile):
            try:
                probabilities = predictor.predict(index, tile)
            except Cancelled:
                return False
            classes = probabilities.argmax(axis=0).astype(np.uint8)
            results.write(index, tile, classes, probabilities)
        done += 1
        yield TileDone(
            index=index,
            inner=tile.inner_slices,
            labels=classes,
            probabilities=probabilities if run.config.probabilities else None,
            done=done,
            total=plan.total,
        )
    if run.fingerprint != _fingerprint(run.image):
        raise DataError(
            f"the files of {run.image.name} were changed by another program during "
            "the prediction, which may mix old and new; predict it again from the start"
        )
    return results.finish(stop)


def _fingerprint(image: Image) -> str:
    return image.source.fingerprint() if image.source is not None else ""


@contextmanager
def _named_tile(index: Index, tile: Tile) -> Iterator[None]:
    """Say in which tile data could not be read or written."""
    try:
        yield
    except DataError as error:
        place = ", ".join(f"{start}:{stop}" for start, stop in tile.inner)
        plane = f" of plane {', '.join(map(str, index))}" if index else ""
        raise DataError(f"tile [{place}]{plane}: {error}") from error


def _in_memory(
    plan: PredictionPlan, spec: ModelSpec, config: PredictConfig
) -> ArrayResults:
    with translated_errors():
        return ArrayResults.in_memory(
            plan.shape, len(spec.classes) if config.probabilities else 0
        )


class TilePredictor:
    """Reads, prepares and predicts tiles; takes smaller bites when memory runs out."""

    def __init__(
        self,
        image: Image,
        checkpoint: Checkpoint,
        config: PredictConfig,
        normalisation: Normalisation,
        stop: Stop = never,
    ) -> None:
        if len(normalisation.low) != image.channels:
            raise DataError(
                f"the normalisation was measured on {len(normalisation.low)} channels "
                f"and the model sees {image.channels}; measure it on this image"
            )
        self._image = image
        self._checkpoint = checkpoint
        self._normalisation = normalisation
        self._stop = stop
        self._symmetries = _symmetries(checkpoint.spec, config)
        self._runner: Runner = runner_for(checkpoint, config.device)
        self._smallest = round(_SMALLEST_TILE ** (2 / checkpoint.spec.ndim))
        self._halvings = 0
        self._notes: list[str] = []

    @property
    def device(self) -> str:
        return self._runner.device

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self._normalisation.notes, *self._notes)

    def predict(self, index: Index, tile: Tile) -> npt.NDArray[np.float32]:
        """Return the ``(classes, *inner)`` probabilities, or the image, of one tile.

        Raises
        ------
        Cancelled
            When ``stop`` said True within the tile.
        DataError
            When it cannot be read, or the file changed since it was opened.
        """
        while True:
            try:
                with translated_errors(), interruptible(self._stop):
                    return self._in_parts(index, tile)
            except OutOfMemoryError:
                if not self._spend_less(tile):
                    raise

    def _in_parts(self, index: Index, tile: Tile) -> npt.NDArray[np.float32]:
        if not self._halvings:
            return self._whole(index, tile)
        origin = tuple(start for start, _ in tile.inner)
        sizes = [stop - start for start, stop in tile.inner]
        spec = self._checkpoint.spec
        edge = max(self._smallest, max(sizes) >> self._halvings)
        parts = TilePlan.for_shape(sizes, tile=edge, footprint=spec.footprint)
        found = np.empty((spec.out_channels, *sizes), np.float32)
        for part in parts:
            found[(slice(None), *part.inner_slices)] = self._whole(
                index, _shifted(part, origin)
            )
        return found

    def _whole(self, index: Index, tile: Tile) -> npt.NDArray[np.float32]:
        footprint = self._checkpoint.spec.footprint
        views = [(s, s.tile_for(tile, footprint)) for s in self._symmetries]
        outer = _spanning(view.outer for _, view in views)
        block = self._normalisation.apply(self._read(index, Tile(tile.inner, outer)))
        found: list[npt.NDArray[np.float32]] = []
        for symmetry, view in views:
            seen = tuple(
                slice(low - start, high - start)
                for (low, high), (start, _) in zip(view.outer, outer, strict=True)
            )
            result = symmetry.undo(self._runner(symmetry(block[(slice(None), *seen)])))
            found.append(result[(slice(None), *view.local_slices(result.shape[1:]))])
        return np.ascontiguousarray(sum(found[1:], start=found[0]) / len(found))

    def _read(self, index: Index, tile: Tile) -> npt.NDArray[np.generic]:
        source = self._image.source
        try:
            block = self._read_outer(index, tile)
        except DataError:
            # That it changed explains what else is wrong with it.
            if source is not None:
                source.check_unchanged()
            raise
        if source is not None:
            source.check_unchanged()
        return block

    def _read_outer(self, index: Index, tile: Tile) -> npt.NDArray[np.generic]:
        image, outer = self._image, tile.outer
        if len(outer) == 2:
            return read_reflected(
                lambda region: image.read(index, region), outer, image.plane_shape
            )
        return read_reflected(
            lambda region: image.read_volume(index, region),
            outer,
            (image.leading_shape[-1], *image.plane_shape),
        )

    def _spend_less(self, tile: Tile) -> bool:
        """Halve the tiles, or move to the CPU; False when neither is left."""
        edge = max(stop - start for start, stop in tile.inner)
        self._runner.release_memory()
        if self._halvings < _HALVINGS and edge >> self._halvings > self._smallest:
            self._halvings += 1
            self._notes.append(
                f"{self.device} had too little memory for the tiles; they were halved."
            )
            return True
        if self.device == "cpu":
            return False
        self._notes.append(
            f"{self.device} had too little memory; the CPU finished the prediction."
        )
        self._runner = runner_for(self._checkpoint, "cpu")
        self._halvings = 0
        return True


def _symmetries(spec: ModelSpec, config: PredictConfig) -> tuple[Symmetry, ...]:
    """Return the flips and turns to take the mean of; the first changes nothing."""
    published = ARCHITECTURES[spec.architecture].averages_flips
    averages = {"auto": published, "on": True, "off": False}[config.average_flips]
    return SYMMETRIES if averages else SYMMETRIES[:1]


def _spanning(outers: Iterable[tuple[Interval, ...]]) -> tuple[Interval, ...]:
    """Return the smallest region that holds all of the given ones."""
    return tuple(
        (min(start for start, _ in axis), max(stop for _, stop in axis))
        for axis in zip(*outers, strict=True)
    )


def _shifted(tile: Tile, origin: tuple[int, ...]) -> Tile:
    """Move a tile; the origin lies on the pooling grid, so its phase is kept."""

    def moved(intervals: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        return tuple(
            (start + o, stop + o)
            for (start, stop), o in zip(intervals, origin, strict=True)
        )

    return Tile(inner=moved(tile.inner), outer=moved(tile.outer))
