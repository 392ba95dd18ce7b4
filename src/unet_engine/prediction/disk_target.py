"""One file or store of a run to disk: opened, filled tile by tile, finished."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images import open_image
from unet_engine.images.formats import UNFINISHED
from unet_engine.images.tiff.writing import write_large_tiff
from unet_engine.images.zarr.addresses import Address
from unet_engine.images.zarr.label_group import (
    fitting_version,
    is_zarr_place,
    list_label,
    source_of,
)
from unet_engine.images.zarr.ome_zarr import ZARR_SUFFIX, holds_zarr, is_zarr
from unet_engine.images.zarr.storage import Place, is_there, object_names, remove
from unet_engine.images.zarr.writing import (
    Multiscale,
    OmeZarrVersion,
    channel_attributes,
    label_attributes,
    map_attributes,
    written_attributes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    import zarr

    from unet_engine.places import Index
    from unet_engine.prediction.outputs import PredictionRun
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile

RECORD = "napari-unet-finetune"
"""Attribute of a finished image: what it was made from."""

_LARGEST_CHUNK = 1024
"""Edge of a chunk in pixels: 1 MiB of class ids, as viewers read quickly."""


Content = Literal["labels", "probabilities", "object maps"]
"""What a result holds."""


class DiskTarget:
    """One result: where it is wanted, and the OME-Zarr that is filled."""

    def __init__(self, path: Place, content: Content, ome_zarr: OmeZarrVersion) -> None:
        self.path = path
        self.content: Content = content
        self._version: OmeZarrVersion = ome_zarr
        self.is_zarr = is_zarr_place(path)
        if isinstance(path, Address) and path.is_read_only:
            raise DataError(
                f"{path} is on a web server, which takes no results; give the address "
                "of a bucket, such as s3://, or a place of this computer"
            )
        if not self.is_zarr and isinstance(path, Address):
            raise DataError(
                f"{path} is no place for a result: at an address they are zarrs; let "
                f"it end in {ZARR_SUFFIX}"
            )
        self.store: Place = path
        if not self.is_zarr and isinstance(path, Path):
            self.store = path.with_name(f".{path.name}.unfinished{ZARR_SUFFIX}")

    @property
    def array(self) -> Any:
        """The result as it lies on disk, ``([channels,] *leading, Y, X)``."""
        if self.is_zarr or is_there(self.store):
            return self._multiscale.as_written(self._array)
        assert isinstance(self.path, Path)
        return open_image(self.path, axes=self._multiscale.axes).data

    def open(self, run: PredictionRun, *, anew: bool) -> None:
        """Make the OME-Zarr, or open it."""
        multiscale = _multiscale(self.store, run, self.content)
        version = fitting_version(self.path, self._version)
        attributes = dict(multiscale.attributes)
        if self.content == "labels":
            attributes["image-label"] |= source_of(self.path)
        self._multiscale = replace(multiscale, version=version, attributes=attributes)
        self._image = run.image
        self._channels = _channels(run, self.content)
        self._array: zarr.Array = self._multiscale.open(anew=anew)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process writes tiles with, see ``reopen``."""
        return {**self.__dict__, "_array": None, "_image": None}

    @property
    def multiscale(self) -> Multiscale:
        """The OME-Zarr that is filled."""
        return self._multiscale

    def reopen(self) -> None:
        """Open what another process made."""
        self._array = self._multiscale.open_level(0)

    def write(self, index: Index, tile: Tile, block: npt.NDArray[Any]) -> list[Place]:
        """Write a tile and return the files or objects that hold it."""
        self._array[self._key(index, tile)] = block
        return self.chunks(index, tile)

    def chunks(self, index: Index, tile: Tile) -> list[Place]:
        """Return the files or objects of a tile."""
        spans = [
            range(k, k + 1) if isinstance(k, int) else range(*k.indices(size))
            for k, size in zip(self._key(index, tile), self._array.shape, strict=True)
        ]
        numbers = product(
            *(
                range(span.start // chunk, -(-span.stop // chunk))
                for span, chunk in zip(spans, self._array.chunks, strict=True)
            )
        )
        encode = self._array.metadata.encode_chunk_key
        return [self.store / "0" / encode(number) for number in numbers]

    def finish(
        self,
        stop: Stop,
        attributes: dict[str, Any],
        fill: Callable[[int], bool] | None = None,
    ) -> bool:
        """Make the result from the full resolution: smaller levels, or the TIFF."""
        if self.is_zarr:
            complete = self._multiscale.finish(stop, attributes, fill)
            if complete and self.content == "labels":
                list_label(self.path)
            return complete
        assert isinstance(self.path, Path)
        return write_large_tiff(
            self.path,
            self.array,
            self._multiscale.axes,
            self._image,
            channels=self._channels,
            stop=stop,
        )

    def record(self) -> dict[str, Any] | None:
        """Return what finished results were made from; None of anything else."""
        record = written_attributes(self.path).get(RECORD)
        return record if isinstance(record, dict) else None

    def check_free(self) -> None:
        """Refuse to write into what is there; a TIFF is replaced when it is complete.

        Raises
        ------
        DataError
            When there is a file or folder with something in it.
        """
        if not self.is_zarr:
            remove(self.store)
        elif self._holds_other():
            raise DataError(
                f"{self.path} is there already; choose another name, or pass "
                "--overwrite to delete it first"
            )

    def _holds_other(self) -> bool:
        """Whether anything but the record of a run is there."""
        if not isinstance(self.store, Path):
            return any(name != UNFINISHED for name in object_names(self.store))
        record = self.store / UNFINISHED
        foreign = (p for p in self.store.rglob("*") if record not in p.parents)
        return self.store.is_file() or any(p.is_file() for p in foreign)

    def delete(self) -> None:
        """Delete a zarr that is there.

        Raises
        ------
        DataError
            When it is something else.
        """
        if not is_there(self.store):
            return
        empty = isinstance(self.store, Path) and (
            self.store.is_dir()
            and not any(self.store.iterdir())
            and is_zarr(self.store)
        )
        if not empty and not holds_zarr(self.store):
            raise DataError(
                f"{self.store} is no zarr and is not deleted; choose another name"
            )
        self.discard()

    def discard(self) -> None:
        """Delete what was begun.

        Raises
        ------
        OSError
            When it cannot be deleted.
        """
        if not isinstance(self.store, Path):
            remove(self.store)
        elif self.store.exists():
            shutil.rmtree(self.store)

    def remove_store(self) -> None:
        """Remove the hidden OME-Zarr once its TIFF is there."""
        if not self.is_zarr:
            remove(self.store)

    def leftovers(self) -> Iterator[Path]:
        """Find the files that were being written when a run was killed."""
        # An object is there whole or not at all.
        if isinstance(self.store, Path):
            yield from self.store.rglob("*.partial")

    def is_written(self, index: Index, tile: Tile) -> bool:
        """Whether the chunks of a tile that is on record are there.

        An object is not looked for: what was written is not lost with the power, and
        to ask for each of a million takes a day.
        """
        chunks = self.chunks(index, tile)
        return all(c.is_file() for c in chunks if isinstance(c, Path))

    def _key(self, index: Index, tile: Tile) -> tuple[int | slice, ...]:
        where: tuple[int | slice, ...] = (*index, *tile.inner_slices)
        whole = len(self._multiscale.axes) - len(where)
        return self._multiscale.key((*(slice(None),) * whole, *where))


def _channels(run: PredictionRun, content: Content) -> tuple[str, ...]:
    """Return the names of the channels; none of labels."""
    spec = run.checkpoint.spec
    if content == "probabilities":
        return spec.classes
    return spec.object_maps if content == "object maps" else ()


def _multiscale(path: Place, run: PredictionRun, content: Content) -> Multiscale:
    plan, image = run.plan, run.image
    axes = image.leading_axes + "YX"
    spatial = [
        _divisor(min(edge, size), edge)
        for edge, size in zip(plan.tiles.tile, plan.tiles.shape, strict=True)
    ]
    chunks = (1,) * (len(axes) - len(spatial)) + tuple(spatial)
    labels, channels = content == "labels", _channels(run, content)
    if labels:
        attributes = label_attributes(run.checkpoint.spec.classes)
    else:
        named = {"probabilities": channel_attributes, "object maps": map_attributes}
        attributes = named[content](channels)
    return Multiscale(
        path=path,
        axes=axes if labels else "C" + axes,
        shape=plan.shape if labels else (len(channels), *plan.shape),
        chunks=chunks if labels else (1, *chunks),
        dtype=np.dtype(np.uint8 if labels else np.float32),
        pixel_size=image.pixel_size,
        labels=labels,
        attributes=attributes,
    )


def _divisor(size: int, edge: int) -> int:
    """Return the edge of the chunks: that of the tile, or a part that divides it."""
    if size < edge:
        # One tile holds the whole axis.
        return min(size, _LARGEST_CHUNK)
    parts = -(-edge // _LARGEST_CHUNK)
    while edge % parts:
        parts += 1
    return edge // parts


def flush(chunk: Place) -> None:
    """Make sure that a chunk that was written outlasts a power cut."""
    if isinstance(chunk, Path):
        with chunk.open("rb+") as file:
            os.fsync(file.fileno())


@contextmanager
def named_errors(path: Place) -> Iterator[None]:
    """Name the result that could not be written, and what to do.

    Raises
    ------
    DataError
        In place of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        advice = "make its folder exist, writable and with free space"
        if not isinstance(path, Path):
            advice = "check the address, the rights to write and the connection"
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}; {advice}, and "
            "run the same again: it goes on at the finished tiles"
        ) from error
