"""``StagedNetwork``: a network run stage by stage, in blocks that fit the cache."""

from __future__ import annotations

import threading
from itertools import pairwise, product
from math import ceil, prod
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor, nn

from unet_engine.compute.activation import activated
from unet_engine.compute.block_threads import Workers
from unet_engine.models.networks.stages import MapPart, Stage, crop, needed_regions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unet_engine.models.networks.stages import Intervals
    from unet_engine.models.spec import ModelSpec
    from unet_engine.places import Interval


class _InStages(Protocol):
    spec: ModelSpec

    def stages(self) -> tuple[Stage, ...]: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


BLOCK_EDGE = 256
"""Edge of a block of a plane, in pixels of its map, where nothing was measured: one of
those that are tried where it is; 8 MiB of 32 float32 channels."""


class StagedNetwork:
    """Computes a region of a network's output from just what bears on it.

    Blocks of a map do not depend on each other: on a CPU each core takes one at a
    time, whose few layers stay in that core's cache. A GPU gets whole maps.

    Parameters
    ----------
    network
        In eval mode, with folded normalisation.
    device
        Where its weights are.
    block_edge
        Edge of a block in pixels of its map; of a volume as many voxels as such a block
        has pixels. May be changed between two calls.
    """

    def __init__(
        self, network: _InStages, device: str, block_edge: int = BLOCK_EDGE
    ) -> None:
        self._spec = network.spec
        self._dtype = next(network.parameters()).dtype
        self._stages = network.stages()
        self._device = torch.device(device)
        self.block_edge = block_edge
        self._memory: dict[int, Tensor] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, network: nn.Module, device: str) -> StagedNetwork | None:
        """Return the network in stages, or None where it has none."""
        # On Apple's GPU these operations are not tested; there the network runs whole.
        if device == "mps" or not hasattr(network, "stages"):
            return None
        return cls(cast("_InStages", network), device)

    def __call__(self, image: Tensor, wanted: Intervals) -> Tensor:
        """Return the probabilities and object maps, or the image, of a region.

        Parameters
        ----------
        image
            ``(N, C, *spatial)``.
        wanted
            Region of the image. What its halo lacks in the image counts as 0.

        Returns
        -------
        Tensor
            ``(N, out_channels, *wanted)`` float32.
        """
        # Two threads at once would write into the same maps.
        with self._lock:
            return self._run(image, wanted)

    def _run(self, image: Tensor, wanted: Intervals) -> Tensor:
        regions = needed_regions(self._stages, wanted, image.shape[2:])
        whole = tuple((0, size) for size in image.shape[2:])
        maps = [MapPart(image, whole)]
        for number, region in enumerate(regions[1:]):
            maps.append(self._run_stage(number, maps, region))
        return maps[-1].values

    def _map_memory(self, number: int, shape: tuple[int, ...]) -> Tensor:
        """Return memory for a map, that of the last tile where it is large enough.

        Fresh memory has to be cleared by the system page by page, which costs as much
        as a tenth of the arithmetic.
        """
        known = self._memory.get(number)
        if known is None or known.numel() < prod(shape):
            known = torch.empty(prod(shape), dtype=self._dtype, device=self._device)
            self._memory[number] = known
        count, channels, *sizes = shape
        return known[: prod(shape)].view(count, *sizes, channels).movedim(-1, 1)

    def release_memory(self) -> None:
        """Free the memory for maps that is kept from tile to tile."""
        with self._lock:
            self._memory.clear()

    def _run_stage(
        self, number: int, maps: Sequence[MapPart], region: Intervals
    ) -> MapPart:
        stage, last = self._stages[number], number == len(self._stages) - 1
        sources = [maps[source] for source in stage.sources]
        shape = (len(sources[0].values), stage.channels, *_sizes(region))
        values = (
            torch.empty(shape, device=self._device)
            if last
            else self._map_memory(number, shape)
        )
        output = MapPart(values, region)

        def run(part: Intervals) -> None:
            aligned = stage.aligned(part)
            blocks = [
                _read(source, read)
                for source, read in zip(sources, stage.reads(aligned), strict=True)
            ]
            found = crop(MapPart(stage.compute(blocks), aligned), part)
            if last:
                found = activated(found.float(), self._spec)
            crop(output, part).copy_(found)

        if self._device.type == "cpu":
            workers = Workers.get()
            workers.map(
                run, list(_parts(region, stage.grid, self.block_edge, workers.count))
            )
        else:
            run(region)
        return output


def _read(block: MapPart, region: Intervals) -> MapPart:
    """Return a region of a map, with zeros where it leaves the map."""
    inside = tuple(
        (max(start, low), min(stop, high))
        for (start, stop), (low, high) in zip(region, block.region, strict=True)
    )
    beyond = tuple(
        (low - start, stop - high)
        for (start, stop), (low, high) in zip(region, inside, strict=True)
    )
    values = crop(block, inside)
    if inside != region:
        margins = [margin for axis in reversed(beyond) for margin in axis]
        values = nn.functional.pad(values, margins)
    return MapPart(values, region, beyond)


def _sizes(region: Intervals) -> tuple[int, ...]:
    return tuple(stop - start for start, stop in region)


def _parts(
    region: Intervals, grid: Sequence[int], block_edge: int, workers: int
) -> Iterator[Intervals]:
    """Cut a region into blocks of at most about ``block_edge`` ** 2 pixels.

    As many for each worker where there are few, so that all end at one time.
    """
    sizes = _sizes(region)
    edge = block_edge if len(sizes) == 2 else ceil(block_edge ** (2 / 3))
    counts = [ceil(size / edge) for size in sizes]
    while prod(counts) % workers and prod(counts) < 4 * workers:
        longest = max(range(len(sizes)), key=lambda axis: sizes[axis] / counts[axis])
        counts[longest] += 1
    axes = [
        _cuts(interval, count, step)
        for interval, count, step in zip(region, counts, grid, strict=True)
    ]
    yield from product(*axes)


def _cuts(interval: Interval, count: int, step: int) -> list[Interval]:
    """Cut an interval at about equal distances, on the grid."""
    start, stop = interval
    inside = {
        (start + (stop - start) * n // count) // step * step for n in range(1, count)
    }
    bounds = [start, *sorted(cut for cut in inside if cut > start), stop]
    return list(pairwise(bounds))
