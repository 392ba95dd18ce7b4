"""The size of the objects in an image, estimated by predicting parts at several scales.

A network finds objects of about the size that it was trained on. Predicted at scales an
octave apart, the objects of an image have that size at one or two of them, and there
their diameters, in pixels of the image, agree. At other scales it finds clumps of them
or the texture within, but hardly a middle: the distance map of a model that gives one
stays low there, and counts for more than the probability of the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.images import Image, match_channels
from unet_engine.labels import most_probable_class
from unet_engine.models.object_maps import gives_object_maps
from unet_engine.models.spec import OBJECT_MAPS
from unet_engine.objects import ObjectConfig, SemanticMask, label_objects
from unet_engine.prediction.part import part_at, place_with_contrast, predict_part
from unet_engine.prediction.scale import SizeEstimate, config_for, is_estimated
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.images import Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.stopping import Stop

_OCTAVES = (-4, -3, -2, -1, 0, 1, 2)
"""Scales that are tried, as powers of 2: objects from a quarter of the model's size to
sixteen times of it."""

_EDGE = 256
"""Edge in pixels of the model's grid of the part that is predicted at each scale: some
dozen objects, and a few tenths of a second in all."""

_OBJECTS = ObjectConfig(min_size=12, map_depth=0.2)
"""How objects are found; those of fewer pixels of the model's grid are specks. The
depth is that of a model that states none."""

_FEWEST_WHOLE = 3
"""Objects within a part from which on those that its border cuts are left out."""

_WIDTH = 0.7
"""Octaves by which a diameter differs from the model's at one standard deviation of the
weight that it gets."""

_FARTHEST = 1.6
"""Octaves beyond which it gets none."""

_ENOUGH = 10
"""Objects from which on more of them count no more."""

_FLAT = 0.5
"""Relative distance that an object reaches which counts: others have no middle."""

_LARGER = 0.25
"""Power of the area by which an object counts in the median diameter: more than specks,
and hardly less than clumps."""

_NOISE = 1.0
"""Pixels over which the distance map is averaged: one alone shows no middle."""

_CLEAR = 0.75
"""The same of clear objects at the scale of the model."""

_STEEPNESS = 4
"""Power of the relative distance in the weight of a scale: texture reaches two thirds
of what objects do, and there may be much more of it."""

_AGREEMENT = 0.45
"""Octaves within which two estimates are the same."""

_SURE_MARGIN = 1.05
"""Weight of an estimate that is sure over that of the next best one."""

_SURE_WEIGHT = 0.1
"""Weight of an estimate that is sure: that of one clear object of the model's size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSample:
    """The objects that were found at one scale.

    Attributes
    ----------
    scale
        Pixels of the model's grid for one of the image.
    count
        Objects.
    diameter
        Their median in pixels of the model's grid, in which larger ones count a little
        more; NaN without any.
    confidence
        Mean probability of their pixels, 0.5 to 1.
    depth
        What their relative distance map reaches, in the mean over their pixels, 0 to
        1; that of clear objects for a model without that map.
    """

    scale: float
    count: int
    diameter: float
    confidence: float
    depth: float = _CLEAR


def settled_size(
    image: Image,
    checkpoint: Checkpoint,
    normalisation: Normalisation,
    config: PredictConfig,
    stop: Stop = never,
) -> tuple[PredictConfig, SizeEstimate | None]:
    """Return a configuration in which the size of objects is no longer ``auto``.

    Where it cannot be estimated the sizes of pixels decide, and where they are not
    known, or the image is constant, the prediction is on the image's own grid.

    Parameters
    ----------
    image, checkpoint, normalisation, config, stop
        As of `estimate_object_size`, for any model and configuration.

    Returns
    -------
    tuple
        The configuration, and what was estimated; None where nothing was.
    """
    if not is_estimated(checkpoint.spec, config):
        return config, None
    if normalisation.constant:
        # There are no objects, and a note states why.
        return replace(config, object_size="off"), None
    found = estimate_object_size(image, checkpoint, normalisation, config, stop)
    return config_for(image, checkpoint.spec, config, found), found


