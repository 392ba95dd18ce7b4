"""``napari-unet track``: the same objects in the frames of a time series."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from unet_engine.cli.commands.objects_files import values_of
from unet_engine.cli.files.outputs import (
    check_free,
    check_place,
    check_suffix,
    is_zarr_name,
)
from unet_engine.cli.files.reading import open_selected
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options.parameters import UserPath  # noqa: TC001 - at run time
from unet_engine.cli.options.tracking import TrackOptions
from unet_engine.cli.progress import bar
from unet_engine.errors import DataError
from unet_engine.files.atomic import check_writable
from unet_engine.files.inputs import Inputs
from unet_engine.generators import drain
from unet_engine.images import ZARR_SUFFIX

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.images import Image
    from unet_engine.objects import BlockDone
    from unet_engine.stopping import Stop
    from unet_engine.tracking import Tracks

_LABEL_SUFFIXES = (".tif", ".tiff", ZARR_SUFFIX)


def run(
    objects: Annotated[UserPath, Parameter(name="OBJECTS")],
    /,
    options: TrackOptions = TrackOptions(),
) -> int:
    """Give an object one number in all frames of a time series.

    Objects of two frames are the same where they overlap most. Divisions and fusions
    begin new tracks, which name where they come from.

    Parameters
    ----------
    objects
        Image of object ids with an axis T, as objects writes it.
    options
        What is read and written.

    Raises
    ------
    EngineError
        When the image is no time series of objects, or nothing can be written.

    Examples
    --------
    napari-unet track objects.tif -o 01_RES --geff tracks.geff
    napari-unet track objects.tif --axes TYX --labels tracked.tif
    napari-unet track objects.tif --table tracks.csv
    """
    from unet_engine.tracking import iter_link_frames

    _check(objects, options)
    started = time.monotonic()
    image = open_selected(objects, options, labels=True)
    ndim = _ndim(image)
    labels = values_of(objects, image)
    with stop_on_interrupt("stopping") as stop:
        linking = iter_link_frames(
            labels, ndim, least_overlap=options.least_overlap, stop=stop
        )
        with bar(1, objects.name, quiet=options.quiet) as progress:

            def show(event: BlockDone) -> None:
                progress.total = event.total
                progress.update(event.done - progress.n)

            tracks = drain(linking, show)
        _write(tracks, labels, image, options, stop)
    paths = (options.output, options.geff, options.labels, options.table)
    written = " and ".join(str(path) for path in paths if path is not None)
    print(
        f"{written}: {tracks.count} tracks of {tracks.labels.size} objects in "
        f"{tracks.length} frames, {tracks.divisions.size} divisions, "
        f"{tracks.fusions.size} fusions ({time.monotonic() - started:.1f} s)"
    )
    return 0


def _check(objects: Path, options: TrackOptions) -> None:
    """Make sure that all can be written before there is work to lose.

    Raises
    ------
    DataError
        When it cannot.
    """
    from unet_engine.objects import check_table_suffix
    from unet_engine.tracking.geff import GEFF_SUFFIX, check_geff

    folders = (options.output, options.geff)
    files = (options.labels, options.table)
    if not any((*folders, *files)):
        raise DataError(
            "nothing to write; give -o for a folder of the Cell Tracking Challenge, "
            "--geff, --labels or --table, or more of them"
        )
    if options.geff is not None:
        check_suffix(options.geff, (GEFF_SUFFIX,))
        check_geff(options.geff)
    if options.labels is not None:
        check_suffix(options.labels, _LABEL_SUFFIXES)
    if options.table is not None:
        check_table_suffix(options.table)
    inputs = Inputs([objects])
    for path in filter(None, (*folders, *files)):
        inputs.check_apart(path)
        if path in folders:
            check_writable(path, folder=True)
        else:
            check_place(path)
        check_free(path, overwrite=options.overwrite)
    if options.output is not None and options.output.is_dir():
        _check_replaceable(options.output)


def _check_replaceable(folder: Path) -> None:
    """Refuse to delete a folder with anything but such a result.

    Raises
    ------
    DataError
        When other files are in it.
    """
    others = [
        path.name
        for path in folder.iterdir()
        if path.name != "res_track.txt"
        and not (path.suffix == ".tif" and path.name.startswith("mask"))
    ]
    if others:
        raise DataError(
            f"{folder} holds {others[0]} and is not replaced; give a folder of its own"
        )


def _ndim(image: Image) -> int:
    """Return in how many dimensions objects of a time series extend.

    Raises
    ------
    DataError
        When it is none.
    """
    if image.leading_axes not in ("T", "TZ"):
        raise DataError(
            f"{image.name} has the axes {image.leading_axes}YX, and tracks go along T; "
            "give --axes TYX or TZYX if its metadata are wrong"
        )
    return len(image.leading_axes) + 1


def _write(
    tracks: Tracks,
    labels: Any,
    image: Image,
    options: TrackOptions,
    stop: Stop,
) -> None:
    from unet_engine.objects import write_table
    from unet_engine.tracking import write_ctc, write_geff
    from unet_engine.tracking.files import write_tracked

    if options.output is not None:
        replace = options.overwrite
        write_ctc(options.output, tracks, _Frames(labels), replace=replace, stop=stop)
    if options.geff is not None:
        size = image.pixel_size
        write_geff(options.geff, tracks, size, replace=options.overwrite)
    if options.labels is not None:
        write_tracked(
            options.labels,
            tracks,
            labels,
            image,
            version=options.ome_zarr,
            replace=options.overwrite and is_zarr_name(options.labels),
            stop=stop,
        )
    if options.table is not None:
        write_table(options.table, tracks.table())


class _Frames:
    """Values of a file, a frame at a time."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __getitem__(self, frame: int) -> Any:
        every = (slice(None),) * (len(self._values.shape) - 1)
        return self._values[(frame, *every)]
