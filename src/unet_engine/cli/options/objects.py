"""Options of ``napari-unet objects``, and the files of one of its masks.

Annotations here are read at run time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from unet_engine.cli.options.data import ImageOptions, LabelOptions, OmeZarrOption
from unet_engine.cli.options.parameters import (
    READING,
    Flag,
    UserAxes,
    UserPath,
    parse_whole,
)
from unet_engine.devices import Device
from unet_engine.prediction.config import ObjectSize


def parse_scale(kind: Any, tokens: Sequence[Token]) -> tuple[float, ...]:
    """Read one to three numbers above 0, separated by commas."""
    text = tokens[-1].value
    try:
        sizes = tuple(float(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not 1 <= len(sizes) <= 3 or not all(0 < s < float("inf") for s in sizes):
        raise ValueError(f"{text!r} is not like 0.5 or 2,0.5,0.5")
    return sizes


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ObjectsOptions(OmeZarrOption, LabelOptions, ImageOptions):
    """What objects are found in, and where they and their measurements go.

    Parameters
    ----------
    output
        Image of object ids to write (.tif, .png, .ome.zarr); a folder for many.
    table
        Table of measurements to write (.csv, .parquet); of several masks one, with a
        column for the file.
    outlines
        Outlines of the objects to write for another program (.zip for ImageJ, .geojson
        for QuPath, .json in the format of COCO); a folder for many.
    outline_format
        Which of these go into a folder.
    image
        The image of the mask, for the brightness of the objects; a folder of images of
        the same names for several.
    scale
        Size of a pixel in µm, or Z,Y,X such as 2,0.5,0.5; read from the files when it
        is not given.
    planes
        The planes of a stack along Z have objects of their own; else objects go on from
        plane to plane.
    boundary
        Class of the boundaries between objects.
    probabilities
        Probability of every class, as predict writes them; with --boundary; a folder
        for several.
    model
        Name or file of the model that drew the mask, with --image: where objects touch,
        what it shows of them decides instead of their necks.
    object_size
        As predict had it.
    device
        Where it runs: local:2 for two processes of this machine, tcp://host:port for
        workers, which split the blocks of the mask; with --model also cpu and cuda.
    overwrite
        Replace files that are there, when the new ones are complete.
    resume
        Skip masks whose results are there, and keep their rows in the table.
    image_axes
        A letter for each axis of --image, as --axes for the mask.
    """

    output: Annotated[UserPath | None, Parameter(alias="-o", metavar="OUT")] = None
    table: Annotated[UserPath | None, Parameter(metavar="TABLE")] = None
    outlines: Annotated[UserPath | None, Parameter(metavar="FILE")] = None
    outline_format: Literal["imagej", "qupath", "coco"] = "imagej"
    image: Annotated[UserPath | None, Parameter(metavar="FILE")] = None
    scale: Annotated[
        tuple[float, ...] | None,
        Parameter(converter=parse_scale, n_tokens=1, metavar="UM"),
    ] = None
    planes: Flag = False
    boundary: Annotated[
        int | None, Parameter(metavar="CLASS", converter=parse_whole)
    ] = None
    probabilities: Annotated[UserPath | None, Parameter(metavar="FILE")] = None
    model: Annotated[str | None, Parameter(metavar="MODEL")] = None
    object_size: ObjectSize = "auto"
    device: Device = "auto"
    overwrite: Flag = False
    resume: Flag = False
    image_axes: Annotated[UserAxes | None, Parameter(group=READING, metavar="AXES")] = (
        None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFiles:
    """A mask and the files that belong to it.

    Attributes
    ----------
    mask
        Class ids, or object ids.
    image, probabilities
        Of the mask, where they are given.
    output
        Where the object ids go; None to write none.
    outlines
        Where the outlines go; None to write none.
    kept
        Object ids that an earlier run wrote, and that are only measured.
    """

    mask: Path
    image: Path | None
    probabilities: Path | None
    output: Path | None
    outlines: Path | None
    kept: Path | None
