"""The dialog that saves objects: a file and its format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from unet_engine.objects.parquet import has_parquet

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

_FORMATS = (
    "Table (*.csv)",
    "Table as Parquet (*.parquet)",
    "Label image (*.tif)",
    "OME-Zarr (*.ome.zarr)",
    "ImageJ regions (*.zip)",
    "QuPath objects (*.geojson)",
    "COCO annotations (*.json)",
)
"""What is offered, the table first."""


def _suffix_of(form: str) -> str:
    return form.rpartition("*")[2].rstrip(")")


_SUFFIX = re.compile(f"(?:{'|'.join(map(re.escape, map(_suffix_of, _FORMATS)))})$")
"""At the end of a name."""


def choose_object_file(
    parent: QWidget, name: str, folder: str, on_chosen: Callable[[str], None]
) -> None:
    """Ask where objects go and in which format.

    Parameters
    ----------
    parent
        Of the dialog.
    name
        Offered for the file, without a suffix.
    folder
        In which the dialog opens; empty: that of the process.
    on_chosen
        Called with the path, which has the suffix of the format unless the user typed
        another one.
    """
    dialog = QFileDialog(parent, "Save the objects")
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    if folder:
        dialog.setDirectory(folder)
    formats = [f for f in _FORMATS if has_parquet() or "parquet" not in f]
    dialog.setNameFilters(formats)

    def follow(chosen: str) -> None:
        suffix = _suffix_of(chosen)
        stem = _SUFFIX.sub("", Path(dialog.selectedFiles()[0]).name)
        dialog.setDefaultSuffix(suffix[1:])
        dialog.selectFile(stem + suffix)

    dialog.setDefaultSuffix("csv")
    dialog.selectFile(f"{name}.csv")
    dialog.filterSelected.connect(follow)
    dialog.fileSelected.connect(on_chosen)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
