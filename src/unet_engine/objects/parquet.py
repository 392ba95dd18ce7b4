"""Tables as Parquet, through the optional package pyarrow."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

PARQUET_SUFFIX = ".parquet"

_ADVICE = 'pip install "napari-unet-finetune[parquet]"'


def has_parquet() -> bool:
    """Whether the optional package for Parquet is installed."""
    return find_spec("pyarrow") is not None


def check_parquet(path: object) -> None:
    """Make sure that Parquet can be written and read.

    Parameters
    ----------
    path
        Of the table, for the message.

    Raises
    ------
    DataError
        When pyarrow is not installed.
    """
    if not has_parquet():
        raise DataError(
            f"{path} needs pyarrow to be written or read; {_ADVICE}, or let the name "
            "of the table end in .csv"
        )


def write_parquet(path: Path, table: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a table; what is not defined, or empty, is null.

    Parameters
    ----------
    path
        A file that nothing reads yet.
    table
        ``(n,)`` columns of equal length, of numbers or words.
    """
    import pyarrow as pa
    from pyarrow import parquet

    columns = {name: _arrow(np.asarray(column)) for name, column in table.items()}
    parquet.write_table(pa.table(columns), path)


def read_parquet(path: Path) -> dict[str, list[Any]]:
    """Read a table: the cells of each column, None where there is nothing.

    Raises
    ------
    OSError, ValueError
        When it is no Parquet.
    """
    from pyarrow import parquet

    # From a file that Python opened: a path may be no text.
    with path.open("rb") as file:
        table = parquet.read_table(file)
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _arrow(column: npt.NDArray[Any]) -> Any:
    """Return a column in the one type that its kind of cells has in every table."""
    import pyarrow as pa

    if column.dtype.kind == "f":
        return pa.array(column.astype(np.float64), from_pandas=True)
    if column.dtype.kind in "biu":
        return pa.array(column.astype(np.int64))
    # A table of several files has empty cells where one of them lacks the column.
    cells = [None if cell == "" else cell for cell in column.tolist()]
    if any(isinstance(cell, str) for cell in cells):
        return pa.array([None if c is None else str(c) for c in cells], pa.string())
    return pa.array(cells)
