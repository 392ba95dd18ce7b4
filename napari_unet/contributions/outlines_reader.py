"""The reader of outlines: what ImageJ, QuPath or COCO drew becomes a Labels layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari import current_viewer
from napari.layers import Image as ImageLayer
from napari.utils.notifications import show_info, show_warning

from napari_unet.viewer.conversion import image_of, layer_view, layouts_of, placement
from unet_engine.errors import DataError
from unet_engine.outlines import holds_outlines, images_in, read_outlines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari.types import LayerData

    from napari_unet.viewer.conversion import Layout
    from unet_engine.outlines import OutlineFile

_MOST_IMAGES = 20
"""Images of one file of COCO that become layers at once; a data set has thousands."""


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the reader of outlines, or None for anything else."""
    return read_layers if all(map(holds_outlines, _paths(path))) else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Open outlines as Labels layers on the image that they fit.

    That is the selected image, or else the uppermost one that holds all of them; where
    there is none, the labels are as large as the outlines reach.

    Raises
    ------
    DataError
        When a file is damaged, of another kind, or holds regions without an inside
        only.
    """
    return [_layer(file, image) for file in _paths(path) for image in _images_of(file)]


def _images_of(file: Path) -> list[str | None]:
    """Return the images of a file whose outlines become layers; None for the one."""
    names = images_in(file)
    if len(names) < 2:
        return [None]
    shown = {layer.name for layer in _open_images()}
    if known := [name for name in names if {name, Path(name).stem} & shown]:
        names = known
    if len(names) > _MOST_IMAGES:
        show_warning(
            f"{file.name} is of {len(names)} images; the first {_MOST_IMAGES} are "
            "shown. Open the image that you want first, and then this file again."
        )
    return [*names[:_MOST_IMAGES]]


def _layer(file: Path, image: str | None) -> LayerData:
    found = read_outlines(file, image=image)
    options: dict[str, Any] = {"name": Path(image).stem if image else file.stem}
    for source, layout in _fitting():
        axes = layout.leading + "YX"
        found = read_outlines(file, image=image, axes=axes)
        planes = image_of(source, layout)
        try:
            labels, _, overlapping = found.labels(
                (*planes.leading_shape, *planes.plane_shape), axes
            )
        except DataError:
            continue
        labels = layer_view(labels, layout)
        options |= placement(source, layout)
        break
    else:
        labels, _, overlapping = found.labels()
    notes = [*found.notes]
    if overlapping:
        notes.append(f"{overlapping} pixels lie in two objects; the smaller has them")
    if notes:
        show_info(f"{file.name}: {'; '.join(notes)}.")
    return labels, options | {"features": _features(found)}, "labels"


def _open_images() -> list[ImageLayer]:
    """Return the images of the window, the selected one first, then from above."""
    viewer = current_viewer()
    if viewer is None:
        return []
    images = [one for one in reversed(viewer.layers) if isinstance(one, ImageLayer)]
    active = viewer.layers.selection.active
    return sorted(images, key=lambda layer: layer is not active)


def _fitting() -> Iterator[tuple[ImageLayer, Layout]]:
    for layer in _open_images():
        for layout in layouts_of(layer):
            yield layer, layout


def _features(found: OutlineFile) -> pd.DataFrame:
    """Return what a file states of its objects, by their ids."""
    rows: dict[int, dict[str, Any]] = {}
    for one in found.outlines:
        row: dict[str, Any] = {"index": one.label, **one.measurements}
        if one.class_name:
            row["class"] = one.class_name
        rows.setdefault(one.label, row)
    if not rows:
        return pd.DataFrame()
    # By this column napari finds the row of a label.
    return pd.DataFrame(list(rows.values())).astype({"index": np.int64})


def _paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(p) for p in ([path] if isinstance(path, str) else path)]
