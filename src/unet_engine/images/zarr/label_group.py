"""Label images inside the OME-Zarr of their image: ``IMAGE.ome.zarr/labels/NAME``.

The group ``labels`` names them, and each states where its image is ("labels metadata"
of OME-Zarr 0.4 and 0.5), so that other programs show them on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from unet_engine.images.zarr.ome_zarr import ZARR_SUFFIX, holds_zarr
from unet_engine.images.zarr.storage import Place, is_there, store_at

if TYPE_CHECKING:
    from unet_engine.images.zarr.writing import OmeZarrVersion

GROUP = "labels"
"""Name of the group, which the format prescribes."""


def is_zarr_place(path: Place) -> bool:
    """Whether what is written there is a zarr: by its suffix, or inside an image."""
    return path.suffix.lower() == ZARR_SUFFIX or image_around(path) is not None


def image_around(path: Place) -> Place | None:
    """Return the OME-Zarr whose label image a path is; None of any other path."""
    image = path.parent.parent
    return image if path.parent.name == GROUP and holds_zarr(image) else None


def fitting_version(path: Place, wanted: OmeZarrVersion) -> OmeZarrVersion:
    """Return the version of OME-Zarr of what is written to a place.

    A label image inside an image has that of the image, all else the one wanted.
    """
    image = image_around(path)
    if image is None:
        return wanted
    return "0.5" if is_there(image / "zarr.json") else "0.4"


def source_of(path: Place) -> dict[str, Any]:
    """Return what the metadata of a label image state about where its image is."""
    return {} if image_around(path) is None else {"source": {"image": "../../"}}


def list_label(path: Place) -> None:
    """Name a label image in the group of its image; does nothing for any other path.

    Parameters
    ----------
    path
        A finished label image.
    """
    if image_around(path) is None:
        return
    import zarr

    zarr_format: Literal[2, 3] = 2 if fitting_version(path, "0.4") == "0.4" else 3
    group = zarr.open_group(store_at(path.parent), mode="a", zarr_format=zarr_format)
    ome: dict[str, Any] = {}
    if zarr_format == 3:
        ome = dict(group.attrs.get("ome", {}))
    known = (ome if zarr_format == 3 else group.attrs).get("labels", [])
    names = [str(name) for name in known] if isinstance(known, list) else []
    if path.name in names:
        return
    names.append(path.name)
    if zarr_format == 3:
        group.attrs.update({"ome": {"version": "0.5", **ome, "labels": names}})
    else:
        group.attrs.update({"labels": names})
