"""The dialogs that save objects and tracks: a file and its format."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from unet_engine.objects.parquet import has_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


_TRACK_FORMATS = (
    "Folder of the Cell Tracking Challenge (*_RES)",
    "GEFF (*.geff)",
    "Label image (*.tif)",
    "OME-Zarr (*.ome.zarr)",
    "Table (*.csv)",
)
"""What is offered for tracks."""


def _suffix_of(form: str) -> str:
    return form.rpartition("*")[2].rstrip(")")


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
    formats = [f for f in _FORMATS if has_parquet() or "parquet" not in f]
    _choose(parent, "Save the objects", formats, name, folder, on_chosen)


def choose_track_file(
    parent: QWidget, name: str, folder: str, on_chosen: Callable[[str], None]
) -> None:
    """Ask where tracks go and in which format; parameters as above."""
    formats = [f for f in _TRACK_FORMATS if find_spec("geff") or "geff" not in f]
    _choose(parent, "Save the tracks", formats, name, folder, on_chosen)


def _choose(
    parent: QWidget,
    title: str,
    formats: Sequence[str],
    name: str,
    folder: str,
    on_chosen: Callable[[str], None],
) -> None:
    dialog = QFileDialog(parent, title)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    if folder:
        dialog.setDirectory(folder)
    dialog.setNameFilters(formats)
    suffixes = [_suffix_of(form) for form in formats]
    known = re.compile(f"(?:{'|'.join(map(re.escape, suffixes))})$")

    def follow(chosen: str) -> None:
        suffix = _suffix_of(chosen)
        stem = known.sub("", Path(dialog.selectedFiles()[0]).name)
        # A folder has no suffix that could be missing.
        dialog.setDefaultSuffix(suffix[1:] if suffix[0] == "." else "")
        dialog.selectFile(stem + suffix)

    dialog.selectFile(name + suffixes[0])
    follow(formats[0])
    dialog.filterSelected.connect(follow)
    dialog.fileSelected.connect(on_chosen)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
