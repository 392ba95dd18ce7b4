"""Corrected objects become what the object maps of a network should be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.objects.editing import claimed_ids
from unet_engine.training.data.objects.object_targets import object_targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.training.data.pairs import TrainingPair


def with_corrected_objects(
    pair: TrainingPair, claims: npt.NDArray[np.uint8], names: Sequence[str]
) -> TrainingPair:
    """Return a pair with the object maps of what was corrected.

    Parameters
    ----------
    pair
        With strokes.
    claims
        As of ``objects.editing``, in the shape of its target. Of other pixels nothing
        is known.
    names
        Which maps the network gives; none leaves the pair as it is.
    """
    known = claims != IGNORE
    if not names or not known.any():
        return pair
    maps = object_targets(claimed_ids(claims), names).astype(np.float16)
    maps[:, ~known] = np.nan
    return replace(pair, object_maps=maps, corrects_objects=True)


def without_held_out_objects(pair: TrainingPair) -> TrainingPair:
    """Return a pair that knows nothing of the corrected objects with held-out pixels.

    More is known of such an object than the class of some of its pixels.

    Parameters
    ----------
    pair
        Held-out pixels are ``HELD_OUT`` in its target.
    """
    if pair.object_maps is None or not pair.corrects_objects:
        return pair
    known = ~np.isnan(pair.object_maps[0])
    around = ndimage.generate_binary_structure(known.ndim, known.ndim)
    clusters, _ = ndimage.label(known, around)
    held = np.unique(clusters[pair.target == HELD_OUT])
    maps = pair.object_maps.copy()
    maps[:, known & np.isin(clusters, held)] = np.nan
    return replace(pair, object_maps=maps)
