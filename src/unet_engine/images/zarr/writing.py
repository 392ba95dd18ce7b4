"""``Multiscale``: an OME-Zarr image on disk that is filled region by region."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import product
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from unet_engine.images.pixel_size import MICROMETRE, SECOND, PixelSize
from unet_engine.images.zarr.addresses import Address
from unet_engine.images.zarr.storage import (
    Place,
    is_there,
    open_store,
    read_bytes,
    remove,
    store_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt
    import zarr

    from unet_engine.stopping import Stop

OmeZarrVersion = Literal["0.4", "0.5"]
"""Versions of OME-Zarr that are written: 0.4 lies in zarr 2, 0.5 in zarr 3."""

_AXIS_TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}
_UNITS = {MICROMETRE: "micrometer", SECOND: "second"}
_SMALLEST_LEVEL = 1024
"""Height or width in pixels from which on a smaller level is made: a screen's."""

_COLOURS = ((0, 200, 90), (240, 120, 0), (60, 130, 240), (220, 60, 160))
"""Red, green and blue of the classes, 0 to 255, in turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiscale:
    """A multiscale image; the levels above the first are made at the end.

    Attributes
    ----------
    path
        Folder or address of the zarr.
    axes
        Axes of the arrays that are written, in any order; on disk they are in that of
        OME-Zarr: T, C, Z, Y, X.
    shape, chunks
        For ``axes``.
    dtype
        Of the pixels.
    pixel_size
        Steps of the full resolution, written as far as they are known.
    labels
        The pixels are ids: levels take every second one, else the mean of four.
    attributes
        Further OME metadata of the group.
    version
        Of OME-Zarr; one that is there already keeps its own.
    """

    path: Place
    axes: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    pixel_size: PixelSize = field(default_factory=PixelSize)
    labels: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    version: OmeZarrVersion = "0.4"

    @property
    def order(self) -> list[int]:
        """Position in ``axes`` of each axis on disk."""
        known = "TPRCZYX"
        return sorted(range(len(self.axes)), key=lambda i: known.index(self.axes[i]))

    def open(self, *, anew: bool) -> zarr.Array:
        """Return the full resolution on disk, made with its metadata if need be.

        Parameters
        ----------
        anew
            Make it again: the process that made it was perhaps killed while doing so.

        Returns
        -------
        zarr.Array
            Of ``dtype``, its axes in the order on disk, see ``key``.
        """
        import zarr

        group = zarr.open_group(
            store_at(self.path), mode="a", zarr_format=self._zarr_format
        )
        if anew:
            group.attrs.update(self._metadata(1))
        if "0" in group and not anew:
            return self.open_level(0)
        remove(self.path / "0")
        return self._create(0)

    def open_level(self, level: int) -> zarr.Array:
        """Return a level that is there, to be written to."""
        import zarr

        settings = {f"array.{name}": value for name, value in _CONFIG.items()}
        with _config_lock, zarr.config.set(settings):
            return zarr.open_array(store_at(self.path / str(level)), mode="r+")

    def key(self, where: Sequence[int | slice]) -> tuple[int | slice, ...]:
        """Return a key for ``axes`` in the order on disk."""
        return tuple(where[i] for i in self.order)

    def finish(
        self,
        stop: Stop,
        attributes: Mapping[str, Any],
        fill: Callable[[int], bool] | None = None,
    ) -> bool:
        """Make the smaller levels and write the metadata that name them.

        Parameters
        ----------
        stop
            Polled before every chunk.
        attributes
            Metadata of the finished image.
        fill
            Fills a level, which is there and empty, in place of ``fill_level``; False
            when it was stopped.

        Returns
        -------
        bool
            False when ``stop`` returned True; the levels are made anew the next time.
        """
        import zarr

        group = zarr.open_group(store_at(self.path), mode="r+")
        levels = len(self._sizes())
        for level in range(1, levels):
            remove(self.path / str(level))
            self._create(level)
            corners = self.corners(level)
            done = fill(level) if fill else self.fill_level(level, corners, stop)
            if not done:
                return False
        group.attrs.update({**self._metadata(levels), **attributes})
        return True

    def as_written(self, array: Any) -> Any:
        """Return an array on disk with its axes in the order of ``axes``.

        It is read and written by full keys.
        """
        return _Reordered(array, self.order)

    @property
    def _zarr_format(self) -> Literal[2, 3]:
        """Version of zarr: that of what is there, else that of the OME-Zarr version."""
        if is_there(self.path / "zarr.json"):
            return 3
        return 2 if self.version == "0.4" or is_there(self.path / ".zgroup") else 3

    def _sizes(self) -> list[tuple[int, int]]:
        """Return height and width of every level."""
        height, width = (self.shape[self.axes.index(axis)] for axis in "YX")
        sizes = [(height, width)]
        while max(sizes[-1]) > _SMALLEST_LEVEL:
            height, width = sizes[-1]
            sizes.append((-(-height // 2), -(-width // 2)))
        return sizes

    def _create(self, level: int) -> zarr.Array:
        import zarr

        lengths = dict(zip(self.axes, self.shape, strict=True))
        lengths.update(zip("YX", self._sizes()[level], strict=True))
        return zarr.create_array(
            store_at(self.path / str(level)),
            shape=tuple(lengths[self.axes[i]] for i in self.order),
            chunks=tuple(self.chunks[i] for i in self.order),
            dtype=self.dtype,
            fill_value=0,
            config=_CONFIG,
            **self._encoding(),
        )

    def _encoding(self) -> dict[str, Any]:
        """Return how chunks are compressed and named, as every program reads it."""
        if self._zarr_format == 2:
            from numcodecs import Blosc

            return {
                "zarr_format": 2,
                "compressors": Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE),
                "chunk_key_encoding": {"name": "v2", "separator": "/"},
            }
        from zarr.codecs import BloscCodec

        return {
            "zarr_format": 3,
            "compressors": BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
            "dimension_names": [self.axes[i].lower() for i in self.order],
        }

    def _filled(self, level: int) -> zarr.Array:
        """Return a level that was filled; at an address every chunk must be there."""
        import zarr

        place = self.path / str(level)
        whole = open_store(place, "refuse") if isinstance(place, Address) else place
        return zarr.open_array(whole, mode="r")

    def corners(self, level: int) -> Iterator[tuple[int, ...]]:
        """Yield the first pixel of each chunk of a level, its axes as on disk."""
        sizes = dict(zip(self.axes, self.shape, strict=True))
        sizes.update(zip("YX", self._sizes()[level], strict=True))
        steps = (
            range(0, sizes[self.axes[i]], min(self.chunks[i], sizes[self.axes[i]]))
            for i in self.order
        )
        return product(*steps)

    def fill_level(
        self, level: int, corners: Iterable[tuple[int, ...]], stop: Stop
    ) -> bool:
        """Fill chunks of a level from the one before, by their ``corners``.

        Returns
        -------
        bool
            False when ``stop``, which is polled before each, returned True.
        """
        larger, smaller = self._filled(level - 1), self.open_level(level)
        for corner in corners:
            if stop():
                return False
            target, source = [], []
            for axis, start in enumerate(corner):
                stop_at = min(start + smaller.chunks[axis], smaller.shape[axis])
                factor = 2 if axis >= len(corner) - 2 else 1
                target.append(slice(start, stop_at))
                source.append(slice(factor * start, factor * stop_at))
            smaller[tuple(target)] = self._halved(larger[tuple(source)])
        return True

    def _halved(self, block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Halve height and width; the last of an odd number counts twice."""
        if self.labels:
            return block[..., ::2, ::2]
        odd = [(0, 0)] * (block.ndim - 2) + [(0, n % 2) for n in block.shape[-2:]]
        even = np.pad(block, odd, mode="edge")
        halves = [even[..., y::2, x::2] for y in (0, 1) for x in (0, 1)]
        mean: npt.NDArray[Any] = np.mean(halves, axis=0, dtype=block.dtype)
        return mean

    def _metadata(self, levels: int) -> dict[str, Any]:
        letters = [self.axes[i] for i in self.order]
        axes = []
        for letter in letters:
            axis = {"name": letter.lower()}
            if letter in _AXIS_TYPES:
                axis["type"] = _AXIS_TYPES[letter]
            step = self.pixel_size.step(letter)
            if step is not None and step.unit:
                axis["unit"] = _UNITS[step.unit]
            axes.append(axis)
        multiscale = {
            "name": self.path.name.removesuffix(".zarr").removesuffix(".ome"),
            "axes": axes,
            "datasets": [self._dataset(letters, level) for level in range(levels)],
            "type": "nearest" if self.labels else "mean",
        }
        if self._zarr_format == 3:
            # From 0.5 on all of it lies under one key, with the version once.
            ome = {"multiscales": [multiscale], **self.attributes}
            return {"ome": {"version": "0.5", **ome}}
        parts = {name: {"version": "0.4", **p} for name, p in self.attributes.items()}
        return {"multiscales": [{"version": "0.4", **multiscale}], **parts}

    def _dataset(self, letters: Sequence[str], level: int) -> dict[str, Any]:
        factors = {"Y": 2.0**level, "X": 2.0**level}
        steps = [self.pixel_size.step(letter) for letter in letters]
        sizes = [1.0 if step is None else step.size for step in steps]
        scale = [
            size * factors.get(a, 1.0) for a, size in zip(letters, sizes, strict=True)
        ]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if level and not self.labels:
            # The mean of four pixels lies between them.
            moved = [
                size * (factors.get(a, 1.0) - 1) / 2
                for a, size in zip(letters, sizes, strict=True)
            ]
            transforms.append({"type": "translation", "translation": moved})
        return {"path": str(level), "coordinateTransformations": transforms}


