"""The table of a batch, read by columns and by rows."""

from __future__ import annotations

import csv
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt


def read_header(path: Path) -> list[str]:
    """Return the names of the columns of a table.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    return next(_lines(path), [])


def read_columns(
    path: Path, words: Sequence[str], number: str
) -> tuple[dict[str, list[str]], npt.NDArray[np.float64]]:
    """Return some columns of a table as words, and one as numbers.

    Parameters
    ----------
    path
        Of the table.
    words, number
        Names of columns; of words that the table lacks all cells are empty.

    Returns
    -------
    words, values
        ``(rows,)`` each; NaN where a cell is no number.

    Raises
    ------
    DataError
        When it cannot be read, or has no such number.
    """
    lines = _lines(path)
    header = next(lines, [])
    if number not in header:
        raise DataError(f"{path} has no column {number}; choose another one")
    places = {name: header.index(name) for name in words if name in header}
    at = header.index(number)
    found: dict[str, list[str]] = {name: [] for name in words}
    values = []
    for line in lines:
        for name, column in found.items():
            column.append(line[places[name]] if name in places else "")
        values.append(_number(line[at]))
    return found, np.array(values, float)


def read_row(path: Path, row: int) -> dict[str, str]:
    """Return the cells of a row by the names of the columns.

    Raises
    ------
    DataError
        When the table cannot be read, or is shorter.
    """
    lines = _lines(path)
    header = next(lines, [])
    line = next(islice(lines, row, None), None)
    if line is None:
        raise DataError(f"{path} was changed meanwhile; start the batch again")
    return dict(zip(header, line, strict=True))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _lines(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.reader(file)
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table ({error})") from error
