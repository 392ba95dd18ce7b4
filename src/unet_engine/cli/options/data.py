"""Options of how images and labels are read.

Annotations here are read at run time, also by the modules of the commands, so this
module must not import ``annotations`` from ``__future__``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter, Token

from unet_engine.cli.options.parameters import (
    EXPERT,
    LABELS,
    READING,
    QuietOption,
    UserAxes,
    UserPath,
    parse_whole,
)
from unet_engine.errors import DataError
from unet_engine.images.choice import ImageChoice
from unet_engine.images.labels.choices import LabelValues, Unlabelled, parse_unlabelled
from unet_engine.images.zarr.chunks import MissingChunks
from unet_engine.images.zarr.writing import OmeZarrVersion


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ImageOptions(QuietOption):
    """How an image file is read.

    Parameters
    ----------
    axes
        A letter for each axis of the files, such as ZYX, TCYX or YXS, when the metadata
        is missing or wrong.
    channel
        Use only this channel, from 0.
    missing_chunks
        What a chunk means that a zarr lacks, or a plane that an OME-TIFF lacks: refuse
        it as lost, or fill it, for files that were written without their empty chunks.
    series
        Which of the images in a file, from 0, when it holds several that differ.
    """

    axes: Annotated[UserAxes | None, Parameter(group=READING)] = None
    channel: Annotated[int | None, Parameter(group=READING, converter=parse_whole)] = (
        None
    )
    missing_chunks: Annotated[MissingChunks, Parameter(group=READING)] = "refuse"
    series: Annotated[int | None, Parameter(group=READING, converter=parse_whole)] = (
        None
    )

    @property
    def choice(self) -> ImageChoice:
        """How files are read."""
        return ImageChoice(
            axes=self.axes,
            channel=self.channel,
            missing_chunks=self.missing_chunks,
            series=self.series,
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class OmeZarrOption:
    """How an OME-Zarr is written.

    Parameters
    ----------
    ome_zarr
        Version of an OME-Zarr that is written; an unfinished one keeps its own.
    """

    ome_zarr: Annotated[OmeZarrVersion, Parameter(group=EXPERT)] = "0.4"


def _parse_unlabelled(kind: Any, tokens: Sequence[Token]) -> Unlabelled:
    try:
        return parse_unlabelled(tokens[-1].value)
    except DataError as error:
        raise ValueError(str(error)) from None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """What ``decide_labels`` takes.

    Parameters
    ----------
    label_values
        What the values of all label files mean: classes, 0 the background; objects,
        each number an object and all above 0 the foreground; mask, all above 0 the
        foreground, or what is above half of the highest value where there are grey
        levels; auto: classes, or a mask where there are only 0 and 255, and a question
        where they could be something else. --instances is the same as --label-values
        objects; of both the last one counts.
    unlabelled
        Value of pixels that nobody labelled; none when all are labelled; with 0,
        classes count from 1; auto: -1, or 255 beside classes.
    """

    # The library gives a switch beside an option the value None.
    label_values: Annotated[
        LabelValues | None, Parameter(negative="--instances", group=LABELS)
    ] = "auto"
    unlabelled: Annotated[
        Unlabelled,
        Parameter(converter=_parse_unlabelled, metavar="VALUE", group=LABELS),
    ] = "auto"

    @property
    def meaning(self) -> LabelValues:
        """What the values mean."""
        return "objects" if self.label_values is None else self.label_values


def parse_range(kind: Any, tokens: Sequence[Token]) -> slice:
    """Read ``A:B`` as Python reads the slice."""
    text = tokens[-1].value
    if not re.fullmatch(r"(-?\d+)?:(-?\d+)?", text):
        raise ValueError(f"{text!r} is not like 0:20, 20: or :-3")
    start, _, stop = text.partition(":")
    return slice(int(start) if start else None, int(stop) if stop else None)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DataOptions(LabelOptions, ImageOptions):
    """Images with labels.

    Parameters
    ----------
    images
        Folder of images.
    labels
        Folder of label images with the same names.
    range
        Use only these of the pairs, sorted by name and counted from 0, as a slice in
        Python: 0:20 the first twenty, 20: the others (write --range=-3: for the last
        three).
    """

    images: Annotated[UserPath | None, Parameter(metavar="DIR")] = None
    labels: Annotated[UserPath | None, Parameter(metavar="DIR")] = None
    range: Annotated[
        slice | None, Parameter(converter=parse_range, n_tokens=1, metavar="A:B")
    ] = None
