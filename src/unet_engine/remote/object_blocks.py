"""The objects of a mask by workers: its blocks go out, numbered objects come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unet_engine.objects.splitting import BlockPixels, SplitRule, split_block
from unet_engine.remote.connection import LineLostError, connect
from unet_engine.remote.dispatch import Dispatch, FailedJobError, Job
from unet_engine.remote.packing import Packed, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unet_engine.devices import Device
    from unet_engine.objects.components import Ints
    from unet_engine.stopping import Stop


@dataclass(frozen=True, slots=True)
class PackedBlock:
    """The pixels of a block on their way.

    Attributes
    ----------
    classes, maps, interior, boundary
        As of ``BlockPixels``.
    """

    classes: Packed
    maps: tuple[tuple[str, Packed], ...]
    interior: Packed | None
    boundary: Packed | None

    @classmethod
    def of(cls, pixels: BlockPixels) -> PackedBlock:
        """Compress the pixels of a block."""
        return cls(
            pack(pixels.classes),
            tuple((name, pack(values)) for name, values in pixels.maps.items()),
            None if pixels.interior is None else pack(pixels.interior),
            None if pixels.boundary is None else pack(pixels.boundary),
        )

    def unpacked(self) -> BlockPixels:
        """Return the pixels."""
        return BlockPixels(
            classes=unpack(self.classes),
            maps={name: unpack(values) for name, values in self.maps},
            interior=None if self.interior is None else unpack(self.interior),
            boundary=None if self.boundary is None else unpack(self.boundary),
        )


@dataclass(eq=False, kw_only=True)
class _BlockJob(Job):
    """A block on its way, and its objects once they are there."""

    pixels: BlockPixels
    found: Ints | None = None

    @classmethod
    def of(cls, pixels: BlockPixels, rule: SplitRule) -> _BlockJob:
        order = PackedBlock.of(pixels), rule
        return cls("objects.split", order, "the objects of a block", pixels=pixels)


class RemoteSplit:
    """Has workers find the objects of blocks, and returns them in order.

    Ids are given out here, in the order of the blocks, so that they are those of one
    process. When the line breaks, or workers fail, this process goes on.

    Parameters
    ----------
    device
        The workers.
    stop
        Polled while an answer is awaited.
    """

    def __init__(self, device: Device, stop: Stop) -> None:
        self._device, self._stop = device, stop

    def __call__(
        self, pixels: Iterator[BlockPixels], rule: SplitRule
    ) -> Iterator[Ints]:
        """Yield the objects of each block.

        Raises
        ------
        EngineError
            When there are no workers.
        Cancelled
            When ``stop`` returned True.
        """
        connection = connect(self._device, self._stop)
        dispatch: Dispatch[_BlockJob] = Dispatch(self._stop)
        jobs = (_BlockJob.of(block, rule) for block in pixels)
        try:
            for job, answer in dispatch.answers(connection, jobs):
                job.found = unpack(answer)
                # One that is done counts as pending until those before it are.
                while dispatch.pending:
                    first = dispatch.pending[0]
                    if first.found is None:
                        break
                    dispatch.end(first)
                    yield first.found
        except (LineLostError, FailedJobError, MemoryError):
            for job in dispatch.pending:
                yield split_block(job.pixels, rule) if job.found is None else job.found
            for block in pixels:
                yield split_block(block, rule)
