"""Prediction: plan the tiles, run the model on each, put the results together."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from unet_engine.compute import calibration
from unet_engine.compute.measured_halo import measure_halo
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.devices import is_remote
from unet_engine.errors import Cancelled, CheckpointError, DataError, SpecError
from unet_engine.generators import drain
from unet_engine.images import match_channels
from unet_engine.images.zarr.chunks import keep_chunks
from unet_engine.labels import classes_and_maps
from unet_engine.models.object_maps import gives_object_maps
from unet_engine.pixel_classification.feature_cache import BLOCK
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.directions import (
    in_three_directions,
)
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.empty_tiles import EmptyTiles
from unet_engine.prediction.events import Prediction, TileDone
from unet_engine.prediction.fitting import describe_extent
from unet_engine.prediction.model_predictor import (
    uses_classifier,
    uses_network,
)
from unet_engine.prediction.outputs import ArrayOutput, PredictionRun
from unet_engine.prediction.plan import (
    PredictionPlan,
    current_place,
    plan_prediction,
)
from unet_engine.prediction.predictors import any_predictor_for
from unet_engine.prediction.remote.orders import SegmentedTile
from unet_engine.prediction.remote.predictor import RemotePredictor
from unet_engine.prediction.remote.storage import WrittenMark, WrittenTile
from unet_engine.prediction.scale import describe_scale, scale_of
from unet_engine.prediction.scaled_predictor import on_grid_of_model
from unet_engine.prediction.size_estimate import settled_size
from unet_engine.prediction.tile_errors import named_tile
from unet_engine.prediction.tile_loop import (
    TileLoop,
    measure_normalisation,
)
from unet_engine.prediction.tile_predictor import read_tile
from unet_engine.remote.seeking import Reconnecting
from unet_engine.stopping import never
from unet_engine.tiling.tiles import Tile, TilePlan

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    import numpy as np
    import numpy.typing as npt

    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index, Near
    from unet_engine.prediction.any_predictor import AnyPredictor
    from unet_engine.prediction.empty_tiles import EmptyRule
    from unet_engine.prediction.outputs import Output
    from unet_engine.prediction.scale import SizeEstimate
    from unet_engine.stopping import Stop

__all__ = ["PredictionPlan", "iter_predict", "plan_prediction", "predict"]

_MEASURED_EDGE = 256
"""Edge of the part of an image in which the halo of an older model is measured."""

_LONG_RUN = 2**24
"""Pixels from which on a calibration of about two of them in a hundred pays."""

_TIMED_RUN = 2**20
"""Pixels from which on the time of a run predicts that of others."""


def predict(
    image: Image,
    checkpoint: Checkpoint,
    config: PredictConfig | None = None,
    *,
    stop: Stop = never,
    normalisation: Normalisation | None = None,
    indices: Iterable[Index] | None = None,
    near: Near = None,
    into: Output | None = None,
    features: FeatureCache | None = None,
    skip: EmptyRule | None = None,
) -> Prediction:
    """Predict an image tile by tile, with the result of the whole in one piece.

    When a device runs out of memory the tiles are halved, and at last the CPU goes on.

    Parameters
    ----------
    image
        Any number of planes; only what a tile needs is read at a time.
    checkpoint
        The model. The same object again is not built again.
    config
        Device, tile size, and whether to keep the probabilities.
    stop
        Polled before every tile and every layer; ``True`` returns what there is.
    normalisation
        Of this image with the model's channels; measured when it is None.
    indices
        Positions along the leading axes to predict; the others stay class 0.
    near
        As in ``iter_predict``.
    into
        Where tiles go: ``DiskOutput`` for files; arrays in memory when it is None.
    features
        Of the image, if they are kept elsewhere, as Live does: blocks that are there
        need not be computed again, if they are those of the model.
    skip
        Tiles that are background without being predicted; None for none.

    Raises
    ------
    DataError
        When channels or positions do not fit, a tile cannot be read or written, or a
        file changed; tiles that are finished stay.
    SpecError
        When the model has no classes: it restores images, see ``denoise``; or when
        object maps are wanted of one that gives none.
    CheckpointError
        When the weights do not fit their spec, are no numbers, or lead to none.
    OutOfMemoryError
        When even the smallest tile does not fit the CPU's memory.

    Examples
    --------
    >>> from skimage.data import immunohistochemistry
    >>> from unet_engine import Image, ModelStore, predict
    >>> tissue = Image.from_array(immunohistochemistry()[:96, :128], "YXS")
    >>> prediction = predict(tissue, ModelStore().load("nuclei"))
    >>> prediction.labels.shape, prediction.complete
    ((96, 128), True)
    """
    run = iter_predict(
        image,
        checkpoint,
        config,
        stop=stop,
        normalisation=normalisation,
        indices=indices,
        near=near,
        into=into,
        features=features,
        skip=skip,
    )
    return drain(run)


def iter_predict(
    image: Image,
    checkpoint: Checkpoint,
    config: PredictConfig | None = None,
    *,
    stop: Stop = never,
    normalisation: Normalisation | None = None,
    indices: Iterable[Index] | None = None,
    near: Near = None,
    into: Output | None = None,
    features: FeatureCache | None = None,
    skip: EmptyRule | None = None,
) -> Generator[TileDone | Reconnecting, None, Prediction]:
    """Predict an image as ``predict`` does, and yield every tile as it is finished.

    Planes and tiles nearest to ``near``, an ``(index, (y, x))``, come first; a callable
    is called again before every tile. Without it they come in raster order.

    Yields
    ------
    TileDone or Reconnecting
        The second only of a device that is another machine or other processes, while
        the line to it is lost and tried again.
    """
    started = time.monotonic()
    config, spec = config or PredictConfig(), checkpoint.spec
    _check_gives(checkpoint, config)
    image = keep_chunks(match_channels(image, spec.in_channels))
    step = BLOCK if uses_classifier(checkpoint, config) else 1
    plan_for = _planner(image, config, indices, near, into, step)
    plan = plan_for(spec)
    results = _in_memory(plan, spec, config) if into is None else into
    channels = len(spec.classes) + len(spec.object_maps) * config.object_maps
    empty = None if skip is None else EmptyTiles(image, skip, channels)
    fingerprint = _fingerprint(image)
    if normalisation is None:
        normalisation = measure_normalisation(image, spec, plan)
    # A second or less, at the end of which stopping is noticed by the loop.
    config, size = settled_size(image, checkpoint, normalisation, config)
    if size is not None:
        plan_for = _planner(image, config, indices, near, into, step)
        plan = plan_for(spec)
    measures = config.halo == "measured" and uses_network(checkpoint, config)
    # The halo of a network that is not known inside is what its package states.
    measures = measures and spec.imported is None
    if measures and spec.measured_halo is None:
        there, brightness = on_grid_of_model(image, normalisation, plan)
        checkpoint = _with_measured_halo(checkpoint, there, brightness, plan, stop)
        plan = plan_for(checkpoint.spec)
    predictor = any_predictor_for(
        image,
        checkpoint,
        config,
        normalisation,
        plan,
        stop=stop,
        features=features,
        calibrate=near is None and plan.network_pixels >= _LONG_RUN,
        block_edge=results.block_edge,
        sends_probabilities=config.probabilities or results.wants_probabilities,
    )
    if isinstance(predictor, RemotePredictor):
        yield from predictor.begin()
    run = PredictionRun(
        image=image,
        fingerprint=fingerprint,
        checkpoint=checkpoint,
        config=config,
        plan=plan,
        normalisation=normalisation,
        device=predictor.device,
        block_edge=predictor.block_edge,
        empty=empty,
    )
    with closing(predictor), closing(results):
        complete = yield from _fill(results, run, predictor, stop, near)
    seconds = time.monotonic() - started
    if complete and empty is None:
        _keep_speed(run, seconds)
    return _result(results, run, predictor, complete, seconds, size)


def _result(
    results: Output,
    run: PredictionRun,
    predictor: AnyPredictor | RemotePredictor,
    complete: bool,
    seconds: float,
    size: SizeEstimate | None,
) -> Prediction:
    spec = run.checkpoint.spec
    scale = describe_scale(run.image, spec, run.config, size)
    return Prediction(
        labels=results.labels,
        probabilities=results.probabilities,
        object_maps=results.object_maps,
        complete=complete,
        device=predictor.device,
        seconds=seconds,
        notes=(
            *((scale,) if scale else ()),
            *describe_extent(run.image, spec, scale_of(run.image, spec, run.config)),
            *predictor.notes,
            *(run.empty.notes if run.empty is not None else ()),
            *_halo_notes_of(run),
        ),
    )


def _check_gives(checkpoint: Checkpoint, config: PredictConfig) -> None:
    spec = checkpoint.spec
    if config.object_maps and not gives_object_maps(checkpoint):
        raise SpecError(
            f"{checkpoint.title} gives no object maps; leave object_maps out, or "
            "choose a model that has them in its spec"
        )
    if not spec.classes:
        raise SpecError(
            f"this model ({spec.architecture}) has no classes and cannot segment; "
            "choose another one, or fine-tune this one on labels"
        )


def _planner(
    image: Image,
    config: PredictConfig,
    indices: Iterable[Index] | None,
    near: Near,
    into: Output | None,
    step: int,
) -> Callable[[ModelSpec], PredictionPlan]:
    """Return what plans the run for a spec, whose halo may be measured later."""
    watched = near is not None and not (into is not None and into.fixed_grid)
    return partial(
        plan_prediction,
        image,
        config=config,
        indices=None if indices is None else tuple(indices),
        on_disk=into is not None,
        watched=watched,
        place=current_place(near) if watched else None,
        step=step,
    )


def _keep_speed(run: PredictionRun, seconds: float) -> None:
    """Remember how fast a long run in the usual settings was."""
    config, pixels = run.config, run.plan.network_pixels
    usual = config.average_flips == "auto" and config.precision == "full"
    # That of workers is not that of this machine.
    usual = usual and not is_remote(config.device)
    usual = usual and not uses_classifier(run.checkpoint, config)
    usual = usual and not in_three_directions(run.checkpoint.spec, config)
    if usual and pixels >= _TIMED_RUN:
        calibration.remember(
            run.checkpoint.spec,
            run.device,
            seconds_per_megapixel=1e6 * seconds / pixels,
        )


def _with_measured_halo(
    checkpoint: Checkpoint,
    image: Image,
    normalisation: Normalisation,
    plan: PredictionPlan,
    stop: Stop,
) -> Checkpoint:
    """Measure the halo of an older model in the middle of the image itself."""
    # The shape of the tiles has more axes where planes have three directions.
    between = len(plan.network_shape) - checkpoint.spec.ndim
    depth, shape = plan.network_shape[:between], plan.network_shape[between:]
    middle = TilePlan.for_shape(
        shape, tile=_MEASURED_EDGE, footprint=checkpoint.spec.footprint
    ).nearest_first([size / 2 for size in shape])[0]
    index = (*plan.planes[len(plan.planes) // 2], *(size // 2 for size in depth))
    with named_tile(index, middle):
        marked = normalisation.marked(image)
        block = read_tile(marked, index, Tile(middle.inner, middle.inner))
    return measure_halo(checkpoint, [normalisation.apply(block)], stop=stop)


def _fill(
    results: Output,
    run: PredictionRun,
    predictor: AnyPredictor | RemotePredictor,
    stop: Stop,
    near: Near,
) -> Generator[TileDone | Reconnecting, None, bool]:
    """Predict the tiles that are not there yet; False when it was stopped."""
    plan = run.plan
    finished = results.begin(run)
    loop = TileLoop(
        predictor, plan, stop=stop, near=near, finished=finished, empty=run.empty
    )
    try:
        if isinstance(predictor, RemotePredictor) and len(finished) < plan.total:
            predictor.share_storage(results, run.empty)
        for one in loop:
            if isinstance(one, Reconnecting):
                yield one
                continue
            index, tile, found = one
            with named_tile(index, tile):
                there = _kept(results, run, index, tile, found)
            wanted = run.config.probabilities
            yield TileDone(
                index=index,
                inner=tile.inner_slices,
                labels=there.labels,
                probabilities=there.probabilities if wanted else None,
                done=loop.done,
                total=plan.total,
                notes=predictor.retreats,
                object_maps=there.object_maps if run.config.object_maps else None,
            )
    except Cancelled:
        return False
    except CheckpointError:
        if not loop.done:
            results.discard()
        raise
    if not loop.complete:
        return False
    _check_unchanged(run)
    if isinstance(results, DiskOutput) and isinstance(predictor, RemotePredictor):
        fill = predictor.fill_level if predictor.stores else None
        return results.finish(stop, fill, shared=predictor.shared)
    return results.finish(stop)


def _kept(
    results: Output,
    run: PredictionRun,
    index: Index,
    tile: Tile,
    found: npt.NDArray[np.float32] | SegmentedTile | WrittenMark,
) -> SegmentedTile:
    """Write a tile, or count one that a worker has written."""
    if isinstance(found, WrittenMark):
        assert isinstance(results, DiskOutput)
        results.count(run.plan.number(index, tile))
        return _written(results, index, tile)
    if not isinstance(found, SegmentedTile):
        classes = len(run.checkpoint.spec.classes)
        found = SegmentedTile(*classes_and_maps(found, classes))
    maps = {"object_maps": found.object_maps} if run.config.object_maps else {}
    results.write(index, tile, found.labels, found.probabilities, **maps)
    return found


def _written(results: Output, index: Index, tile: Tile) -> SegmentedTile:
    """Return a tile that is read from the results when it is asked for."""
    where: tuple[int | slice, ...] = (*index, *tile.inner_slices)

    def stored(array: Any, *channels: slice) -> Any:
        return None if array is None else WrittenTile(array, (*channels, *where))

    def channels(array: Any) -> slice:
        return slice(0, 0 if array is None else array.shape[0])

    values, maps = results.probabilities, results.object_maps
    return SegmentedTile(
        stored(results.labels),
        stored(values, channels(values)),
        stored(maps, channels(maps)),
    )


def _check_unchanged(run: PredictionRun) -> None:
    if run.fingerprint != _fingerprint(run.image):
        raise DataError(
            f"the files of {run.image.name} were changed by another program during "
            "the prediction, which may mix old and new; run the same again: of a zarr "
            "that goes to disk only the tiles concerned are predicted again"
        )


def _fingerprint(image: Image) -> str:
    return image.source.fingerprint() if image.source is not None else ""


def _in_memory(
    plan: PredictionPlan, spec: ModelSpec, config: PredictConfig
) -> ArrayOutput:
    with translated_errors():
        return ArrayOutput.in_memory(
            plan.shape,
            len(spec.classes) if config.probabilities else 0,
            len(spec.object_maps) if config.object_maps else 0,
        )


def _halo_notes_of(run: PredictionRun) -> tuple[str, ...]:
    if not uses_network(run.checkpoint, run.config):
        return ()
    return halo_notes(run.checkpoint.spec, run.config)


def halo_notes(spec: ModelSpec, config: PredictConfig) -> tuple[str, ...]:
    """Describe what a measured halo may have changed; ``()`` for the exact one.

    Of a network of another program nothing is known of its receptive field.
    """
    if spec.imported is not None:
        halo = " x ".join(map(str, dict.fromkeys(spec.imported.halo)))
        whose = "its package states" if spec.imported.halo_is_stated else "was assumed"
        return (
            "This network of another program was run in tiles that overlap by the "
            f"{halo} pixels that {whose}; near their edges the mask may differ from "
            "that of the whole image.",
        )
    if config.halo == "exact" or spec.measured_halo is None:
        return ()
    across, exact = spec.measured_halo[-1], spec.footprint.halo[-1]
    return (
        f"The measured halo of {across} instead of {exact} pixels changed no "
        f"probability by more than {spec.measured_error:.1g} where it was measured.",
    )
