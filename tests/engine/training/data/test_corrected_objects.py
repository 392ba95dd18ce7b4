"""Corrected objects are learned as they are, and nothing is learned beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.folders import stroke_folders
from unet_engine.annotations.store import ImageIdentity, StrokeStore
from unet_engine.compute.loading import folded_network
from unet_engine.errors import DataError
from unet_engine.images import Image, open_image
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.models.spec import OBJECT_MAPS, ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.objects.editing import claims_after, classes_after, split_objects
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.course.ranking import is_better
from unet_engine.training.data.labelled_images import PaintedImage, training_pairs
from unet_engine.training.data.objects.object_targets import object_targets
from unet_engine.training.data.pairs import check_pairs
from unet_engine.training.data.saved_strokes import find_strokes
from unet_engine.training.data.splits.growing_split import GrowingSplit
from unet_engine.training.data.splits.held_out_split import split_pairs
from unet_engine.training.losses import masked_map_entropy
from unet_engine.training.rounds import fine_tune
from unet_engine.training.validation import HeldOut, HeldOutScores

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.training.data.pairs import TrainingPair

SPEC = ModelSpec(depth=2, width=4, object_maps=OBJECT_MAPS)
CONFIG = FineTuneConfig(device="cpu", crop=64, batch=2)
ALL = (slice(None), slice(None))


def pairs_of_cells() -> tuple[np.ndarray, np.ndarray]:
    """Return an image of nine pairs of cells that touch, and ids, one for each pair."""
    y, x = np.mgrid[:120, :120]
    ids = np.zeros((120, 120), np.uint16)
    valley = np.zeros(ids.shape)
    for row in range(3):
        for column in range(3):
            for offset in (-6, 6):
                centre = 20 + 40 * row, 20 + 40 * column + offset
                distance = np.hypot(y - centre[0], x - centre[1])
                ids[distance < 8] = 1 + 3 * row + column
                valley = np.maximum(valley, np.clip(1 - distance / 9, 0, 1))
    noise = np.random.default_rng(0).normal(0, 4, ids.shape)
    image = np.clip(30 + 120 * (ids > 0) + 60 * valley + noise, 0, 255)
    return image.astype(np.uint8), ids


def corrected(
    pixels: np.ndarray,
    ids: np.ndarray,
    numbers: range = range(1, 10),
    strokes: Annotations | None = None,
    objects: Annotations | None = None,
) -> tuple[PaintedImage, np.ndarray]:
    """Split pairs along their middle; return what is recorded, and the new ids."""
    strokes = strokes or Annotations(ids.shape)
    objects = objects or Annotations(ids.shape)
    for number in numbers:
        rows, columns = np.nonzero(ids == number)
        middle = round(float(columns.mean()))
        line = [(rows.min() - 2, middle), (rows.max() + 2, middle)]
        after = split_objects(ids, line).apply_to(ids)
        changed = after != ids
        claims = claims_after(
            objects.target(()), after, changed, {*after[changed], *ids[changed]}
        )
        objects.accept((), ALL, claims)
        found = classes_after(ids, after, (ids > 0).astype(np.uint8), new_class=1)
        strokes.accept((), ALL, np.where(found == IGNORE, strokes.target(()), found))
        ids = after
    image = Image.from_array(pixels, "YX", name="cells")
    return PaintedImage(image=image, strokes=strokes, corrected_objects=objects), ids


@pytest.fixture(scope="module")
def painted() -> tuple[PaintedImage, np.ndarray]:
    return corrected(*pairs_of_cells())


def pair_of(painted: PaintedImage, spec: ModelSpec = SPEC) -> TrainingPair:
    (pair,) = training_pairs([painted], spec, CONFIG)
    return pair


def test_maps_are_those_of_the_corrected_objects_and_unknown_elsewhere(painted):
    pair, ids = pair_of(painted[0]), painted[1]
    known = ids > 0
    np.testing.assert_array_equal(~np.isnan(pair.object_maps[0]), known)
    expected = object_targets(ids).astype(np.float16)
    np.testing.assert_array_equal(pair.object_maps[:, known], expected[:, known])
    # On both sides of the cut, and nowhere else: the border is the model's own.
    assert set(np.unique(pair.target)) == {1, IGNORE}
    labelled = pair.target != IGNORE
    assert 0 < labelled.sum() < 0.5 * known.sum()
    assert known[labelled].all()


def test_a_model_without_maps_learns_the_classes_alone(painted):
    pair = pair_of(painted[0], ModelSpec(depth=2, width=4))
    assert pair.object_maps is None
    assert not pair.corrects_objects
    with pytest.raises(DataError, match="all labelled pixels are class 1; paint at"):
        check_pairs([pair], ModelSpec(depth=2, width=4))
    check_pairs([pair_of(painted[0])], SPEC)


def test_objects_of_a_volume_go_on_through_its_slices():
    pixels, ids = pairs_of_cells()
    flat, split = corrected(pixels, ids)
    shape = (3, *ids.shape)
    strokes, objects = Annotations(shape), Annotations(shape)
    for z in (1, 2):
        strokes.accept((z,), ALL, flat.strokes.target(()))
        objects.accept((z,), ALL, flat.corrected_objects.target(()))
    image = Image.from_array(np.stack([pixels] * 3), "ZYX", name="stack")
    one = PaintedImage(image=image, strokes=strokes, corrected_objects=objects)
    spec = ModelSpec(depth=2, width=4, ndim=3, object_maps=OBJECT_MAPS)
    (pair,) = training_pairs([one], spec, CONFIG)
    inside = np.stack([0 * split, split, split])
    expected = object_targets(inside)
    known = inside > 0
    np.testing.assert_allclose(
        pair.object_maps[:, known], expected[:, known], atol=1e-3
    )
    assert np.isnan(pair.object_maps[:, ~known]).all()
    two, three = training_pairs([one], SPEC, CONFIG)
    assert two.object_maps.shape == three.object_maps.shape == (2, 120, 120)


def check_apart(training: tuple, validation: tuple, ids: np.ndarray) -> None:
    (learn,), (validate,) = training, validation
    held = learn.target == HELD_OUT
    assert held.any()
    objects = np.unique(ids[held])
    of_pairs = np.unique(pairs_of_cells()[1][held])
    with_held = np.isin(pairs_of_cells()[1], of_pairs)
    assert np.isnan(learn.object_maps[:, with_held]).all()
    rest = (ids > 0) & ~with_held
    assert rest.any()
    assert not np.isnan(learn.object_maps[:, rest]).any()
    assert not np.isnan(validate.object_maps[:, np.isin(ids, objects)]).any()


def test_nothing_is_learned_of_an_object_that_is_held_out(painted):
    pair = pair_of(painted[0])
    split = split_pairs([pair], fraction=0.25)
    check_apart(split.training, split.validation, painted[1])
    later = GrowingSplit([pair], split, fraction=0.25, near=(12, 12))
    again = later.extended([pair])
    check_apart(again.training, again.validation, painted[1])


def test_evaluations_count_the_maps_of_held_out_objects(painted):
    pair = pair_of(painted[0])
    model = start_checkpoint(SPEC)
    network = folded_network(model, object_maps=True)
    evaluate = HeldOut([pair], SPEC, pixels=10**6, seed=0).evaluate
    found = evaluate(network, "cpu")
    with torch.inference_mode():
        logits = network(torch.from_numpy(pair.image[None]))[:, 2:]
    expected = masked_map_entropy(
        logits,
        torch.from_numpy(pair.object_maps.astype(np.float32))[None],
        torch.from_numpy(pair.target != IGNORE)[None],
    )
    assert found.map_loss == pytest.approx(float(expected), rel=1e-3)
    assert found.score == found.iou
    labels_only = replace(pair, corrects_objects=False)
    other = HeldOut([labels_only], SPEC, pixels=10**6, seed=0).evaluate(network, "cpu")
    assert other.map_loss == 0
    assert found.loss == pytest.approx(other.loss + found.map_loss)


def test_better_maps_count_where_the_mask_is_no_worse():
    first = HeldOutScores(loss=1.0, iou=0.99, map_loss=0.5)
    better = HeldOutScores(loss=0.8, iou=0.99, map_loss=0.3)
    worse = HeldOutScores(loss=0.8, iou=0.98, map_loss=0.3)
    assert is_better(better, first, change_cost=0.0)
    assert not is_better(worse, first, change_cost=0.0)


@pytest.mark.slow
def test_a_fine_tune_on_splits_alone_learns_where_objects_meet(painted):
    start = replace(start_checkpoint(SPEC), history=({"name": "old"},))
    config = FineTuneConfig(
        device="cpu",
        steps=60,
        minutes=0,
        crop=64,
        batch=2,
        learning_rate=1e-2,
        elastic=0.0,
        statistics="follow",
    )
    result = fine_tune(start, [painted[0]], config)
    assert result.improved
    pair = pair_of(painted[0])

    def loss(checkpoint) -> float:
        network = folded_network(checkpoint, object_maps=True)
        held = HeldOut([pair], SPEC, pixels=10**6, seed=0)
        return held.evaluate(network, "cpu").map_loss

    assert loss(result.checkpoint) < 0.8 * loss(start)


def test_corrections_lie_with_the_strokes_of_their_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import tifffile

    pixels, ids = pairs_of_cells()
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, pixels)
    image = open_image(path)
    store = StrokeStore(tmp_path / "strokes")
    identity = ImageIdentity.of(image, path)
    strokes = store.open(identity)
    objects = store.open_corrected_objects(identity)
    corrected(pixels, ids, range(1, 4), strokes, objects)
    expected = objects.target(())
    strokes.close()
    objects.close()
    assert len(stroke_folders(store.root)) == 1, "they are no strokes themselves"
    (group,) = store.root.iterdir()
    assert len(stroke_folders(group)) == 1
    again = store.open_corrected_objects(identity)
    np.testing.assert_array_equal(again.target(()), expected)
    again.close()

    def open_file(path: Path, axes: str | None) -> Image:
        return open_image(path, axes=axes)

    (saved,) = find_strokes([store.root], open_file)
    read = saved.in_classes(("background", "cell")).corrected_objects
    np.testing.assert_array_equal(read.target(()), expected)
    folder = store.find(identity)
    store.set_aside(folder)
    assert store.open_corrected_objects(identity).planes() == ()
