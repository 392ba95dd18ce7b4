"""Tracks in the Graph Exchange File Format, through the optional package geff."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_folder
from unet_engine.images.pixel_size import MICROMETRE, SECOND

if TYPE_CHECKING:
    import os

    from unet_engine.images import PixelSize
    from unet_engine.tracking.tracks import Tracks

GEFF_SUFFIX = ".geff"

_UNITS = {MICROMETRE: "micrometer", SECOND: "second"}
"""Units of the engine, and their names in the format."""


def check_geff(path: object) -> None:
    """Make sure that the format can be written.

    Parameters
    ----------
    path
        Of the file, for the message.

    Raises
    ------
    DataError
        When geff is not installed.
    """
    if find_spec("geff") is None:
        raise DataError(
            f"{path} needs geff to be written; "
            'pip install "napari-unet-finetune[geff]", or write a folder of the Cell '
            "Tracking Challenge"
        )


def write_geff(
    path: str | os.PathLike[str],
    tracks: Tracks,
    pixel_size: PixelSize | None = None,
    *,
    replace: bool = False,
) -> None:
    """Write objects as nodes and what becomes of them as edges, whole or not at all.

    Divisions and fusions are there as more than one edge of a node. Each node has its
    place, its id in the labels, its pixels and its track.

    Parameters
    ----------
    path
        A folder that ends in ``.geff``.
    tracks
        Of a time series.
    pixel_size
        Steps along T, Z, Y and X; places are frames and pixels along those that are not
        known.
    replace
        Delete what is there when the new folder is complete.

    Raises
    ------
    DataError
        When geff is not installed, something is there, or the folder cannot be written
        to.
    """
    check_geff(path)
    from geff.core_io import write_arrays
    from geff_spec import Axis, GeffMetadata

    letters = "T" + "ZYX"[-tracks.centroids.shape[1] :]
    places = np.column_stack((tracks.frames.astype(np.float64), tracks.centroids))
    axes = []
    for axis, letter in enumerate(letters):
        step = None if pixel_size is None else pixel_size.step(letter)
        unit = _UNITS.get(step.unit) if step is not None else None
        if step is not None and unit is not None:
            places[:, axis] *= step.size
        kind = "time" if letter == "T" else "space"
        unit = unit or ("frame" if letter == "T" else "pixel")
        axes.append(Axis(name=letter.lower(), type=kind, unit=unit))
    columns: dict[str, Any] = dict(zip(letters.lower(), places.T, strict=True))
    columns |= {"label": tracks.labels, "size": tracks.sizes, "track": tracks.tracks}
    metadata = GeffMetadata(
        directed=True,
        axes=axes,
        node_props_metadata={},
        edge_props_metadata={},
        track_node_props={"tracklet": "track"},
    )
    with whole_folder(path, replace=replace) as folder:
        write_arrays(
            folder,
            node_ids=np.arange(tracks.labels.size, dtype=np.uint64),
            node_props={
                name: {"values": np.ascontiguousarray(column), "missing": None}
                for name, column in columns.items()
            },
            edge_ids=tracks.edges.astype(np.uint64),
            edge_props={},
            metadata=metadata,
        )
