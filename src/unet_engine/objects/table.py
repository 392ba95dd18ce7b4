"""Tables as CSV or Parquet files."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file
from unet_engine.objects.parquet import (
    PARQUET_SUFFIX,
    check_parquet,
    read_parquet,
    write_parquet,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

TABLE_SUFFIXES = (".csv", PARQUET_SUFFIX)
_ROWS = 4096
"""Rows that are text in memory at a time: well below a megabyte a column."""

_ANOTHER = "name another file with --table, or pass --overwrite to replace it"


def write_table(
    path: str | os.PathLike[str], table: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Write a table, whole or not at all.

    Parameters
    ----------
    path
        ``.csv``: UTF-8, with commas and a header, and 7 digits. ``.parquet``, with
        pyarrow: all digits. What is not defined stays empty.
    table
        ``(n,)`` columns of equal length, of numbers or words.

    Raises
    ------
    DataError
        When the suffix is another, pyarrow is needed and not installed, or the folder
        cannot be written to.
    """
    check_table_suffix(path)
    with whole_file(path) as temporary:
        if temporary.suffix.lower() == PARQUET_SUFFIX:
            write_parquet(temporary, table)
        else:
            _write_csv(temporary, table)


def _write_csv(path: Path, table: Mapping[str, npt.NDArray[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        columns = [np.asarray(column) for column in table.values()]
        # As text a table is ten times as large.
        for start in range(0, max(map(len, columns), default=0), _ROWS):
            part = [_cells(column[start : start + _ROWS]) for column in columns]
            writer.writerows(zip(*part, strict=True))


def join_tables(
    tables: Mapping[str, Mapping[str, npt.NDArray[Any]]],
) -> dict[str, npt.NDArray[Any]]:
    """Put tables below each other, with the column ``file`` before the others.

    Parameters
    ----------
    tables
        By what stands in that column, each with ``(n,)`` columns; those that a table
        lacks stay empty.

    Returns
    -------
    dict of ndarray
        Columns as long as all tables together.
    """
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    lengths = [max(map(len, table.values()), default=0) for table in tables.values()]
    joined = {"file": np.repeat(np.array(list(tables), dtype=object), lengths)}
    for name in names:
        parts = [
            np.asarray(table[name]) if name in table else np.full(length, "", object)
            for table, length in zip(tables.values(), lengths, strict=True)
        ]
        floats = any(part.dtype.kind == "f" for part in parts)
        joined[name] = np.concatenate(
            [
                np.full(len(part), np.nan) if floats and part.dtype == object else part
                for part in parts
            ]
        )
    return joined


def read_joined_table(
    path: str | os.PathLike[str],
) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Read what ``join_tables`` put below each other, and take it apart again.

    Parameters
    ----------
    path
        As ``write_table`` wrote it. Columns that are empty for a file are none of it.

    Returns
    -------
    dict
        Tables by what stands in the column ``file``, each of ``(n,)`` columns.

    Raises
    ------
    DataError
        When it cannot be read, or is another table.
    """
    path = Path(path)
    check_table_suffix(path)
    read = _groups_of_parquet if path.suffix.lower() == PARQUET_SUFFIX else _groups
    try:
        groups = read(path)
    except (OSError, UnicodeError, ValueError, csv.Error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{path} cannot be read as a table ({reason}); {_ANOTHER}"
        ) from (error)
    if groups is None:
        raise DataError(f"{path} is no table of several masks; {_ANOTHER}")
    return groups


def _groups(path: Path) -> dict[str, dict[str, npt.NDArray[Any]]] | None:
    """Return the tables of a CSV; None when it has no column for the file."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    if header[:1] != ["file"] or any(len(row) != len(header) for row in rows):
        return None
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row[1:])
    return {
        name: {
            column: _values(cells)
            for column, cells in zip(header[1:], zip(*group, strict=True), strict=True)
            if any(cells)
        }
        for name, group in groups.items()
    }


def _groups_of_parquet(path: Path) -> dict[str, dict[str, npt.NDArray[Any]]] | None:
    """Return the tables of a Parquet; None when it has no column for the file."""
    table = read_parquet(path)
    files = table.pop("file", None)
    if files is None:
        return None
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(files):
        rows.setdefault(str(name), []).append(row)
    return {
        name: {
            column: _filled([cells[row] for row in group])
            for column, cells in table.items()
            if any(cells[row] is not None for row in group)
        }
        for name, group in rows.items()
    }


def _filled(cells: Sequence[Any]) -> npt.NDArray[Any]:
    """Return cells with NaN for nothing among numbers, and "" among words."""
    words = any(isinstance(cell, str) for cell in cells)
    nothing = "" if words else math.nan
    filled = [nothing if cell is None else cell for cell in cells]
    return np.array(filled, object if words else None)


def check_table_suffix(path: str | os.PathLike[str]) -> None:
    """Make sure that a path is one of a table.

    Raises
    ------
    DataError
        When it is not, or pyarrow is needed for it and not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise DataError(
            f"{path} is no name for a table; let it end in "
            f"{' or '.join(TABLE_SUFFIXES)}"
        )
    if suffix == PARQUET_SUFFIX:
        check_parquet(path)


def _cells(column: npt.NDArray[Any]) -> list[Any]:
    if column.dtype.kind != "f":
        cells: list[Any] = column.tolist()
        return cells
    return ["" if math.isnan(v) else f"{v:.7g}" for v in column.tolist()]


def _values(cells: Sequence[str]) -> npt.NDArray[Any]:
    """Return cells as the whole numbers, other numbers or words that they are."""
    for numbers in (int, float):
        try:
            filled = [cell or "nan" for cell in cells] if numbers is float else cells
            return np.array([numbers(cell) for cell in filled])
        except (ValueError, OverflowError):
            continue
    return np.array(cells, object)
