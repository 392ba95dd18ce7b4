"""What predicts tiles, however it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from unet_engine.places import Index
    from unet_engine.tiling.tiles import Tile

    Floats = npt.NDArray[np.float32]


class AnyPredictor(Protocol):
    """Predicts tiles of an image."""

    @property
    def device(self) -> str: ...

    @property
    def block_edge(self) -> int: ...

    @property
    def threads(self) -> int:
        """Threads that may predict tiles at a time, and do so faster than one."""

    @property
    def notes(self) -> tuple[str, ...]: ...

    @property
    def retreats(self) -> tuple[str, ...]: ...

    def predict(self, index: Index, tile: Tile) -> Floats: ...

    def close(self) -> None: ...
