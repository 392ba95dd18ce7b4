"""A coarse prediction of what is on screen, before the fine one. No Qt.

Of a multiscale image, zoomed out, napari shows a smaller level. The model predicts the
part of that level on screen first, in one or a few tiles instead of the hundreds of
full resolution below it. It is a preview only: it never enters the mask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from napari_unet.jobs.orders import PreviewOrder
from unet_engine.images import Image, Normalisation, match_channels
from unet_engine.prediction.config import SMALLEST_OBJECT
from unet_engine.prediction.events import TileDone

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    import numpy.typing as npt

    from napari_unet.viewer.conversion import Layout
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.places import Region, View
    from unet_engine.prediction.config import ObjectSize, PredictConfig
    from unet_engine.stopping import Stop

_FEWEST_PIXELS = 2**16
"""Pixels that a level needs for its brightness to be that of the image."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreviewTile:
    """A finished part of a preview.

    Attributes
    ----------
    order
        What was ordered.
    inner
        Rows and columns in the region of the order.
    labels
        ``(h, w)`` uint8 class ids.
    """

    order: PreviewOrder
    inner: Region
    labels: npt.NDArray[np.uint8]


def wanted_preview(layer: Any, layout: Layout, view: View) -> PreviewOrder | None:
    """Return what of a smaller level is on screen; None when there is none.

    Parameters
    ----------
    layer
        An image layer.
    layout
        What its axes mean.
    view
        What the camera shows.
    """
    number = layer.data_level if layer.multiscale else 0
    if not number:
        return None
    full, level = (_level_image(layer, layout, n) for n in (0, number))
    index, middle, size = view
    factor = _factor(full.plane_shape, level.plane_shape)
    region = tuple(
        slice(
            max(0, int((point - extent / 2) / step)),
            min(count, int((point + extent / 2) / step) + 1),
        )
        for point, extent, step, count in zip(
            middle, size, factor, level.plane_shape, strict=True
        )
    )
    if any(part.start >= part.stop for part in region):
        return None
    inside = tuple(
        min(int(position * some / every), some - 1)
        for position, every, some in zip(
            index, full.leading_shape, level.leading_shape, strict=True
        )
    )
    return PreviewOrder(
        level=level,
        bright=_bright_level(layer, layout, number),
        index=index,
        inside=inside,
        region=(region[0], region[1]),
        factor=factor,
    )


def preview_tiles(
    order: PreviewOrder, checkpoint: Checkpoint, config: PredictConfig, stop: Stop
) -> Generator[PreviewTile, None, None]:
    """Predict a preview, from the middle of the screen outwards."""
    from unet_engine.prediction.segmentation import iter_predict

    spec = checkpoint.spec
    level, bright = (
        match_channels(image, spec.in_channels) for image in (order.level, order.bright)
    )
    normalisation = Normalisation.measure(bright, spec.preparation)
    # Read with its fill as NaN, which marks what is left of it in ``part``.
    marked = normalisation.marked(level)
    normalisation = replace(normalisation, fills=())
    part = Image.from_array(marked.read(order.inside, order.region), "CYX")
    height, width = part.plane_shape
    for tile in iter_predict(
        part,
        checkpoint,
        replace(
            config,
            probabilities=False,
            average_flips="off",
            directions="one",
            object_size=_size_in(order, spec, config),
        ),
        stop=stop,
        normalisation=normalisation,
        near=((), (height / 2, width / 2)),
    ):
        if not isinstance(tile, TileDone):
            # The run that follows shows what is done about a line that was lost.
            continue
        rows, columns = tile.inner
        yield PreviewTile(order=order, inner=(rows, columns), labels=tile.labels)


def _size_in(order: PreviewOrder, spec: ModelSpec, config: PredictConfig) -> ObjectSize:
    """Return the size of objects in pixels of the level."""
    if isinstance(config.object_size, (int, float)):
        return max(SMALLEST_OBJECT, config.object_size / max(order.factor))
    # The part of a level has no size of its pixels, and is estimated by itself.
    return "off" if config.object_size == "off" else "auto"


def _level_image(layer: Any, layout: Layout, number: int) -> Image:
    return Image.from_array(
        layer.data[number], layout.axes, name=layer.name, rgb=bool(layer.rgb)
    )


def _bright_level(layer: Any, layout: Layout, number: int) -> Image:
    """Return the smallest level that is large enough, from the given one on."""
    levels = [_level_image(layer, layout, n) for n in range(number, len(layer.data))]
    large = [each for each in levels if prod(each.plane_shape) >= _FEWEST_PIXELS]
    return (large or levels[:1])[-1]


def _factor(fine: tuple[int, int], coarse: tuple[int, int]) -> tuple[float, float]:
    return fine[0] / coarse[0], fine[1] / coarse[1]
