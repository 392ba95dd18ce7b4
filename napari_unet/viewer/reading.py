"""Image files, read by napari's readers in a thread and added on the main thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer

from napari_unet.viewer.private import add_read_layers, read_with_plugin
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadFile:
    """What a reader of napari made of a file.

    Attributes
    ----------
    path
        The file.
    data
        Layers as readers return them.
    reader
        Name of the plugin.
    """

    path: Path
    data: list[Any]
    reader: str | None


def read_file(path: Path) -> ReadFile:
    """Read a file by the reader that napari prefers for it; for any thread.

    Raises
    ------
    DataError
        When no reader can.
    """
    try:
        data, reader = read_with_plugin(str(path))
    except Exception as error:
        # Readers are of anybody, and raise anything.
        raise DataError(f"{path} cannot be opened: {error}") from error
    if not data:
        raise DataError(
            f"{path} cannot be opened by any reader of napari; install a plugin for "
            "its format, or export it as OME-TIFF"
        )
    return ReadFile(path=path, data=data, reader=reader)


def add_file(viewer: ViewerModel, read: ReadFile) -> list[ImageLayer]:
    """Add what was read to a viewer; return its image layers."""
    added = add_read_layers(viewer, str(read.path), read.data, read.reader)
    return [layer for layer in added if isinstance(layer, ImageLayer)]
