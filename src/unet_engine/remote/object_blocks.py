"""The objects of a mask by workers: its blocks go out, numbered objects come back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.objects.splitting import BlockPixels, SplitRule, split_block
from unet_engine.remote.connection import LineLostError, connect
from unet_engine.remote.packing import Packed, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Future

    from unet_engine.devices import Device
    from unet_engine.objects.components import Ints
    from unet_engine.remote.connection import Connection
    from unet_engine.stopping import Stop

_AHEAD = 2
"""Blocks of each worker that are on their way: one is computed, one arrives."""


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


class RemoteSplit:
    """Has workers find the objects of blocks, and returns them in order.

    Ids are given out here, in the order of the blocks, so that they are those of one
    process. When the line breaks, this process goes on.

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
            When there are no workers, or one cannot compute a block.
        Cancelled
            When ``stop`` returned True.
        """
        connection = connect(self._device, self._stop)
        pending: deque[tuple[BlockPixels, Future]] = deque()
        try:
            while True:
                while len(pending) < _AHEAD * len(connection.workers):
                    one = next(pixels, None)
                    if one is None:
                        break
                    packed = PackedBlock.of(one)
                    order = connection.submit("objects.split", packed, rule)
                    pending.append((one, order))
                if not pending:
                    return
                found = self._answer(connection, pending[0][1])
                pending.popleft()
                yield found
        except LineLostError:
            for one, _ in pending:
                yield split_block(one, rule)
            for one in pixels:
                yield split_block(one, rule)

    def _answer(self, connection: Connection, order: Future) -> Any:
        gathered = connection.client.gather(order, asynchronous=True)
        return unpack(connection.wait(gathered, self._stop))
