"""Outlines as annotations of COCO, read and written.

Objects without holes are polygons; COCO's have no holes, so others are lengths of runs,
not compressed, which every reader of COCO knows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.outlines.identities import numbered
from unet_engine.outlines.outline import Outline, mask_of, polygons_of, runs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TextIO

    import numpy.typing as npt

_NO_CLASS = "object"
"""Category of objects whose class is not known."""

_MOST_PIXELS = 2**33
"""Of an image whose runs are read; more is a mistake in the file."""


def write_coco(
    file: TextIO, outlines: Iterable[Outline], name: str, shape: tuple[int, int]
) -> None:
    """Write a data set of one image, or of an image for each plane that has objects.

    Parameters
    ----------
    file
        Open for writing as UTF-8.
    outlines
        Written one by one, planes in their order.
    name
        Of the image file.
    shape
        Height and width.
    """
    categories: dict[str, int] = {}
    planes: dict[tuple[int, int], int] = {(0, 0): 1}
    file.write('{"annotations":[')
    for number, outline in enumerate(outlines, start=1):
        image = planes.setdefault((outline.t, outline.z), len(planes) + 1)
        known = outline.class_name or _NO_CLASS
        category = categories.setdefault(known, len(categories) + 1)
        about = {"id": number, "image_id": image, "category_id": category}
        annotation = about | _annotation(outline, shape)
        file.write((",\n" if number > 1 else "\n") + _text(annotation))
    height, width = shape
    images = [
        {"id": one, "file_name": name, "height": height, "width": width}
        | ({"t": t, "z": z} if len(planes) > 1 else {})
        for (t, z), one in planes.items()
    ]
    classes = categories or {_NO_CLASS: 1}
    listed = [{"id": n, "name": c, "supercategory": ""} for c, n in classes.items()]
    file.write(f'\n],\n"images":{_text(images)},\n"categories":{_text(listed)}}}\n')


def outlines_of_coco(
    content: Mapping[str, Any], image: str | None = None
) -> tuple[list[Outline], tuple[int, int], list[str]]:
    """Return the objects of an image of a parsed file of COCO.

    Parameters
    ----------
    content
        Images, annotations, categories.
    image
        Name of the image file, where the file has several images that are no planes of
        one.

    Returns
    -------
    outlines, shape, notes
        The objects, height and width of the image, and what was left out.

    Raises
    ------
    DataError
        When several images are there and none is named, or it is not there.
    KeyError, TypeError, ValueError
        When it is no file of COCO.
    """
    planes = _chosen(content["images"], image)
    categories = {c["id"]: str(c["name"]) for c in content.get("categories", ())}
    shapes = {(int(p["height"]), int(p["width"])) for p in planes.values()}
    if len(shapes) != 1:
        raise ValueError("planes of several sizes")
    outlines = []
    crowds = 0
    for annotation in content["annotations"]:
        plane = planes.get(annotation["image_id"])
        if plane is None:
            continue
        polygons = _polygons(annotation.get("segmentation"), next(iter(shapes)))
        if annotation.get("iscrowd") or not polygons:
            crowds += 1
            continue
        t, z = int(plane.get("t", 0)), int(plane.get("z", 0))
        label = int(annotation.get("object_id", annotation["id"]))
        name = categories.get(annotation.get("category_id"), "")
        outlines.append(
            Outline(
                label=max(label, 0),
                polygons=polygons,
                t=t,
                z=z,
                class_name="" if name == _NO_CLASS else name,
            )
        )
    notes = [f"{crowds} crowds or boxes without outlines were left out"]
    return numbered(outlines), shapes.pop(), notes if crowds else []


def image_names(content: Mapping[str, Any]) -> list[str]:
    """Return the names of the images of a file, each once."""
    return list(dict.fromkeys(str(one["file_name"]) for one in content["images"]))


def _annotation(outline: Outline, shape: tuple[int, int]) -> dict[str, Any]:
    mask, x, y = mask_of(outline)
    segmentation: Any = [polygon[0].ravel().tolist() for polygon in outline.polygons]
    if outline.has_holes:
        segmentation = {"counts": runs_of(mask, x, y, *shape), "size": list(shape)}
    return {
        "object_id": outline.label,
        "segmentation": segmentation,
        "area": int(mask.sum()),
        "bbox": [x, y, mask.shape[1], mask.shape[0]],
        "iscrowd": 0,
    }


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _chosen(images: Any, name: str | None) -> dict[Any, Any]:
    """Return the planes of the chosen image by their ids."""
    names = list(dict.fromkeys(str(one["file_name"]) for one in images))
    if name is None and len(names) == 1:
        name = names[0]
    chosen = {one["id"]: one for one in images if str(one["file_name"]) == name}
    if not chosen:
        listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise DataError(
            f"it is of {len(names)} images ({listed}), and "
            f"{'none was chosen' if name is None else f'{name} is not among them'}; "
            "name one of them"
        )
    return chosen


def _polygons(segmentation: Any, shape: tuple[int, int]) -> tuple[Any, ...]:
    if isinstance(segmentation, dict):
        size = tuple(map(int, segmentation["size"]))
        counts = segmentation["counts"]
        runs = list(_decoded(counts)) if isinstance(counts, str) else counts
        return polygons_of(_mask_of_runs(np.array(runs, np.int64), size))
    rings = [np.array(ring, np.float64).reshape(-1, 2) for ring in segmentation or ()]
    if not all(np.isfinite(ring).all() for ring in rings):
        raise ValueError("a corner that is no number")
    return tuple((ring,) for ring in rings if len(ring) > 2)


def _mask_of_runs(runs: npt.NDArray[Any], size: Any) -> npt.NDArray[np.bool_]:
    height, width = size
    negative = runs.size > 0 and runs.min() < 0
    if negative or not runs.sum() == height * width <= _MOST_PIXELS:
        raise ValueError(f"runs of {int(runs.sum())} pixels for {height} x {width}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _decoded(text: str) -> Iterator[int]:
    """Yield the runs of COCO's compressed form, five bits in each character.

    From the third on they are differences to the last but one.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        yield runs[-1]
        value = shift = 0
