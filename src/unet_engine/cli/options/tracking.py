"""Options of ``napari-unet track``.

Annotations here are read at run time.
"""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from unet_engine.cli.options.data import ImageOptions, OmeZarrOption
from unet_engine.cli.options.parameters import Flag, UserPath
from unet_engine.tracking.linking import LEAST_OVERLAP


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrackOptions(OmeZarrOption, ImageOptions):
    """What is tracked, and where tracks go.

    Parameters
    ----------
    output
        Folder of the Cell Tracking Challenge to write, such as 01_RES.
    geff
        Graph to write in the Graph Exchange File Format (.geff).
    labels
        Image to write (.tif, .ome.zarr) in which an object has the number of its track
        in every frame.
    table
        Table of tracks to write (.csv, .parquet): first and last frame, parent, and
        what fused.
    least_overlap
        Share of the smaller of two objects, each the best for the other, from which
        they are the same. Raise it where neighbours are taken for each other.
    overwrite
        Replace files that are there, when the new ones are complete.
    """

    output: Annotated[UserPath | None, Parameter(alias="-o", metavar="FOLDER")] = None
    geff: Annotated[UserPath | None, Parameter(metavar="GEFF")] = None
    labels: Annotated[UserPath | None, Parameter(metavar="OUT")] = None
    table: Annotated[UserPath | None, Parameter(metavar="TABLE")] = None
    least_overlap: float = LEAST_OVERLAP
    overwrite: Flag = False
