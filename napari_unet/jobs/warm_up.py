"""What a prediction by workers elsewhere needs, done before it is asked for. No Qt.

Between the choice of a device and the first prediction there are seconds in which line
and processors have nothing to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.jobs.job import load_torch
from napari_unet.state.polling import polled

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_unet.state.image_measures import ImageMeasures
    from napari_unet.state.workspace import Workspace
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.stopping import Stop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WarmUpOrder:
    """What a prediction may be ordered with.

    Attributes
    ----------
    model, config
        By which model, and how.
    measures
        Of the image.
    """

    model: ModelInfo
    config: PredictConfig
    measures: ImageMeasures | None


def warm_up_run(
    order: WarmUpOrder, workspace: Workspace, stop: Stop
) -> Generator[None, None, None]:
    """Have the workers of a device keep the model, and compute with it once.

    Raises
    ------
    EngineError
        When they cannot; a prediction meets the same.
    """
    yield from ()
    load_torch()
    from unet_engine.models.object_maps import gives_object_maps
    from unet_engine.remote.preparation import warm_up

    checkpoint = workspace.checkpoint(order.model, stop)
    warm_up(
        order.config.device,
        checkpoint.to_bytes,
        object_maps=gives_object_maps(checkpoint),
        precision=order.config.precision,
        stop=stop,
    )


def measure_run(
    order: WarmUpOrder, workspace: Workspace, stop: Stop
) -> Generator[None, None, None]:
    """Measure the brightness of an image, and estimate the size of its objects.

    A prediction that begins meanwhile waits for it, and does not do it again.

    Raises
    ------
    EngineError
        When the image cannot be read; a prediction meets the same.
    """
    yield from ()
    load_torch()
    assert order.measures is not None
    checkpoint = workspace.checkpoint(order.model, stop)
    measures = order.measures
    normalisation = measures.normalisation(checkpoint.spec, stop)
    measures.object_sizes.estimate(
        polled(measures.image, stop), checkpoint, order.config, normalisation, stop
    )
