"""The reader of lists of images: one that is dropped on napari opens in the dock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari import current_viewer

from napari_unet.contributions.commands import open_dock
from unet_engine.image_list.list_file import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.types import LayerData


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the reader of lists of images, or None for anything else."""
    return open_list if all(p.suffix == SUFFIX for p in _paths(path)) else None


def open_list(path: str | Sequence[str]) -> list[LayerData]:
    """Open a list of images in the dock; of several the last one.

    Returns
    -------
    layers
        ``[(None,)]``, by which napari takes the file as read without any layer.
    """
    viewer = current_viewer()
    if viewer is not None:
        images = open_dock(viewer).images
        images.open_list(_paths(path)[-1])
        images.section.expand()
    return [(None,)]


def _paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(p) for p in ([path] if isinstance(path, str) else path)]
