"""``Subject``: an image being worked on, without Qt and without napari."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unet_engine.annotations import Annotations
from unet_engine.errors import Cancelled
from unet_engine.events import never
from unet_engine.images import Normalisation, match_channels
from unet_engine.spec import IGNORE

if TYPE_CHECKING:
    from napari_unet._layers import Layout
    from unet_engine.events import Stop, TileDone
    from unet_engine.images import Image
    from unet_engine.spec import ModelSpec

Index = tuple[int, ...]
"""Position of a plane along the leading axes."""
Region = tuple[slice, slice]
"""Rows and columns of a plane; slices with start and stop."""
Values = npt.NDArray[np.uint8]
"""Class ids, or ``IGNORE`` where nothing is said."""


class Subject:
    """An image being worked on: its mask, what the user touched, its brightness.

    Parameters
    ----------
    image
        The image, any number of planes.
    layout
        What the axes of its layer mean.
    annotations
        What the user touched; by default nothing, and in memory only.
    story
        What is to be said of where they come from; empty when there is nothing.

    Attributes
    ----------
    mask
        ``(*leading, Y, X)`` class ids: the model's guess, and over it what the user
        touched. Changed in place.
    annotations
        What the user touched. Change it by `say` only, in one ``stroke`` for each act
        of the user.
    predicted
        Planes in which a prediction wrote anything.
    """

    def __init__(
        self,
        image: Image,
        layout: Layout,
        annotations: Annotations | None = None,
        story: str = "",
    ) -> None:
        self.image = image
        self.layout = layout
        self.story = story
        shape = (*image.leading_shape, *image.plane_shape)
        self.mask: npt.NDArray[Any] = np.zeros(shape, np.uint8)
        self.annotations = annotations or Annotations(shape)
        self.predicted: set[Index] = set()
        self._guesses: dict[Index, npt.NDArray[Any]] = {
            index: np.zeros(shape[-2:], np.uint8) for index in self.annotations.planes()
        }
        self._normalisations: dict[tuple[int, float, float], Normalisation] = {}

    def normalisation(self, spec: ModelSpec, stop: Stop = never) -> Normalisation:
        """Return the brightness of the whole image as the model wants it.

        Measured once for each kind of model. It reads the image: call it in a job.

        Raises
        ------
        Cancelled
            When ``stop`` said True before a block of the image was read.
        """
        key = (spec.in_channels, spec.low_percentile, spec.high_percentile)
        if key not in self._normalisations:
            self._normalisations[key] = Normalisation.measure(
                match_channels(_polled(self.image, stop), spec.in_channels),
                low=spec.low_percentile,
                high=spec.high_percentile,
            )
        return self._normalisations[key]

    @property
    def counts(self) -> dict[int, int]:
        """Touched pixels of each class."""
        return self.annotations.classes()

    def write_tile(self, tile: TileDone) -> list[tuple[Index, Region]]:
        """Take a tile of a prediction; touched pixels keep their value.

        Returns
        -------
        list
            The planes and regions it covers: one, or those of a tile of a volume.
        """
        places: list[tuple[Index, Region]] = []
        rows, columns = region = tile.inner[-2:]
        depths = [range(part.start, part.stop) for part in tile.inner[:-2]]
        every = tile.labels.reshape(-1, *tile.labels.shape[-2:])
        for depth, labels in zip(product(*depths), every, strict=True):
            index = (*tile.index, *depth)
            if (guess := self._guesses.get(index)) is not None:
                guess[region] = labels
                labels = labels.copy()
                self.annotations.apply_to(index, labels, region)
            self.mask[index][region] = labels
            self.predicted.add(index)
            places.append((index, (rows, columns)))
        return places

    def say(self, index: Index, region: Region, said: Values) -> None:
        """Record what the user says of a region, and show it.

        Parameters
        ----------
        index, region
            The plane, and rows and columns of it.
        said
            ``(h, w)``; ``IGNORE`` leaves or gives back a pixel to the model's guess.
        """
        self.annotations.accept(index, region, said)
        shown = self.mask[index][region]
        guess = self._guesses.get(index)
        unsaid = shown if guess is None else guess[region]
        shown[...] = np.where(said == IGNORE, unsaid, said)

    def show_touched(self, index: Index) -> None:
        """Write what the user said of a plane over the mask."""
        self.annotations.apply_to(index, self.mask[index])

    def start_anew(self, annotations: Annotations) -> None:
        """Take other annotations; the mask shows the model's guess again."""
        for index, guess in self._guesses.items():
            self.mask[index] = guess
        self._guesses.clear()
        self.annotations = annotations
        self.story = ""
        for index in annotations.planes():
            self.keep_guess(index, self.mask[index].copy())
            self.show_touched(index)

    def has_guess(self, index: Index) -> bool:
        """Whether the model's guess of a plane is kept apart from the mask."""
        return index in self._guesses

    def keep_guess(self, index: Index, guess: npt.NDArray[Any]) -> None:
        """Keep the model's guess of a plane, as the mask was before its first touch."""
        self._guesses[index] = guess

    def replace_mask(self, mask: npt.NDArray[Any]) -> None:
        """Take another array for the mask; touched pixels keep their value."""
        self.mask = mask
        self._guesses.clear()
        for index in self.annotations.planes():
            self.keep_guess(index, mask[index].copy())
            height, width = mask.shape[-2:]
            self.say(
                index,
                (slice(0, height), slice(0, width)),
                self.annotations.target(index),
            )


class _Polled:
    """An array-like that asks before each reading whether to stop."""

    def __init__(self, data: Any, stop: Stop) -> None:
        self.shape, self.dtype = data.shape, data.dtype
        self._data, self._stop = data, stop

    def __getitem__(self, key: Any) -> Any:
        if self._stop():
            raise Cancelled("the run was stopped")
        return self._data[key]


def _polled(image: Image, stop: Stop) -> Image:
    return replace(image, data=_Polled(image.data, stop))


def takes(image: Image, in_channels: int) -> bool:
    """Whether a model of so many channels can take an image."""
    return image.channels == in_channels or (image.rgb and in_channels == 1)
