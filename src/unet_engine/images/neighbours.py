"""The neighbouring slices of a slice in a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from unet_engine.images.image import Image
    from unet_engine.places import Index


def count_slices(image: Image) -> int:
    """Return the length of an image along Z; 1 of one that has no such axis."""
    axes = image.leading_axes
    return image.leading_shape[axes.index("Z")] if "Z" in axes else 1


def check_slices(image: Image, slices: int) -> None:
    """Check that a stack has as many slices as are read together.

    Raises
    ------
    DataError
        When it has fewer.
    """
    found = count_slices(image)
    if found < slices:
        name = image.name or "the image"
        has = "is one slice" if found == 1 else f"has {found} slices"
        raise DataError(
            f"the model restores a slice from {slices} neighbouring ones and {name} "
            f"{has} along Z; give the whole stack, or a model of single slices"
        )


def neighbour_indices(image: Image, index: Index, slices: int) -> tuple[Index, ...]:
    """Return the positions of a slice and its neighbours, the slice in the middle.

    At an end of the stack slices from the other side are taken once more. The slice
    itself is never among its neighbours: it has the same noise.

    Parameters
    ----------
    image
        With ``slices`` or more along Z, as ``check_slices`` makes sure.
    index
        Position along the leading axes.
    slices
        How many, an odd number.
    """
    if slices == 1:
        return (index,)
    axis = image.leading_axes.index("Z")
    length, middle = image.leading_shape[axis], index[axis]
    reach = slices // 2
    places = []
    for step in range(-reach, reach + 1):
        place = middle + step
        if not 0 <= place < length:
            place = middle - step
        places.append((*index[:axis], place, *index[axis + 1 :]))
    return tuple(places)
