"""Results on disk: OME-Zarr filled tile by tile, and TIFF made from it at the end."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.images.no_data import RUN
from unet_engine.images.zarr.chunks import files_of
from unet_engine.images.zarr.storage import place_of
from unet_engine.prediction.disk_target import (
    RECORD,
    Content,
    DiskTarget,
    flush,
    named_errors,
)
from unet_engine.prediction.finished_tiles import (
    FinishedTiles,
    InputFiles,
    describe_changes,
)
from unet_engine.prediction.number_set import NumberSet
from unet_engine.tiling.tiles import reflect_indices

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    import numpy as np
    import numpy.typing as npt

    from unet_engine.images.zarr.storage import Place
    from unet_engine.images.zarr.writing import OmeZarrVersion
    from unet_engine.places import Index
    from unet_engine.prediction.outputs import PredictionRun
    from unet_engine.prediction.plan import PredictionPlan
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile


class DiskOutput:
    """Results that are written as tiles finish; an interrupted run can resume.

    Memory does not grow with the image. A run that was killed resumes at its finished
    tiles, and what it gives is byte for byte what an uninterrupted one gives. No chunk
    is shared by two tiles. A TIFF cannot be filled so: its tiles are gathered in a
    hidden OME-Zarr beside it, which becomes the TIFF at the end.

    Parameters
    ----------
    labels
        ``.zarr`` (better ``.ome.zarr``), ``.tif`` or ``.tiff``; or the address of a
        ``.zarr`` in object storage, such as ``s3://bucket/mask.ome.zarr``.
    probabilities
        The same for the probability of every class, or None.
    object_maps
        The same for the object maps, or None.
    overwrite
        Delete what is there first, unfinished runs included.
    resume
        Accept finished results of the same run; with ``overwrite`` resume an
        unfinished one.
    ome_zarr
        Version of OME-Zarr. An unfinished run keeps that in which it was begun.
    """

    def __init__(
        self,
        labels: str | os.PathLike[str],
        probabilities: str | os.PathLike[str] | None = None,
        object_maps: str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
        resume: bool = False,
        ome_zarr: OmeZarrVersion = "0.4",
    ) -> None:
        wanted: dict[Content, str | os.PathLike[str] | None] = {
            "labels": labels,
            "probabilities": probabilities,
            "object maps": object_maps,
        }
        self._targets = [
            DiskTarget(place_of(path), content, ome_zarr)
            for content, path in wanted.items()
            if path is not None
        ]
        self._finished_tiles = FinishedTiles(self._targets[0].store)
        self._overwrite = overwrite and not (resume and self._finished_tiles.exists)
        self._resume = resume and not overwrite
        self._plan: PredictionPlan
        self._identity: dict[str, Any] = {}
        self._unwritten: list[tuple[int, list[Place]]] = []
        self._committed = time.monotonic()
        self._begun = False
        self._complete = False

    @property
    def unfinished(self) -> Place | None:
        """Where the finished tiles lie at which the same run would resume."""
        return self._targets[0].store if self._begun and not self._complete else None

    @property
    def labels(self) -> Any:
        """As it lies on disk, ``(*leading, Y, X)``."""
        return self._targets[0].array

    @property
    def probabilities(self) -> Any:
        """As it lies on disk, ``(classes, *leading, Y, X)``, or None."""
        return self._array_of("probabilities")

    @property
    def object_maps(self) -> Any:
        """As they lie on disk, ``(maps, *leading, Y, X)``, or None."""
        return self._array_of("object maps")

    def _array_of(self, content: Content) -> Any:
        return next((t.array for t in self._targets if t.content == content), None)

    @property
    def quantises_object_maps(self) -> bool:
        """Write them as they are."""
        return False

    @property
    def wants_probabilities(self) -> bool:
        """Whether there is a file for them."""
        return any(target.content == "probabilities" for target in self._targets)

    @property
    def fixed_grid(self) -> bool:
        """Chunks are tiles or parts of them."""
        return True

    @property
    def block_edge(self) -> int:
        """Blocks of the run that is resumed."""
        if self._overwrite:
            return 0
        block_edge = self._finished_tiles.begun_with("blocks")
        return block_edge if type(block_edge) is int and block_edge > 0 else 0

    def begin(self, run: PredictionRun) -> AbstractSet[int]:
        """Make the files, or find those of the same run; return the finished tiles.

        Raises
        ------
        DataError
            When something else is there, the run that was begun there is another one
            or still goes on, or nothing can be written.
        """
        self._plan = run.plan
        self._identity = run.identity()
        with named_errors(self._targets[0].path):
            if self._finished_before():
                self._complete = True
                self._finished_tiles.remove()
                self._open(run, anew=False)
                return NumberSet([(0, run.plan.total)])
            self._make_room()
            finished = self._finished_tiles.open(self._identity, self._inputs(run))
            self._remove_leftovers()
            self._open(run, anew=not finished)
        self._begun = True
        return self._still_there(finished)

    def write(
        self,
        index: Index,
        tile: Tile,
        labels: npt.NDArray[np.uint8],
        probabilities: npt.NDArray[np.float32] | None,
        object_maps: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Write the chunks of a tile: labels, their probabilities and object maps.

        Raises
        ------
        DataError
            When the disk is full or gone; finished tiles stay.
        """
        blocks: dict[Content, npt.NDArray[Any]] = {"labels": labels}
        if probabilities is not None:
            blocks["probabilities"] = probabilities
        if object_maps is not None:
            blocks["object maps"] = object_maps
        with named_errors(self._targets[0].path):
            chunks: list[Place] = []
            for target in self._targets:
                chunks += target.write(index, tile, blocks[target.content])
            self._unwritten.append((self._plan.number(index, tile), chunks))
            self._commit_in_time()

    @property
    def targets(self) -> tuple[DiskTarget, ...]:
        """What is written, for other processes that write tiles of it."""
        return tuple(self._targets)

    @property
    def record(self) -> tuple[Place, bytes]:
        """Where the identity of the run is written, and what is there."""
        return self._finished_tiles.written_identity

    def count(self, number: int) -> None:
        """Count a tile as written by another process, by its number.

        Raises
        ------
        DataError
            When the disk is full or gone; finished tiles stay.
        """
        with named_errors(self._targets[0].path):
            self._unwritten.append((number, []))
            self._commit_in_time()

    def finish(
        self,
        stop: Stop,
        fill: Callable[[int, int], bool] | None = None,
        *,
        shared: bool = False,
    ) -> bool:
        """Make the smaller levels, or the TIFF; False when ``stop`` returned True.

        Parameters
        ----------
        stop
            Polled before every chunk.
        fill
            Fills a level of a target, by their numbers, in place of this process.
        shared
            Other processes wrote here: what one of them left when it was killed is
            removed.

        Raises
        ------
        DataError
            When the disk is full or gone; the same run then only has this left.
        """
        if self._complete:
            return True
        with named_errors(self._targets[0].path):
            self._commit()
            for number, target in enumerate(self._targets):
                filled = None if fill is None else partial(fill, number)
                if not target.finish(stop, {RECORD: self._identity}, filled):
                    return False
            if shared:
                self._remove_leftovers()
            self._finished_tiles.remove()
            for target in self._targets:
                target.remove_store()
        self._complete = True
        return True

    def _remove_leftovers(self) -> None:
        """Delete chunks that were being written when a process was killed."""
        for target in self._targets:
            for leftover in target.leftovers():
                leftover.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete what was begun, of which no tile is finished."""
        self._finished_tiles.remove()
        with named_errors(self._targets[0].path):
            for target in self._targets:
                target.discard()
        self._begun = False

    def close(self) -> None:
        """Record the last tiles, if the disk has room for a line, and close."""
        with suppress(OSError, DataError):
            self._commit()
        self._finished_tiles.close()

    def _inputs(self, run: PredictionRun) -> InputFiles | None:
        """Return the files that the tiles are made from, if the image lies in any."""
        image = run.image
        if image.source is None:
            return None

        # The fill of a border is known by its neighbourhood.
        margin = RUN if any(run.normalisation.fills) else 0

        def chunks_of(number: int) -> set[str]:
            if number >= run.plan.total:
                return set()
            index, tile = run.plan.at(number)
            sizes = (*image.leading_shape, *image.plane_shape)[len(index) :]
            region = [
                slice(
                    max(0, int(places.min()) - margin),
                    min(size, int(places.max()) + 1 + margin),
                )
                for places, size in zip(
                    map(reflect_indices, *zip(*tile.outer, strict=True), sizes),
                    sizes,
                    strict=True,
                )
            ]
            return files_of(image.data, image.key((*index, *region)))

        return InputFiles(source=image.source, chunks_of=chunks_of)

    def _commit_in_time(self) -> None:
        waited = time.monotonic() - self._committed
        if waited > self._finished_tiles.commit_interval:
            self._commit()

    def _commit(self) -> None:
        """Flush chunks to the disk, and only then record their tiles."""
        for _, chunks in self._unwritten:
            for chunk in chunks:
                flush(chunk)
        self._finished_tiles.append(number for number, _ in self._unwritten)
        self._unwritten.clear()
        self._committed = time.monotonic()

    def _open(self, run: PredictionRun, *, anew: bool) -> None:
        for target in self._targets:
            target.open(run, anew=anew)

    def _finished_before(self) -> bool:
        """Whether the same results are there already, and are to be accepted."""
        first = self._targets[0]
        if self._overwrite or self._finished_tiles.exists:
            return False
        if not self._resume and not self._finished_tiles.has_traces:
            return False
        record = first.record()
        if record is None:
            return False
        if changes := describe_changes(record, self._identity):
            raise DataError(
                f"{first.path} is finished, and this run is another one: {changes}; "
                "write to another place, or pass --overwrite to replace it"
            )
        return True

    def _make_room(self) -> None:
        """Make sure that no other file is written over."""
        resumes = self._finished_tiles.exists and not self._overwrite
        for target in self._targets:
            if self._overwrite:
                target.delete()
            elif not resumes:
                target.check_free()

    def _still_there(self, finished: NumberSet) -> NumberSet:
        """Return the tiles on record whose chunks are there."""
        there = NumberSet()
        for start, stop in finished.ranges:
            there.add_range(start, min(stop, self._plan.total))
        if isinstance(self._targets[0].store, Path):
            for number in chain.from_iterable(range(*r) for r in list(there.ranges)):
                place = self._plan.at(number)
                if not all(target.is_written(*place) for target in self._targets):
                    there.discard(number)
        return there
