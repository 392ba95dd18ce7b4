"""The strokes on the images of a list: how many of each class, on which image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.block import EDGE
from unet_engine.annotations.folders import stroke_folders
from unet_engine.errors import DataError
from unet_engine.images.labels.rules import default_names
from unet_engine.interactive.stroke_numbers import stroke_map
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from unet_engine.annotations.store import StrokeStore
    from unet_engine.image_list.image_list import ImageList
    from unet_engine.stopping import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintedOn:
    """The strokes on an image.

    Attributes
    ----------
    strokes
        Of each class: connected pixels of a plane.
    pixels
        Of each class.
    problem
        Why they could not be read; empty when they could.
    """

    strokes: Counter[str]
    pixels: Counter[str]
    problem: str = ""


def iter_painted(
    images: ImageList, store: StrokeStore, stop: Stop
) -> Iterator[tuple[str, PaintedOn]]:
    """Yield the path of each image of a list that was painted on, and its strokes.

    Only the files of the strokes are read. One that was painted on under several names
    of layers comes several times.

    Parameters
    ----------
    images
        The list.
    store
        Where strokes are.
    stop
        Polled before every image; True ends it.
    """
    members = images.members()
    for folder, header in stroke_folders(store.root):
        if stop():
            return
        was = str(header.image_info.get("path") or "")
        place = members.find(Path(was)) if was else None
        entry = None if place is None else images.entry_of(place)
        if entry is None:
            continue
        try:
            yield entry.path, _count(Annotations.read(folder))
        except DataError as error:
            nothing: Counter[str] = Counter()
            yield (
                entry.path,
                PaintedOn(strokes=nothing, pixels=nothing, problem=str(error)),
            )


def _count(annotations: Annotations) -> PaintedOn:
    counts = annotations.classes()
    names = annotations.painted.names
    names += default_names(max(counts, default=0) + 1)[len(names) :]
    strokes: Counter[str] = Counter()
    for index in annotations.planes():
        for target in _painted_parts(annotations, index):
            numbers = stroke_map(target, IGNORE)
            painted = numbers >= 0
            _, firsts = np.unique(numbers[painted], return_index=True)
            strokes.update(names[value] for value in target[painted][firsts].tolist())
    pixels = Counter({names[value]: count for value, count in counts.items()})
    return PaintedOn(strokes=strokes, pixels=pixels)


def _painted_parts(
    annotations: Annotations, index: tuple[int, ...]
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield parts of a plane such that no stroke is in two of them.

    They are made of the blocks that touch one another: a plane of a slide scanner with
    strokes in two corners does not fit the memory.
    """
    height, width = annotations.shape[-2:]
    blocks = np.zeros((-(-height // EDGE), -(-width // EDGE)), bool)
    for rows, columns in annotations.regions(index):
        blocks[rows.start // EDGE, columns.start // EDGE] = True
    groups, _ = ndimage.label(blocks, np.ones((3, 3)))
    for number, box in enumerate(ndimage.find_objects(groups), start=1):
        part = annotations.target(
            index, [slice(side.start * EDGE, side.stop * EDGE) for side in box]
        )
        others = groups[box] != number
        for row, column in zip(*np.nonzero(others), strict=True):
            part[row * EDGE : (row + 1) * EDGE, column * EDGE : (column + 1) * EDGE] = (
                IGNORE
            )
        yield part
