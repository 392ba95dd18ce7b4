"""Tracks as a folder of the Cell Tracking Challenge: masks and a text file.

``res_track.txt`` has a line "L B E P" for each track: its number, first and last frame,
and the track that it comes from or 0. ``maskTTT.tif`` holds these numbers, 16 bits.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from unet_engine.errors import Cancelled, DataError
from unet_engine.files.atomic import whole_folder
from unet_engine.stopping import never
from unet_engine.tracking.tracks import track_labels

if TYPE_CHECKING:
    import os

    import numpy.typing as npt

    from unet_engine.stopping import Stop
    from unet_engine.tracking.tracks import Tracks

TRACK_FILE = "res_track.txt"
"""Of results; that of a ground truth is called man_track.txt."""

_MOST = 2**16 - 1
"""Tracks that masks of 16 bits number."""

_LEAST_DIGITS = 3
"""Of the number of a frame in a name."""


def write_ctc(
    path: str | os.PathLike[str],
    tracks: Tracks,
    labels: Any,
    *,
    replace: bool = False,
    stop: Stop = never,
) -> None:
    """Write a folder of masks and ``res_track.txt``, whole or not at all.

    Parameters
    ----------
    path
        The folder, in the challenge ``01_RES``; made here.
    tracks
        Of the labels.
    labels
        Array-like ``(T, *spatial)`` of the ids that were linked; a frame is read at a
        time.
    replace
        Delete a folder that is there when the new one is complete.
    stop
        Polled before every frame.

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    DataError
        When there are more than 65535 tracks, the folder is there, or cannot be
        written.
    """
    if tracks.count > _MOST:
        raise DataError(
            f"{path}: there are {tracks.count} tracks, and the masks of the Cell "
            f"Tracking Challenge number {_MOST}; write a .geff"
        )
    digits = max(_LEAST_DIGITS, len(str(tracks.length - 1)))
    with whole_folder(path, replace=replace) as folder:
        folder.mkdir()
        for frame in range(tracks.length):
            if stop():
                raise Cancelled("stopped before all masks were written; none is kept")
            ids = np.asarray(labels[frame])
            numbers = track_labels(tracks, frame, ids).astype(np.uint16)
            file = folder / f"mask{frame:0{digits}}.tif"
            tifffile.imwrite(
                file, numbers, compression="zlib", metadata=None, software=""
            )
        rows = zip(*tracks.extents, tracks.parents[1:], strict=True)
        lines = [f"{n} {b} {e} {p}\n" for n, (b, e, p) in enumerate(rows, start=1)]
        (folder / TRACK_FILE).write_text("".join(lines), "ascii", newline="\n")


def read_ctc(
    path: str | os.PathLike[str],
) -> tuple[npt.NDArray[Any], dict[str, npt.NDArray[np.int64]]]:
    """Read a folder of the Cell Tracking Challenge, of results or of a ground truth.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    labels, table
        ``(T, *spatial)`` numbers of tracks; and columns track, first frame, last frame
        and parent.

    Raises
    ------
    DataError
        When a file is missing, damaged, or does not fit the others.
    """
    folder = Path(path)
    names = [name for name in (TRACK_FILE, "man_track.txt") if (folder / name).exists()]
    files = sorted(folder.glob("*.tif"), key=lambda file: _frame(file))
    if not names or not files:
        raise DataError(
            f"{folder} is no folder of the Cell Tracking Challenge: it needs masks "
            f"such as mask000.tif and {TRACK_FILE}"
        )
    if [_frame(file) for file in files] != list(range(len(files))):
        raise DataError(f"{folder} lacks masks of some frames; copy it again")
    try:
        labels = np.stack([tifffile.imread(file) for file in files])
        text = (folder / names[0]).read_text("ascii")
        rows = np.array([line.split() for line in text.splitlines()], np.int64)
        columns = rows.reshape(-1, 4).T
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise DataError(f"{folder} cannot be read: {error}; copy it again") from error
    titles = ("track", "first frame", "last frame", "parent")
    return labels, dict(zip(titles, columns, strict=True))


def _frame(file: Path) -> int:
    found = re.search(r"(\d+)\.tif$", file.name)
    return int(found[1]) if found else -1
