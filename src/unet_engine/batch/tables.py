"""The table of all objects of a batch, and its summary by image and class."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.files.atomic import whole_file
from unet_engine.objects import join_tables, write_table
from unet_engine.objects.blocks import release_pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from unet_engine.batch.plan import BatchItem

    Table = dict[str, npt.NDArray[Any]]

_SIZES = ("area (", "volume (")
"""How columns begin that hold how large objects are."""


def with_image(table: Table, item: BatchItem) -> Table:
    """Return the table of an image with columns for its file and its condition."""
    joined = join_tables({item.name: table})
    condition = np.full(len(joined["file"]), item.condition, object)
    return {"file": joined.pop("file"), "condition": condition, **joined}


def summarise(
    item: BatchItem,
    labels: npt.NDArray[np.uint8],
    classes: Sequence[str],
    table: Table | None,
) -> tuple[dict[str, Any], ...]:
    """Return a row for each class of an image but the background.

    Parameters
    ----------
    item
        The image.
    labels
        ``(*leading, Y, X)`` class ids.
    classes
        Names of all classes, the background first.
    table
        A row for each object, with the names of classes; None when not measured.
    """
    counts = np.zeros(256, np.int64)
    for index in np.ndindex(*labels.shape[:-2]):
        counts += np.bincount(labels[index].ravel(), minlength=256)
        release_pages(labels)
    rows = []
    for number, name in enumerate(classes):
        if number == 0:
            continue
        covered = 100 * int(counts[number]) / labels.size
        row: dict[str, Any] = {
            "file": item.name,
            "condition": item.condition,
            "class": name,
            "pixels": int(counts[number]),
            "covered (%)": f"{covered:.7g}",
        }
        if table is not None:
            row |= _objects_of(table, name)
        rows.append(row)
    return tuple(rows)


def _objects_of(table: Table, name: str) -> dict[str, Any]:
    """Return how many objects of a class there are, and how large they are."""
    own = np.asarray(table.get("class", np.array([], object))) == name
    row: dict[str, Any] = {"objects": int(own.sum())}
    for column, values in table.items():
        if not column.startswith(_SIZES):
            continue
        sizes = np.asarray(values, float)[own]
        figures = {"total": sizes.sum(), "mean": np.nan, "median": np.nan}
        if sizes.size:
            figures |= {"mean": sizes.mean(), "median": np.median(sizes)}
        for figure, value in figures.items():
            text = "" if np.isnan(value) else f"{value:.7g}"
            row[f"{figure} {column}"] = text
    return row


def write_image_table(path: Path, table: Table, item: BatchItem) -> None:
    """Write the rows of one image, for the table of all."""
    write_table(path, with_image(table, item))


def join_files(path: Path, parts: Sequence[Path]) -> int:
    """Put CSV files below each other; return how many rows there are.

    They are read row by row: a batch may have more objects than fit into memory.

    Parameters
    ----------
    path
        Written whole or not at all.
    parts
        With a header each; columns that one lacks stay empty.
    """
    names: dict[str, None] = {}
    for part in parts:
        names |= dict.fromkeys(_header(part))
    rows = 0
    with whole_file(path) as temporary, _opened(temporary, "w") as file:
        writer = csv.DictWriter(file, list(names), restval="", lineterminator="\n")
        writer.writeheader()
        for part in parts:
            for row in _rows(part):
                writer.writerow(row)
                rows += 1
    return rows


def write_summary(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the rows of ``summarise`` of all images, whole or not at all."""
    rows = list(rows)
    names: dict[str, None] = {}
    for row in rows:
        names |= dict.fromkeys(row)
    with whole_file(path) as temporary, _opened(temporary, "w") as file:
        writer = csv.DictWriter(file, list(names), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _header(path: Path) -> list[str]:
    with _opened(path, "r") as file:
        return next(csv.reader(file), [])


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with _opened(path, "r") as file:
        yield from csv.DictReader(file)


def _opened(path: Path, mode: str) -> Any:
    return path.open(mode, encoding="utf-8", newline="")
