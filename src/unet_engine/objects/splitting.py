"""The pixels of one block → its objects: what can be done elsewhere, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.objects.components import label_components
from unet_engine.objects.watershed import (
    split_at_boundaries,
    split_at_necks,
    split_by_maps,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from unet_engine.objects.blocks import ImageBlock
    from unet_engine.objects.class_mask import SemanticMask
    from unet_engine.objects.components import Ints
    from unet_engine.objects.config import ObjectConfig

    Floats = npt.NDArray[np.float32]
    SplitBlocks = Callable[[Iterator["BlockPixels"], "SplitRule"], Iterator[Ints]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """How the objects of all blocks are found.

    Attributes
    ----------
    config
        As of ``iter_label_objects``.
    spacing, boundary
        As of the mask.
    """

    config: ObjectConfig
    spacing: tuple[float, ...] | None
    boundary: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockPixels:
    """What the objects of a block are found in, of the shape of its outer region.

    Attributes
    ----------
    classes
        uint8 class ids.
    maps
        uint8 object maps by their names, 255 for 1; empty without.
    interior, boundary
        float32 probabilities, of a mask with a class of boundaries; else None.
    """

    classes: npt.NDArray[np.uint8]
    maps: Mapping[str, npt.NDArray[np.uint8]]
    interior: npt.NDArray[np.floating] | None = None
    boundary: npt.NDArray[np.floating] | None = None


def read_pixels(
    mask: SemanticMask,
    block: ImageBlock,
    classes: npt.NDArray[np.uint8],
    config: ObjectConfig,
) -> BlockPixels:
    """Read what is needed of a block besides its classes, which are there."""
    if config.method == "components":
        return BlockPixels(classes=classes, maps={})
    if mask.object_maps is not None:
        return BlockPixels(classes=classes, maps=mask.read_maps(block))
    if mask.boundary is None:
        return BlockPixels(classes=classes, maps={})
    interior, boundary = mask.read_interior(block)
    return BlockPixels(classes=classes, maps={}, interior=interior, boundary=boundary)


def split_block(pixels: BlockPixels, rule: SplitRule) -> Ints:
    """Number the objects of a block from 1, in any order; 0 is background."""
    config, classes = rule.config, pixels.classes
    if config.method == "components":
        if rule.boundary is not None:
            classes = np.where(classes == rule.boundary, 0, classes)
        return label_components(classes, config.connectivity)
    config = config.shifted
    if pixels.maps:
        return split_by_maps(classes, pixels.maps, config.map_depth)
    if pixels.interior is None or pixels.boundary is None:
        return split_at_necks(classes, config.neck_depth, rule.spacing)
    return split_at_boundaries(
        classes > 0, pixels.interior, pixels.boundary, config.seed_threshold
    )


def split_here(pixels: Iterator[BlockPixels], rule: SplitRule) -> Iterator[Ints]:
    """Yield the objects of each block, found in this process."""
    return (split_block(one, rule) for one in pixels)
