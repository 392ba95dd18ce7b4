"""What is done with one image of a batch: mask, objects, measurements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.batch.events import ImageProgress
from unet_engine.devices import is_remote
from unet_engine.errors import Cancelled
from unet_engine.objects import (
    SemanticMask,
    describe_left_out,
    iter_label_objects,
    iter_measure_objects,
)
from unet_engine.objects.blocks import release_pages, scratch_array
from unet_engine.objects.class_mask import quantised
from unet_engine.objects.mask_image import object_ndim, scale_along, with_scale
from unet_engine.prediction.outputs import ArrayOutput
from unet_engine.remote.connection import connect, is_connected
from unet_engine.remote.preparation import iter_prepare
from unet_engine.remote.seeking import FIND_AGAIN_S, Reconnecting, iter_sought

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy.typing as npt

    from unet_engine.batch.config import BatchConfig
    from unet_engine.batch.plan import BatchItem
    from unet_engine.devices import Device
    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.objects import Objects
    from unet_engine.places import Index
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile

    Table = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageResults:
    """What was found in an image.

    Attributes
    ----------
    image
        With the size of its pixels that objects are measured in.
    labels
        ``(*leading, Y, X)`` uint8 class ids.
    objects, table
        Single objects and a row for each; None when not wanted.
    notes
        What the user should know, one sentence each.
    """

    image: Image
    labels: npt.NDArray[np.uint8]
    objects: Objects | None
    table: Table | None
    notes: tuple[str, ...]


def iter_device(
    item: BatchItem,
    checkpoint: Checkpoint,
    device: Device,
    stop: Stop,
    *,
    worked: bool = False,
) -> Generator[ImageProgress, None, None]:
    """Make sure that a device can be used, before an image is read.

    Parameters
    ----------
    item
        The image, for what is yielded.
    checkpoint
        Is sent to workers.
    device
        As of ``PredictConfig``.
    stop
        Polled at every step.
    worked
        It did for another image: a line that broke since is sought for a while.

    Raises
    ------
    DeviceError
        When it cannot be used, for this image and any other one.
    Cancelled
        When ``stop`` returned True.
    """
    from unet_engine.compute.devices import choose_device

    choose_device(device)
    if worked and is_remote(device) and not is_connected(device):
        for _ in iter_sought(partial(connect, device), FIND_AGAIN_S, stop):
            yield ImageProgress(item=item, what="reconnecting", done=0, total=1)
    preparing = iter_prepare(device, checkpoint.to_bytes, stop=stop)
    yield from _named(item, "connecting", preparing)


def iter_image(
    item: BatchItem, checkpoint: Checkpoint, config: BatchConfig, stop: Stop
) -> Generator[ImageProgress, None, ImageResults]:
    """Predict an image, find its objects and measure them.

    Parameters
    ----------
    item
        The image.
    checkpoint, config
        What is done with it.
    stop
        Polled at every step.

    Yields
    ------
    ImageProgress

    Raises
    ------
    Cancelled
        When ``stop`` returned True.
    EngineError
        When the image cannot be read, or does not fit the model.
    """
    image = config.images.open(item.image)
    predicted, notes = yield from _iter_predict(item, image, checkpoint, config, stop)
    if not config.finds_objects:
        return ImageResults(
            image=image,
            labels=predicted.labels,
            objects=None,
            table=None,
            notes=notes,
        )
    ndim = object_ndim(image, planes=config.planes)
    scale = image.pixel_size.lengths("ZYX"[-ndim:])
    if config.scale is not None:
        scale = scale_along(config.scale, ndim)
        image = with_scale(image, None, scale)
    mask = SemanticMask(
        classes=predicted.labels,
        ndim=ndim,
        spacing=image.pixel_size.proportions("ZYX"[-ndim:]),
        boundary=config.boundary,
        probabilities=predicted.probabilities,
        object_maps=predicted.object_maps,
        map_names=checkpoint.spec.object_maps or ("distance", "boundary"),
    )
    run = iter_label_objects(mask, config.finding, stop=stop)
    objects = yield from _named(item, "finding objects", run)
    table: Table | None = None
    if config.table:
        measuring = iter_measure_objects(
            objects,
            image,
            scale=scale,
            axes=image.leading_axes + "YX",
            class_names=checkpoint.spec.classes,
            stop=stop,
        )
        table = yield from _named(item, "measuring", measuring)
    return ImageResults(
        image=image,
        labels=predicted.labels,
        objects=objects,
        table=table,
        notes=(*notes, *_notes_on(image, objects, table, scale)),
    )


def _iter_predict(
    item: BatchItem,
    image: Image,
    checkpoint: Checkpoint,
    config: BatchConfig,
    stop: Stop,
) -> Generator[ImageProgress, None, tuple[_Arrays, tuple[str, ...]]]:
    from unet_engine.prediction.segmentation import iter_predict

    wanted = config.prediction_with(checkpoint)
    shape = (*image.leading_shape, *image.plane_shape)
    classes = len(checkpoint.spec.classes) if wanted.probabilities else 0
    maps = len(checkpoint.spec.object_maps) if wanted.object_maps else 0
    into = _Arrays(shape, classes, maps)
    run = iter_predict(image, checkpoint, wanted, stop=stop, into=into)
    result = yield from _named(item, "predicting", run)
    if not result.complete:
        raise Cancelled(f"stopped before {item.name} was predicted")
    return into, result.notes


class _Arrays(ArrayOutput):
    """Results in memory, or in temporary files where they are large."""

    def __init__(self, shape: tuple[int, ...], classes: int, maps: int) -> None:
        super().__init__(
            scratch_array(shape, np.uint8),
            scratch_array((classes, *shape), np.float32) if classes else None,
            scratch_array((maps, *shape), np.uint8) if maps else None,
        )

    @property
    def quantises_object_maps(self) -> bool:
        """Keep them as uint8."""
        return True

    def write(
        self,
        index: Index,
        tile: Tile,
        labels: npt.NDArray[np.uint8],
        probabilities: npt.NDArray[np.float32] | None,
        object_maps: npt.NDArray[Any] | None = None,
    ) -> None:
        """Write a tile, its object maps as uint8."""
        kept: Any = None if object_maps is None else quantised(object_maps)
        super().write(index, tile, labels, probabilities, kept)
        for array in (self.labels, self.probabilities, self.object_maps):
            release_pages(array)


def _notes_on(
    image: Image,
    objects: Objects,
    table: Table | None,
    scale: tuple[float, ...] | None,
) -> list[str]:
    notes = []
    if objects.small:
        noun = "object" if objects.small == 1 else "objects"
        notes.append(f"{objects.small} {noun} left out as too small")
    if table is not None and scale is None:
        known = image.pixel_size.printed or "the size of a pixel is not known"
        notes.append(f"{known}, so sizes are in pixels")
    if table is not None and (pixels := describe_left_out(table)):
        notes.append(pixels)
    return notes


def _named(
    item: BatchItem, what: str, run: Generator[Any, None, Any]
) -> Generator[ImageProgress, None, Any]:
    """Pass the steps of a run on under a name."""
    while True:
        try:
            step = next(run)
        except StopIteration as finished:
            return finished.value
        now = "reconnecting" if isinstance(step, Reconnecting) else what
        yield ImageProgress(item=item, what=now, done=step.done, total=step.total)
