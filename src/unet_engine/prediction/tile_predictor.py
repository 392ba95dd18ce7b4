"""``TilePredictor``: one tile after the other through the network."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.compute.block_size import tune
from unet_engine.compute.interruption import interruptible
from unet_engine.compute.runner import RUNNERS, AnyRunner
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.errors import DataError, OutOfMemoryError
from unet_engine.images.neighbours import neighbour_indices
from unet_engine.images.no_data import unrecorded
from unet_engine.stopping import never
from unet_engine.tiling.symmetry import SYMMETRIES, Symmetry
from unet_engine.tiling.tiles import Tile, TilePlan, read_reflected, spanning

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.places import Index, Interval
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Footprint

_SMALLEST_TILE = 64
"""Edge in pixels below which a tile is not halved: nearly all of it would be halo."""

_HALVINGS = 4
"""Times that a tile is halved: then the CPU takes over."""

_THREADS = 2
"""Threads beside a GPU: it computes the tile of one while the other reads the next."""


class TilePredictor:
    """Reads, prepares and predicts tiles; halves them when memory runs out.

    Several threads may predict: one at a time computes, while others read.
    """

    def __init__(
        self,
        image: Image,
        checkpoint: Checkpoint,
        config: PredictConfig,
        normalisation: Normalisation,
        stop: Stop = never,
        *,
        footprint: Footprint | None = None,
        calibrate: bool = False,
        block_edge: int = 0,
    ) -> None:
        check_normalisation(normalisation, image)
        self._image = normalisation.marked(image)
        self._checkpoint = checkpoint
        self._normalisation = normalisation
        self._precision = config.precision
        self._object_maps = config.object_maps
        self._stop = stop
        self._footprint = footprint or checkpoint.spec.footprint
        self._symmetries = _symmetries(checkpoint.spec, config)
        self._runner: AnyRunner = RUNNERS.get(
            checkpoint, config.device, config.precision, object_maps=config.object_maps
        )
        if block_edge:
            self._runner.block_edge = block_edge
        else:
            tune(self._runner, measure=calibrate)
        self._smallest = round(_SMALLEST_TILE ** (2 / checkpoint.spec.ndim))
        self._halvings = 0
        self._notes: list[str] = []
        self._computing = Lock()

    @property
    def device(self) -> str:
        return self._runner.device

    @property
    def block_edge(self) -> int:
        """Edge of the blocks in which the CPU computes; they decide the last bits."""
        return self._runner.block_edge

    @property
    def threads(self) -> int:
        """As of an ``AnyPredictor``: a CPU has nothing to do while one waits."""
        return 1 if self.device == "cpu" else _THREADS

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self._normalisation.notes, *self._notes)

    @property
    def retreats(self) -> tuple[str, ...]:
        """What was reduced so far for want of memory, a sentence each."""
        return tuple(self._notes)

    def close(self) -> None:
        """Free the memory that the network keeps from tile to tile."""
        self._runner.release_memory()

    def predict(self, index: Index, tile: Tile) -> npt.NDArray[np.float32]:
        """Return the ``(classes, *inner)`` probabilities, or the image, of one tile.

        Object maps follow the classes where they are wanted. Pixels of no data are
        background, probability 1; NaN in a restored image.

        Raises
        ------
        Cancelled
            When ``stop`` returned True within the tile.
        DataError
            When it cannot be read, or the file changed since it was opened.
        """
        while True:
            tried = self._halvings, self.device
            try:
                with translated_errors(), interruptible(self._stop):
                    return self._in_parts(index, tile)
            except OutOfMemoryError:
                with self._computing:
                    # Another thread may have met the same, and done so already.
                    if tried != (self._halvings, self.device):
                        continue
                    if not self._spend_less(tile):
                        raise

    def _in_parts(self, index: Index, tile: Tile) -> npt.NDArray[np.float32]:
        if not self._halvings:
            return self._whole(index, tile)
        origin = tuple(start for start, _ in tile.inner)
        sizes = [stop - start for start, stop in tile.inner]
        spec = self._runner.spec
        edge = max(self._smallest, max(sizes) >> self._halvings)
        parts = TilePlan.for_shape(sizes, tile=edge, footprint=self._footprint)
        found = np.empty((spec.out_channels, *sizes), np.float32)
        image = (*self._image.leading_shape, *self._image.plane_shape)
        for part in parts:
            # The origin lies on the pooling grid, so the phase of the part is kept.
            inner = _shifted(part.inner, origin)
            outer = self._footprint.around(inner, image[-spec.ndim :])
            found[(slice(None), *part.inner_slices)] = self._whole(
                index, Tile(inner, outer)
            )
        return found

    def _whole(self, index: Index, tile: Tile) -> npt.NDArray[np.float32]:
        views = [(s, s.tile_for(tile, self._footprint)) for s in self._symmetries]
        outer = spanning(view.outer for _, view in views)
        pixels, block = self._read(index, Tile(tile.inner, outer))
        found: list[npt.NDArray[np.float32]] = []
        for symmetry, view in views:
            local = tuple(
                slice(low - start, high - start)
                for (low, high), (start, _) in zip(view.outer, outer, strict=True)
            )
            inner = symmetry.place(_within(view), view.outer_shape)
            with self._computing:
                result = self._runner(symmetry(block[(slice(None), *local)]), inner)
            found.append(symmetry.undo(result))
        total = sum(found[1:], start=found[0])
        mean = np.ascontiguousarray(total / len(found), np.float32)
        inner = _within(Tile(tile.inner, outer))
        lost = unrecorded(pixels[:, *(slice(*part) for part in inner)])
        if lost is not None:
            mean[:, lost] = _of_no_data(self._runner.spec)[:, None]
        return mean

    def _read(
        self, index: Index, tile: Tile
    ) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.float32]]:
        """Return the pixels of a tile, and these and its neighbours normalised."""
        places = neighbour_indices(self._image, index, self._runner.spec.slices)
        read = [read_tile(self._image, place, tile) for place in places]
        normalised = [self._normalisation.apply(pixels) for pixels in read]
        alone = len(normalised) == 1
        block = normalised[0] if alone else np.concatenate(normalised)
        return read[len(read) // 2], block

    def _spend_less(self, tile: Tile) -> bool:
        """Halve the tiles, or move to the CPU; False when neither is left."""
        edge = max(stop - start for start, stop in tile.inner)
        self._runner.release_memory()
        if self._halvings < _HALVINGS and edge >> self._halvings > self._smallest:
            self._halvings += 1
            self._notes.append(
                f"{self.device} had too little memory for the tiles; they were halved."
            )
            return True
        if self.device == "cpu":
            return False
        self._notes.append(
            f"{self.device} had too little memory; the CPU finished the prediction."
        )
        self._runner = RUNNERS.get(
            self._checkpoint, "cpu", self._precision, object_maps=self._object_maps
        )
        self._halvings = 0
        return True


def check_normalisation(normalisation: Normalisation, image: Image) -> None:
    """Make sure that an image has the channels that were measured.

    Raises
    ------
    DataError
        When it has others.
    """
    if len(normalisation.low) != image.channels:
        raise DataError(
            f"the normalisation was measured on {len(normalisation.low)} channels "
            f"and the model takes {image.channels}; measure it on this image"
        )


def _of_no_data(spec: ModelSpec) -> npt.NDArray[np.float32]:
    """Return what a pixel of no data gets: probability 1 of background, or NaN."""
    result = np.full(spec.out_channels, 0 if spec.classes else np.nan, np.float32)
    if spec.classes:
        result[0] = 1
    return result


def read_tile(image: Image, index: Index, tile: Tile) -> npt.NDArray[np.generic]:
    """Read the outer region of a tile, mirrored where it leaves the image.

    Returns
    -------
    ndarray
        ``(C, *outer)`` in the dtype of the image.

    Raises
    ------
    DataError
        When it cannot be read, or the file changed since it was opened.
    """
    try:
        block = _read_outer(image, index, tile.outer)
    except DataError:
        # That it changed explains what else is wrong with it.
        if image.source is not None:
            image.source.check_unchanged()
        raise
    if image.source is not None:
        image.source.check_unchanged()
    return block


def _read_outer(
    image: Image, index: Index, outer: tuple[Interval, ...]
) -> npt.NDArray[np.generic]:
    if len(outer) == 2:
        return read_reflected(
            lambda region: image.read(index, region), outer, image.plane_shape
        )
    return read_reflected(
        lambda region: np.stack(
            [
                image.read((*index, z), region[1:])
                for z in range(region[0].start, region[0].stop)
            ],
            axis=1,
        ),
        outer,
        (image.leading_shape[-1], *image.plane_shape),
    )


def _symmetries(spec: ModelSpec, config: PredictConfig) -> tuple[Symmetry, ...]:
    """Return the flips and turns to take the mean of; the first changes nothing."""
    published = spec.row.averages_flips
    averages = {"auto": published, "on": True, "off": False}[config.average_flips]
    return SYMMETRIES if averages else SYMMETRIES[:1]


def _within(tile: Tile) -> tuple[Interval, ...]:
    """Return the inner region as intervals of the outer one."""
    return tuple(
        (start - low, stop - low)
        for (start, stop), (low, _) in zip(tile.inner, tile.outer, strict=True)
    )


def _shifted(
    region: tuple[Interval, ...], origin: tuple[int, ...]
) -> tuple[Interval, ...]:
    return tuple(
        (start + o, stop + o) for (start, stop), o in zip(region, origin, strict=True)
    )
