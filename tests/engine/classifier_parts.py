"""Pixel classifiers that were fitted to a small generated image, as parts of models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.annotations.annotations import Annotations
from unet_engine.images import Image, Normalisation
from unet_engine.interactive.labelled_blocks import LabelledBlocks
from unet_engine.interactive.learner import InstantLearner
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import FeatureExtractor

if TYPE_CHECKING:
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.classifier_part import ClassifierPart

TINY = ModelSpec(depth=2, width=4)


def trained(spec: ModelSpec = TINY, seed: int = 0) -> Checkpoint:
    """Return random weights that count as trained."""
    fresh = start_checkpoint(spec, seed)
    return replace(fresh, history=({"name": "tiny"},))


SHAPE = (264, 272)
"""A little more than one block of features."""


def striped(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    """Return planes whose right half is striped, with noise, as uint8."""
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 5, shape)
    half = shape[-1] // 2
    image[..., ::4, half:] += 60
    image[..., 1::4, half:] += 60
    return image.clip(0, 255).astype(np.uint8)


def painted_halves(shape: tuple[int, ...], right: int = 1) -> Annotations:
    """Return a stroke of class 0 on the left and one of another class on the right."""
    annotations = Annotations(shape)
    width = shape[-1]
    for label, part in ((0, slice(10, 60)), (right, slice(width - 60, width - 10))):
        chosen = np.zeros(shape, dtype=bool)
        chosen[(*(0,) * (len(shape) - 2), slice(20, 30), part)] = True
        annotations.set(np.nonzero(chosen), label)
    return annotations


def live_learner(
    pixels: np.ndarray,
    extractor: FeatureExtractor | None = None,
    *,
    axes: str | None = None,
    classes: int = 2,
) -> tuple[InstantLearner, FeatureCache]:
    """Return what Live has after two strokes on an image."""
    image = Image.from_array(pixels, axes or "TZYX"[-pixels.ndim :], name="stripes")
    source = LabelledBlocks(
        FeatureCache(
            image, Normalisation.measure(image), extractor or FeatureExtractor()
        )
    )
    learner = InstantLearner(classes)
    shape = (*image.leading_shape, *image.plane_shape)
    learner.learn([(source, painted_halves(shape, classes - 1))])
    return learner, source.cache


def fitted_part(seed: int = 0) -> ClassifierPart:
    """Return a classifier of two classes that uses filters alone."""
    learner, _ = live_learner(striped((64, 192), seed))
    return learner.part
