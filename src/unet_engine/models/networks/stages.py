"""Networks in stages: each a few layers, which can be run over a map block by block.

A map is what one stage gives and others read; its positions are counted in its own
pixels from that of the network's input at 0. For a region of its output a stage names
the region of its input that it depends on, which is how the interior of a large image
is computed exactly and without waste. Beyond the map lie zeros, between the
layers of a stage as well, as if the network had padded each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from unet_engine.tiling.tiles import spanning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from unet_engine.models.receptive_fields import Layer, Upsampling
    from unet_engine.places import Interval

    Intervals = tuple[Interval, ...]
    Margins = tuple[tuple[int, int], ...]
    Path = tuple[Layer | Upsampling, ...]


@dataclass(frozen=True, slots=True)
class MapPart:
    """A part of a map.

    Attributes
    ----------
    values
        ``(N, C, *region)``.
    region
        Where it lies in the map.
    beyond
        How much of it lies beyond the map, before and after, per axis: zeros.
    """

    values: Tensor
    region: Intervals
    beyond: Margins = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A few layers that read one or more maps and give one.

    Attributes
    ----------
    sources
        Numbers of the maps that it reads: 0 is the network's input, n what the n-th
        stage gives.
    paths
        For each source and each axis the layers from there to the output.
    channels
        Of the output.
    scale
        Pixels of the network's input to one of the output, per axis.
    grid
        Blocks of the output begin and end at multiples of these, per axis.
    compute
        Takes the blocks that `reads` names and returns ``(N, channels, *region)``.
    """

    sources: tuple[int, ...]
    paths: tuple[tuple[Path, ...], ...]
    channels: int
    scale: tuple[int, ...]
    grid: tuple[int, ...]
    compute: Callable[[Sequence[MapPart]], Tensor]

    def aligned(self, region: Intervals) -> Intervals:
        """Return the smallest region on the grid that holds a region."""
        return tuple(
            (start // step * step, -(-stop // step) * step)
            for (start, stop), step in zip(region, self.grid, strict=True)
        )

    def reads(self, region: Intervals) -> tuple[Intervals, ...]:
        """Return the region of each source that a region of the output reads."""
        return tuple(
            tuple(_read(path, axis) for path, axis in zip(paths, region, strict=True))
            for paths in self.paths
        )


def _read(path: Path, interval: Interval) -> Interval:
    low, high = interval[0], interval[1] - 1
    for layer in reversed(path):
        low, high = layer.reads(low, high)
    return low, high + 1


def needed_regions(
    stages: Sequence[Stage], wanted: Intervals, sizes: Sequence[int]
) -> list[Intervals]:
    """Return the region of every map on which a region of the last one depends.

    Parameters
    ----------
    stages
        Of the whole network.
    wanted
        Region of what the last stage gives.
    sizes
        Of the network's input: beyond it nothing is known, and nothing computed.

    Returns
    -------
    list
        For map 0, the input, to map ``len(stages)``, which gets ``wanted``.
    """
    needed: list[Intervals | None] = [None] * len(stages) + [wanted]
    for number in range(len(stages), 0, -1):
        stage, region = stages[number - 1], needed[number]
        assert region is not None, "every map is read by a later stage"
        needed[number] = region = tuple(
            (max(start, 0), min(stop, size // scale))
            for (start, stop), size, scale in zip(
                region, sizes, stage.scale, strict=True
            )
        )
        for source, read in zip(stage.sources, stage.reads(region), strict=True):
            known = needed[source]
            needed[source] = read if known is None else spanning((known, read))
    return [region for region in needed if region is not None]


def run_unpadded(
    layers: Iterable[nn.Module], values: Tensor, beyond: Margins = ()
) -> Tensor:
    """Run layers with their convolutions unpadded: the border they cannot know goes.

    Parameters
    ----------
    layers
        Convolutions are 3-wide, others work on each pixel alone.
    values
        ``(N, C, *spatial)``; each convolution takes a pixel from every side.
    beyond
        How much of them lies beyond the map.
    """
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.Conv3d)):
            values = convolve(values, layer.weight, layer.bias)
            beyond = shrunk(beyond)
            clear(values, beyond)
        else:
            values = layer(values)
    return values


def shrunk(beyond: Margins) -> Margins:
    """Return what a 3-wide convolution leaves of margins beyond a map."""
    return tuple((max(0, low - 1), max(0, high - 1)) for low, high in beyond)


def clear(values: Tensor, beyond: Margins) -> None:
    """Set to 0 what of ``(N, C, *spatial)`` lies beyond the map, in place."""
    for axis, (low, high) in enumerate(beyond, start=2):
        if low:
            values.narrow(axis, 0, low).zero_()
        if high:
            values.narrow(axis, values.shape[axis] - high, high).zero_()


def _has_convolutions() -> bool:
    """Whether torch was built with oneDNN."""
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def convolve(values: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``(N, C, *spatial)`` without padding.

    ``weights`` are ``(out, C, *kernel)``, ``bias`` is ``(out,)``; the type of all is
    one. The result is ``(N, out, *spatial)``, ``kernel - 1`` smaller on each axis.
    """
    axes = values.ndim - 2
    if values.device.type == "cpu" and _has_convolutions():
        # For small blocks torch would take its own loops, which in volumes are many
        # times slower, and round otherwise than large blocks do.
        return torch.mkldnn_convolution(
            values, weights, bias, [0] * axes, [1] * axes, [1] * axes, 1
        )
    convolution = functional.conv2d if axes == 2 else functional.conv3d
    return convolution(values, weights, bias)


def pool_maximum(values: Tensor, strides: Sequence[int]) -> Tensor:
    """Return the maxima of blocks of ``strides`` pixels, ``(N, C, *spatial)``.

    Sizes must be multiples of the strides. Several times faster than torch's on a CPU.
    """
    for axis, stride in enumerate(strides, start=2):
        slices = [
            values[(slice(None),) * axis + (slice(start, None, stride),)]
            for start in range(stride)
        ]
        values = slices[0]
        for other in slices[1:]:
            values = torch.maximum(values, other)
    return values


def crop(block: MapPart, region: Intervals) -> Tensor:
    """Return the values ``(N, C, *region)`` of a region that lies within a block."""
    values = block.values
    for axis, ((start, stop), (origin, _)) in enumerate(
        zip(region, block.region, strict=True), start=2
    ):
        values = values.narrow(axis, start - origin, stop - start)
    return values


def score(head: nn.Module, values: Tensor) -> Tensor:
    """Run a 1-wide convolution as a product of matrices, several times faster.

    ``(N, C, *spatial)`` becomes ``(N, out, *spatial)``, in the type of the weights.
    """
    weight, bias = cast("tuple[Tensor, Tensor]", (head.weight, head.bias))
    scores = weight.flatten(1) @ values.flatten(2) + bias[:, None]
    return scores.reshape(*scores.shape[:2], *values.shape[2:])