def estimate_object_size(
    image: Image,
    checkpoint: Checkpoint,
    normalisation: Normalisation,
    config: PredictConfig,
    stop: Stop = never,
) -> SizeEstimate:
    """Estimate the diameter of the objects that a model of planes finds in an image.

    A part where there is contrast is predicted at several scales.

    Parameters
    ----------
    image
        Any number of planes.
    checkpoint
        A model that knows the size of its objects.
    normalisation
        Of the image with the channels of the model.
    config
        Where it runs.
    stop
        Polled before every layer.

    Raises
    ------
    Cancelled
        When ``stop`` returned True.
    DataError
        When the image cannot be read.
    """
    spec = checkpoint.spec
    assert spec.object_size_px is not None
    image = normalisation.marked(match_channels(image, spec.in_channels))
    index, middle = place_with_contrast(image, normalisation)
    how = replace(
        config,
        probabilities=False,
        object_maps=gives_object_maps(checkpoint),
        average_flips="off",
        directions="one",
        object_size="off",
    )
    samples = []
    for octave in _OCTAVES:
        scale = 2.0**octave
        part = part_at(image, index, middle, scale, _EDGE)
        if part is not None:
            found = predict_part(part, checkpoint, how, normalisation, stop)
            samples.append(_measured(found, spec, scale))
    return agreed_size(samples, spec.object_size_px)


def agreed_size(samples: Sequence[ScaleSample], object_size: float) -> SizeEstimate:
    """Return the size on which scales agree.

    A scale counts by the number, the probability and the depth of its objects, and by
    how near their diameter comes to the one that the model knows.

    Parameters
    ----------
    samples
        What was found at each scale.
    object_size
        Diameter that the model knows, in its pixels.
    """
    known = [each for each in samples if each.count]
    octaves = np.array([log2(each.diameter / object_size) for each in known])
    sizes = np.array([log2(each.diameter / each.scale) for each in known])
    weights = np.array(
        [
            min(each.count, _ENOUGH)
            / _ENOUGH
            * max(0.0, 2 * each.confidence - 1) ** 2
            * (each.depth / _CLEAR) ** _STEEPNESS
            for each in known
        ]
    )
    weights = weights * np.exp(-((octaves / _WIDTH) ** 2) / 2)
    weights[abs(octaves) > _FARTHEST] = 0
    if not weights.sum():
        return SizeEstimate()
    # The size that most others agree with; a median could lie between two groups.
    alike = abs(sizes[:, None] - sizes) < _AGREEMENT
    best = int((alike @ weights).argmax())
    agreeing = weights * alike[best]
    size = float(agreeing @ sizes / agreeing.sum())
    next_best = (alike @ (weights * ~alike[best])).max()
    sure = agreeing.sum() >= max(_SURE_MARGIN * next_best, _SURE_WEIGHT)
    return SizeEstimate(diameter_px=2.0**size, sure=bool(sure))


def _measured(
    found: npt.NDArray[np.float32], spec: ModelSpec, scale: float
) -> ScaleSample:
    """Measure the objects of a part."""
    classes = len(spec.classes)
    maps = found[classes:] if len(found) > classes else None
    mask = SemanticMask(
        classes=most_probable_class(found[:classes]),
        object_maps=maps,
        map_names=spec.object_maps or OBJECT_MAPS,
    )
    config = _OBJECTS
    if spec.map_depth is not None:
        config = replace(config, map_depth=spec.map_depth)
    labels = np.asarray(label_objects(mask, config).labels)
    areas = np.bincount(labels.ravel())
    depths = np.full(len(areas), _CLEAR)
    if maps is not None and "distance" in spec.object_maps:
        distance = maps[spec.object_maps.index("distance")]
        smooth = ndimage.gaussian_filter(distance, _NOISE)
        depths = ndimage.maximum(smooth, labels, np.arange(len(areas)))
    there = (areas > 0) & (depths >= _FLAT)
    there[0] = False
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    whole = there.copy()
    whole[border] = False
    if np.count_nonzero(whole) < _FEWEST_WHOLE:
        whole = there
    sizes = np.sort(areas[whole])
    if not sizes.size:
        return ScaleSample(scale=scale, count=0, diameter=np.nan, confidence=0.5)
    counted = np.cumsum(sizes**_LARGER)
    middle = sizes[np.searchsorted(counted, counted[-1] / 2)]
    return ScaleSample(
        scale=scale,
        count=len(sizes),
        diameter=float(np.sqrt(4 * middle / np.pi)),
        confidence=float(1 - found[0][whole[labels]].mean()),
        depth=float(np.average(depths[whole], weights=areas[whole])),
    )
