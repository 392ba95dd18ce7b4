"""Which pixels that nobody touched the classifier learns from."""

from __future__ import annotations

import numpy as np

from unet_engine.interactive.pixel_classifier import PixelClassifier


def test_pixels_are_left_out_where_forest_and_regression_disagree():
    rng = np.random.default_rng(0)
    sides = np.repeat([-1.0, 1.0], 200)
    # The forest sees the first feature only, the regression both.
    fine = sides + rng.normal(0, 0.6, sides.size)
    coarse = sides + rng.normal(0, 0.2, sides.size)
    features = np.stack([fine, coarse], axis=1).astype(np.float32)
    classifier = PixelClassifier(fine=1)
    classifier.fit(features, (sides > 0).astype(np.uint8))
    agreeing = np.array([[-1.5, -1.0], [1.5, 1.0]], np.float32)
    conflicting = np.array([[-1.0, 2.0], [1.0, -2.0]], np.float32)
    labels, confidence = classifier._pseudo_labels(agreeing, None)
    assert labels.tolist() == [0, 1]
    assert confidence.min() > 0.1
    _, confidence = classifier._pseudo_labels(conflicting, None)
    assert confidence.tolist() == [0.0, 0.0]
