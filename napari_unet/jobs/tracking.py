"""What runs in a thread: objects of a time series are followed. No Qt or widget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.jobs.objects import ObjectsStep, named_steps
from unet_engine.errors import Cancelled
from unet_engine.images.formats import TIFF_SUFFIXES
from unet_engine.images.zarr.label_group import is_zarr_place
from unet_engine.objects import write_table
from unet_engine.objects.table import TABLE_SUFFIXES
from unet_engine.tracking import iter_link_frames, track_labels, write_ctc, write_geff
from unet_engine.tracking.files import write_tracked
from unet_engine.tracking.geff import GEFF_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.stopping import Stop
    from unet_engine.tracking import Tracks


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundTracks:
    """The objects of a time series, and which of them are the same.

    Attributes
    ----------
    tracks
        Who is who.
    ids
        ``(T, *spatial)`` object ids that were linked.
    numbers
        uint32 of the same shape, the track of each.
    """

    tracks: Tracks
    ids: npt.NDArray[Any]
    numbers: npt.NDArray[np.uint32]


def follow_objects(
    ids: npt.NDArray[Any], ndim: int, stop: Stop
) -> Generator[ObjectsStep, None, FoundTracks | None]:
    """Link the objects of all frames; None when it was stopped.

    Parameters
    ----------
    ids
        ``(T, *spatial)`` object ids.
    ndim
        In how many dimensions an object extends.
    stop
        Polled before every block and frame.
    """
    try:
        linking = iter_link_frames(ids, ndim, stop=stop)
        tracks = yield from named_steps("Following", linking)
    except Cancelled:
        return None
    numbers = np.empty(ids.shape, np.uint32)
    for frame in range(len(ids)):
        if stop():
            return None
        numbers[frame] = track_labels(tracks, frame, ids[frame])
    return FoundTracks(tracks=tracks, ids=ids, numbers=numbers)


def save_tracks(
    path: str, found: FoundTracks, image: Image, stop: Stop
) -> Generator[ObjectsStep, None, str | None]:
    """Write tracks in the format of the suffix, whole or not at all.

    Parameters
    ----------
    path
        ``.geff``, ``.csv`` or ``.parquet`` for a row for each track, ``.tif`` or
        ``.zarr`` for their numbers as an image; else a folder of the Cell Tracking
        Challenge.
    found
        The tracks.
    image
        Has axes and pixel size.
    stop
        Polled before every block and frame.

    Returns
    -------
    str or None
        The path; None when it was stopped.

    Raises
    ------
    DataError
        When they do not fit the format, or nothing can be written there.
    """
    yield ObjectsStep(what="Saving", done=0, total=1)
    suffix = Path(path).suffix.lower()
    try:
        if suffix == GEFF_SUFFIX:
            write_geff(path, found.tracks, image.pixel_size)
        elif suffix in TABLE_SUFFIXES:
            write_table(path, found.tracks.table())
        elif suffix in TIFF_SUFFIXES or is_zarr_place(Path(path)):
            write_tracked(
                Path(path), found.tracks, found.ids, image, replace=True, stop=stop
            )
        else:
            write_ctc(path, found.tracks, found.ids, stop=stop)
    except Cancelled:
        return None
    return path