class _Reordered:
    """An array with its axes in another order, for full keys."""

    def __init__(self, array: Any, order: Sequence[int]) -> None:
        self._array = array
        self._order = order
        self._back = np.argsort(order)
        self.shape = tuple(array.shape[i] for i in self._back)
        self.chunks = tuple(array.chunks[i] for i in self._back)
        self.dtype = array.dtype
        self.ndim = len(order)

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        block = np.asarray(self._array[tuple(key[i] for i in self._order)])
        kept = self._kept(key)
        return block.transpose([kept.index(i) for i in sorted(kept)])

    def __setitem__(
        self, key: tuple[int | slice, ...], block: npt.NDArray[Any]
    ) -> None:
        kept = self._kept(key)
        turned = block.transpose([sorted(kept).index(i) for i in kept])
        self._array[tuple(key[i] for i in self._order)] = turned

    def _kept(self, key: tuple[int | slice, ...]) -> list[int]:
        """Return the axes of a block in the order of the array."""
        return [i for i in self._order if isinstance(key[i], slice)]


# A chunk that is all background is written too: one that is missing was lost.
_CONFIG = {"write_empty_chunks": True, "order": "C"}

_config_lock = Lock()
"""Around changes of ``zarr.config``, which all threads share: one would end another."""


def written_attributes(path: Place) -> Mapping[str, Any]:
    """Return the attributes of a group that this module wrote; none of anything else.

    Parameters
    ----------
    path
        Folder or address of an OME-Zarr.
    """
    for name in (".zattrs", "zarr.json"):
        try:
            content = json.loads(read_bytes(path / name) or b"")
        except (OSError, ValueError):
            continue
        found = content.get("attributes") if name == "zarr.json" else content
        return found if isinstance(found, dict) else {}
    return {}


def label_attributes(classes: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of a label image: names and colours of the classes."""
    ids = range(1, len(classes))
    return {
        "image-label": {
            "colors": [
                {"label-value": i, "rgba": [*_COLOURS[(i - 1) % len(_COLOURS)], 255]}
                for i in ids
            ],
            "properties": [{"label-value": i, "class": classes[i]} for i in ids],
        }
    }


def channel_attributes(classes: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of probabilities: a channel for every class."""
    return map_attributes([f"probability of {name}" for name in classes])


def map_attributes(names: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of channels with values in [0, 1]."""
    window = {"min": 0.0, "max": 1.0, "start": 0.0, "end": 1.0}
    channels = [
        {
            "label": name,
            "color": "{:02X}{:02X}{:02X}".format(*_COLOURS[i % len(_COLOURS)]),
            "window": window,
            "active": i == 1,
        }
        for i, name in enumerate(names)
    ]
    return {"omero": {"channels": channels}}
