"""Options of ``napari-unet batch``.

Annotations here are read at run time.
"""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from unet_engine.cli.options.data import ImageOptions
from unet_engine.cli.options.objects import parse_scale
from unet_engine.cli.options.parameters import Flag, UserPath, parse_whole


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BatchOptions(ImageOptions):
    """What is made of the images, and where it goes.

    Parameters
    ----------
    output
        Folder for the results; without it they go beside the images, and the tables
        into the folder that these have in common.
    model
        Name or file of the model.
    masks
        Write the class of every pixel, NAME_mask.tif.
    objects
        Write the number of the object of every pixel, NAME_objects.tif.
    table
        Measure the objects: one table of all, objects.csv.
    planes
        The planes of a stack along Z have objects of their own; else objects go on from
        plane to plane.
    boundary
        Class of the boundaries between objects.
    scale
        Size of a pixel in µm, or Z,Y,X such as 2,0.5,0.5; read from the files when it
        is not given.
    overwrite
        Make all results anew, and replace those that were changed since.
    """

    output: Annotated[UserPath | None, Parameter(alias="-o", metavar="FOLDER")] = None
    model: str = "nuclei"
    masks: Annotated[bool, Parameter(negative="--no-masks")] = True
    objects: Annotated[bool, Parameter(negative="--no-objects")] = True
    table: Annotated[bool, Parameter(negative="--no-table")] = True
    planes: Flag = False
    boundary: Annotated[
        int | None, Parameter(metavar="CLASS", converter=parse_whole)
    ] = None
    scale: Annotated[
        tuple[float, ...] | None,
        Parameter(converter=parse_scale, n_tokens=1, metavar="UM"),
    ] = None
    overwrite: Flag = False
