"""``DirectionsPredictor``: a volume by a model of planes, in three directions.

A model of planes does not know what lies above and below. The mean over the planes of
Y and X, of Z and X, and of Z and Y does, without a training on volumes (Prasoon et al.
2013). Each plane is predicted as any other, so tiles equal the whole here, too.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.images.no_data import unrecorded
from unet_engine.prediction.directions import AXES, turned
from unet_engine.prediction.model_predictor import KEPT_BYTES, ModelPredictor
from unet_engine.prediction.tile_predictor import check_normalisation
from unet_engine.tiling.tiles import Tile

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Footprint

    Floats = npt.NDArray[np.float32]

_VOLUME_BYTES = 2**30
"""Bytes of a volume up to which it is read once, 1 GiB: a file holds slices, of which
a plane along Z meets all."""


class DirectionsPredictor:
    """Predicts tiles of a volume by planes in three directions.

    Parameters
    ----------
    image
        Its last leading axis is Z.
    checkpoint
        Of planes.
    config, normalisation, stop, calibrate, block_edge
        As of a ``ModelPredictor``.
    footprint
        Of planes.

    Raises
    ------
    CheckpointError
        When the model cannot be computed with.
    """

    def __init__(
        self,
        image: Image,
        checkpoint: Checkpoint,
        config: PredictConfig,
        normalisation: Normalisation,
        stop: Stop,
        *,
        footprint: Footprint,
        calibrate: bool = False,
        block_edge: int = 0,
    ) -> None:
        check_normalisation(normalisation, image)
        self._image = normalisation.marked(image)
        self._footprint = footprint
        maps = len(checkpoint.spec.object_maps) if config.object_maps else 0
        self._channels = len(checkpoint.spec.classes) + maps
        kept = replace(image, data=KeptVolume(image))
        self._views = [turned(kept, axis) for axis in AXES]
        # What fills a border is found in planes of Y and X: see `_leave_out`.
        recorded = replace(normalisation, fills=(), notes=())
        self._predictors = [
            ModelPredictor(
                view,
                checkpoint,
                config,
                recorded if number else normalisation,
                stop,
                footprint=footprint,
                calibrate=calibrate,
                block_edge=block_edge,
                kept_bytes=KEPT_BYTES // len(AXES),
            )
            for number, view in enumerate(self._views)
        ]

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._predictors[0].device

    @property
    def block_edge(self) -> int:
        """As of a ``ModelPredictor``."""
        return self._predictors[0].block_edge

    @property
    def threads(self) -> int:
        """As of an ``AnyPredictor``: blocks are kept from tile to tile."""
        return 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, a sentence each."""
        found = (note for one in self._predictors for note in one.notes)
        return tuple(dict.fromkeys(found))

    @property
    def retreats(self) -> tuple[str, ...]:
        """What was reduced so far for want of memory, a sentence each."""
        found = (note for one in self._predictors for note in one.retreats)
        return tuple(dict.fromkeys(found))

    def close(self) -> None:
        """Free the memory that the network keeps from tile to tile."""
        for one in self._predictors:
            one.close()

    def predict(self, index: Index, tile: Tile) -> Floats:
        """Return the ``(classes, *inner)`` probabilities of one tile of the volume.

        Raises
        ------
        Cancelled
            When ``stop`` returned True within the tile.
        DataError
            When it cannot be read, or the file changed since it was opened.
        """
        sizes = [stop - start for start, stop in tile.inner]
        mean = np.zeros((self._channels, *sizes), np.float32)
        for direction in range(len(AXES)):
            self._add(mean, direction, index, tile)
        mean /= np.float32(len(AXES))
        if any(self._image.fills):
            self._leave_out(mean, index, tile)
        return mean

    def _add(self, mean: Floats, direction: int, index: Index, tile: Tile) -> None:
        """Add the probabilities by the planes of a direction."""
        view = self._views[direction]
        # As the axes change places, so do those of the tile and of the result.
        planes, *inner = _exchange(tile.inner, direction)
        outer = self._footprint.around(inner, view.plane_shape)
        part = Tile(tuple(inner), outer)
        total = mean.swapaxes(1, 1 + direction)
        places = dict(zip(self._image.leading_axes[:-1], index, strict=True))
        for number, at in enumerate(range(*planes)):
            known = tuple((places | {"Z": at})[axis] for axis in view.leading_axes)
            total[:, number] += self._predictors[direction].predict(known, part)

    def _leave_out(self, mean: Floats, index: Index, tile: Tile) -> None:
        """Make background of the pixels of no data."""
        planes, *inner = tile.inner_slices
        for number, at in enumerate(range(planes.start, planes.stop)):
            lost = unrecorded(self._image.read((*index, at), inner))
            if lost is not None:
                mean[:, number, lost] = 0
                mean[0, number, lost] = 1


class KeptVolume:
    """The array of an image that keeps the volume which was read last.

    Parameters
    ----------
    image
        A volume of it that is larger than 1 GiB is read part by part.
    """

    def __init__(self, image: Image) -> None:
        self.shape: tuple[int, ...] = tuple(image.data.shape)
        self.dtype = image.data.dtype
        self._data = image.data
        self._within = [axis in "ZYXCS" for axis in image.axes]
        sizes = zip(self.shape, self._within, strict=True)
        voxels = prod(size for size, within in sizes if within)
        self._is_kept = voxels * np.dtype(self.dtype).itemsize <= _VOLUME_BYTES
        self._place: tuple[Any, ...] | None = None
        self._volume: npt.NDArray[Any] = np.empty(0, self.dtype)

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Read a part, a full key of integers and slices."""
        if not self._is_kept:
            return np.asarray(self._data[key])
        parts = list(zip(key, self._within, strict=True))
        place = tuple(slice(None) if within else at for at, within in parts)
        if place != self._place:
            self._volume = np.asarray(self._data[place])
            self._place = place
        return self._volume[tuple(at for at, within in parts if within)]


def _exchange(intervals: Any, direction: int) -> list[Any]:
    """Exchange the first of three with another."""
    found = list(intervals)
    found[0], found[direction] = found[direction], found[0]
    return found
