"""Label images and strokes become training pairs, the same way for dock and command."""

from __future__ import annotations

import numpy as np
import pytest

from unet_engine.annotations.annotations import Annotations
from unet_engine.errors import DataError
from unet_engine.images import Image, Tally, decide_labels
from unet_engine.labels import IGNORE
from unet_engine.models.spec import ModelSpec
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.labelled_images import (
    LabelledImage,
    PaintedImage,
    training_pairs,
)

PLANES = ModelSpec(depth=1, width=2)
VOLUMES = ModelSpec(depth=1, width=2, ndim=3)
CONFIG = FineTuneConfig(crop=32)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


def labelled(
    labels: np.ndarray, axes: str = "YX", *, values: str = "auto", name: str = "cells"
) -> LabelledImage:
    rule = decide_labels([Tally.of(name, labels)], values=values)
    image = Image.from_array(pixels(*labels.shape), axes, name=name)
    return LabelledImage(image=image, labels=labels, rule=rule, name=name)


def touching() -> np.ndarray:
    """Return two objects that are 4 pixels apart, as object ids."""
    ids = np.zeros((64, 64), np.uint8)
    ids[20:44, 10:30], ids[20:44, 34:54] = 7, 9
    return ids


def test_gaps_between_objects_are_weighed():
    data = labelled(touching(), values="objects")
    (pair,) = training_pairs([data], PLANES, FineTuneConfig(crop=32, border_weight=10))
    assert np.array_equal(pair.target, touching() > 0)
    gap = pair.pixel_weights[22:42, 30:34]
    assert gap.min() > 5
    assert gap.max() <= 11
    assert pair.pixel_weights[:8].max() < gap.min() / 2
    (plain,) = training_pairs([data], PLANES, CONFIG)
    assert plain.pixel_weights is None


def test_the_gaps_of_a_stack_are_those_of_the_part_that_is_read():
    ids = np.zeros((6, 64, 400), np.int64)
    ids[:, :, :64] = touching()
    # Of the rest nobody knows: it is not read.
    ids[:, :, 70:] = -1
    data = labelled(ids, "ZYX", values="objects")
    (pair,) = training_pairs([data], VOLUMES, FineTuneConfig(crop=32, border_weight=10))
    assert pair.pixel_weights.shape == pair.target.shape
    assert pair.target.shape[-1] < 400
    gaps = pair.pixel_weights[pair.target == 0]
    assert gaps.max() > 5 * gaps.min()


def test_classes_have_no_gaps():
    (pair,) = training_pairs(
        [labelled((touching() > 0).astype(np.uint8))],
        PLANES,
        FineTuneConfig(crop=32, border_weight=10),
    )
    assert pair.pixel_weights is None


def test_planes_without_labels_are_left_out():
    labels = np.full((3, 40, 40), IGNORE, np.uint8)
    labels[1, 5:9], labels[1, 20:30] = 1, 0
    (pair,) = training_pairs([labelled(labels, "TYX")], PLANES, CONFIG)
    assert pair.name == "cells (1,)"
    np.testing.assert_array_equal(pair.target, labels[1])
    empty = np.full((3, 40, 40), IGNORE, np.uint8)
    data = LabelledImage(
        image=Image.from_array(pixels(3, 40, 40), "ZYX", name="cells"),
        labels=empty,
        rule=labelled(labels, "TYX").rule,
        name="cells",
    )
    assert not list(training_pairs([data], VOLUMES, CONFIG))


def test_labels_and_the_same_strokes_give_the_same_pixels():
    labels = np.full((48, 56), IGNORE, np.uint8)
    labels[10:14, 5:40], labels[30:36, 5:40] = 1, 0
    data = labelled(labels)
    strokes = Annotations(labels.shape)
    strokes.set(np.nonzero(labels != IGNORE), labels[labels != IGNORE])
    painted = PaintedImage(image=data.image, strokes=strokes)
    one, other = training_pairs([data, painted], PLANES, FineTuneConfig(crop=64))
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.target, other.target)
    assert one.name == other.name == "cells"


def test_a_plane_for_a_model_of_volumes_is_refused():
    labels = (touching() > 0).astype(np.uint8)
    with pytest.raises(DataError, match="cells has no Z"):
        list(training_pairs([labelled(labels)], VOLUMES, CONFIG))


def test_what_is_odd_about_an_image_is_noted_once_and_named():
    image = np.full((2, 40, 40), 100.0, np.float32)
    image[:, :, 20:] = 200
    image[:, 0, 0] = np.nan
    labels = np.zeros((2, 40, 40), np.uint8)
    labels[:, :20] = 1
    data = LabelledImage(
        image=Image.from_array(image, "TYX", name="file.tif"),
        labels=labels,
        rule=labelled(labels, "TYX").rule,
        name="cells",
    )
    notes: list[str] = []
    assert len(list(training_pairs([data], PLANES, CONFIG, notes.append))) == 2
    assert len(notes) == 1
    assert notes[0].startswith("cells: ")
