"""The table of a batch, read in a thread. No Qt or widget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.batch.reading import read_columns, read_header, read_row
from unet_engine.images import read_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from unet_engine.stopping import Stop

_KEYS = ("file", "condition", "label", "class")
"""Columns that state which object a row is of."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredObjects:
    """The objects of a batch with one measurement.

    Attributes
    ----------
    path
        Of the table.
    keys
        Columns of words that state which object a row is of.
    measurements
        Names of all measurements.
    measurement, values
        The one that was read, ``(rows,)`` float64; NaN where it is not defined.
    """

    path: Path
    keys: Mapping[str, Sequence[str]]
    measurements: tuple[str, ...]
    measurement: str
    values: npt.NDArray[np.float64]

    def groups(self, name: str) -> Sequence[str]:
        """Return the words of a column, ``"condition"``, ``"file"`` or ``"class"``."""
        return self.keys[name]

    def describe(self, row: int) -> str:
        """Return which object a row is of, and its measurement."""
        file, label = self.keys["file"][row], self.keys["label"][row]
        return f"{file}, object {label}: {self.measurement} {self.values[row]:.5g}"


def table_run(
    path: Path,
    choose: Callable[[Sequence[str]], str],
    stop: Stop,
) -> Generator[None, None, MeasuredObjects | None]:
    """Read one measurement of all objects; None when there is no object.

    Parameters
    ----------
    path
        Of the table.
    choose
        Returns which measurement, of their names.
    stop
        Not polled: a table is read in seconds.
    """
    yield
    header = read_header(path)
    names = tuple(n for n in header if n not in _KEYS)
    if not names:
        return None
    measurement = choose(names)
    words, values = read_columns(path, _KEYS, measurement)
    if not len(values):
        return None
    return MeasuredObjects(
        path=path,
        keys=words,
        measurements=names,
        measurement=measurement,
        values=values,
    )


def object_run(
    table: Path, row: int, objects: Path, stop: Stop
) -> Generator[None, None, tuple[Mapping[str, str], Any]]:
    """Read where an object is, and the object ids of its image; None without any.

    Parameters
    ----------
    table, row
        Where the object is listed.
    objects
        The image of object ids.
    stop
        Not polled.
    """
    yield
    values = read_row(table, row)
    return values, read_labels(objects) if objects.exists() else None
