"""Prediction: plan the tiles, run the model on each, put the results together."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from unet_engine.compute import calibration
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.devices import is_remote
from unet_engine.errors import SpecError
from unet_engine.generators import drain
from unet_engine.images import match_channels
from unet_engine.images.zarr.chunks import keep_chunks
from unet_engine.models.object_maps import gives_object_maps
from unet_engine.pixel_classification.feature_cache import BLOCK
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.directions import (
    in_three_directions,
)
from unet_engine.prediction.empty_tiles import EmptyTiles
from unet_engine.prediction.events import Prediction, TileDone
from unet_engine.prediction.filling import fill, fingerprint_of
from unet_engine.prediction.fitting import describe_extent
from unet_engine.prediction.halo import halo_notes, with_measured_halo
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
from unet_engine.prediction.predictors import iter_predictor_for
from unet_engine.prediction.scale import describe_scale, scale_of
from unet_engine.prediction.scaled_predictor import on_grid_of_model
from unet_engine.prediction.size_estimate import settled_size
from unet_engine.prediction.tile_loop import (
    measure_normalisation,
)
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index, Near
    from unet_engine.prediction.any_predictor import AnyPredictor
    from unet_engine.prediction.empty_tiles import EmptyRule
    from unet_engine.prediction.outputs import Output
    from unet_engine.prediction.remote.predictor import RemotePredictor
    from unet_engine.prediction.scale import SizeEstimate
    from unet_engine.remote.seeking import Reconnecting
    from unet_engine.stopping import Stop

__all__ = ["PredictionPlan", "iter_predict", "plan_prediction", "predict"]

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
    fingerprint = fingerprint_of(image)
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
        checkpoint = with_measured_halo(checkpoint, there, brightness, plan, stop)
        plan = plan_for(checkpoint.spec)
    predictor = yield from iter_predictor_for(
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
        quantises_object_maps=results.quantises_object_maps,
    )
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
        complete = yield from fill(results, run, predictor, stop, near)
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
            *_halo_notes(run),
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


def _in_memory(
    plan: PredictionPlan, spec: ModelSpec, config: PredictConfig
) -> ArrayOutput:
    with translated_errors():
        return ArrayOutput.in_memory(
            plan.shape,
            len(spec.classes) if config.probabilities else 0,
            len(spec.object_maps) if config.object_maps else 0,
        )


def _halo_notes(run: PredictionRun) -> tuple[str, ...]:
    if not uses_network(run.checkpoint, run.config):
        return ()
    return halo_notes(run.checkpoint.spec, run.config)
