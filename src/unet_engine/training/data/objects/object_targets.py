"""What a network learns of single objects: maps made from their ids."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from unet_engine.labels import IGNORE
from unet_engine.models.spec import OBJECT_MAPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.training.data.pairs import TrainingPair

    Ids = npt.NDArray[np.integer[Any]]
    Floats = npt.NDArray[np.float32]


def object_targets(ids: Ids, names: Sequence[str] = OBJECT_MAPS) -> Floats:
    """Return the object maps that a network should give, see ``ModelSpec``.

    What lies beyond the image counts as inside of the objects at its border.

    Parameters
    ----------
    ids
        ``(Y, X)`` or ``(Z, Y, X)`` object ids; 0 and below are background.
    names
        Which maps, of ``OBJECT_MAPS``.

    Returns
    -------
    ndarray
        ``(maps, *spatial)`` float32 in [0, 1].
    """
    made = {"distance": _distances, "boundary": _boundaries}
    return np.stack([made[name](ids) for name in names])


def with_object_maps(
    pair: TrainingPair, ids: Ids, names: Sequence[str]
) -> TrainingPair:
    """Return a pair with the maps that a network should give of its objects.

    Parameters
    ----------
    pair
        What was labelled; where it was not, nothing is known of the maps either.
    ids
        Object ids in the shape of its target.
    names
        Which maps the network gives; none leaves the pair as it is.
    """
    if not names:
        return pair
    maps = object_targets(ids, names).astype(np.float16)
    maps[:, pair.target == IGNORE] = np.nan
    return replace(pair, object_maps=maps)


def _distances(ids: Ids) -> Floats:
    """Return distances to the outside of each object, divided by its largest one."""
    found = np.zeros(ids.shape, np.float32)
    # Dense ids: one id of a few billions must not make a list of as many boxes.
    values, dense = np.unique(np.maximum(ids, 0), return_inverse=True)
    dense = dense.reshape(ids.shape) + int(values[0] != 0)
    for number, box in enumerate(ndimage.find_objects(dense), start=1):
        # One pixel more, in which the outside begins.
        region = tuple(
            slice(max(0, part.start - 1), part.stop + 1) for part in box or ()
        )
        inside = dense[region] == number
        if inside.all():
            found[region] = 1
            continue
        distance = ndimage.distance_transform_edt(inside)
        found[region][inside] = (distance / distance.max())[inside]
    return found


def _boundaries(ids: Ids) -> Floats:
    """Return 1 on pixels of objects that have another id along a side."""
    ids = np.maximum(ids, 0)
    cross = ndimage.generate_binary_structure(ids.ndim, 1)
    lowest = ndimage.minimum_filter(ids, footprint=cross, mode="nearest")
    highest = ndimage.maximum_filter(ids, footprint=cross, mode="nearest")
    found: Floats = ((lowest != highest) & (ids > 0)).astype(np.float32)
    return found
