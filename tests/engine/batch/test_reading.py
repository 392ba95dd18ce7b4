"""Tests of the table of a batch, read by columns and by rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from unet_engine.batch.reading import read_columns, read_header, read_row
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def test_columns_and_rows_of_a_table(tmp_path: Path):
    path = tmp_path / "objects.csv"
    path.write_text('file,label,area (px)\n"a,b.tif",1,4\nc.tif,2,\n', encoding="utf-8")
    assert read_header(path) == ["file", "label", "area (px)"]
    words, values = read_columns(path, ("file", "class"), "area (px)")
    assert words == {"file": ["a,b.tif", "c.tif"], "class": ["", ""]}
    np.testing.assert_array_equal(values, [4, np.nan])
    assert read_row(path, 1) == {"file": "c.tif", "label": "2", "area (px)": ""}
    with pytest.raises(DataError, match="changed meanwhile; start the batch again"):
        read_row(path, 2)
    with pytest.raises(DataError, match="no column volume"):
        read_columns(path, (), "volume")
    with pytest.raises(DataError, match="cannot be read"):
        read_header(tmp_path / "gone.csv")
