"""What stays beside a model, and how a later training is compared on it."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.errors import DataError, OutOfMemoryError
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.models.adaptation import adapt_checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.remembered_crops import (
    cut_crops,
    join_crops,
    load_crops,
    load_remembered,
    save_crops,
    save_with_crops,
)
from unet_engine.training.events import FineTuned, Validation
from unet_engine.training.forgetting import check_forgetting, compare

SPEC = ModelSpec(depth=2, width=4, classes=("background", "cell"))


def pair(shape=(200, 300), name="", seed=0, channels=1):
    """An image whose upper left corner is labelled, bright as a cell."""
    rng = np.random.default_rng(seed)
    target = np.full(shape, IGNORE, np.uint8)
    corner = target[..., :40, :40]
    corner[...] = rng.integers(2, size=corner.shape)
    image = rng.normal(size=(channels, *shape)).astype(np.float32)
    return TrainingPair(image, target, name)


def names(crops):
    return [crop.name for crop in crops]


def model(bias, **spec):
    """A model that predicts the same everywhere: the class with the larger bias."""
    made = start_checkpoint(replace(SPEC, **spec))
    weights = {key: value.copy() for key, value in made.weights.items()}
    head = [key for key in weights if weights[key].shape[:1] == (2,)]
    for key in head:
        weights[key][...] = np.array(bias) if weights[key].ndim == 1 else 0
    assert any(weights[key].ndim == 1 for key in head)
    return replace(made, weights=weights, history=({"name": "old"},))


def tuned(checkpoint):
    """The result of a training that ended with this model."""
    look = Validation(step=0, loss=1.0, iou=0.5, best=True, seconds=0.0)
    return FineTuned(
        checkpoint=checkpoint, improved=True, before=look, after=look, steps=1,
        stopped=False,
    )  # fmt: skip


def of_class(label, name="elsewhere"):
    example = pair((64, 64), name)
    return TrainingPair(example.image, np.full((64, 64), label, np.uint8), name)


class TestCut:
    def test_the_part_with_the_labels_is_cut_out(self):
        image = pair(name="a")
        image.target[150, 250] = HELD_OUT
        (part,) = cut_crops([image])
        assert part.name == "a"
        assert part.target.shape == (160, 160)
        np.testing.assert_array_equal(part.image, image.image[:, :160, :160])
        np.testing.assert_array_equal(part.target, image.target[:160, :160])

    def test_images_take_turns(self):
        whole = TrainingPair(
            np.zeros((1, 640, 640), np.float32), np.zeros((640, 640), np.uint8), "whole"
        )
        found = cut_crops([whole, pair(name="a"), pair(name="b")], most=5)
        assert names(found) == ["whole", "a", "b", "whole", "whole"]
        assert len(cut_crops([whole], most=3)) == 3

    def test_volumes_give_volumes(self):
        (part,) = cut_crops([pair((40, 200, 200))][:1], most=1)
        assert part.target.shape == (24, 96, 96)

    @settings(deadline=None, max_examples=30)
    @given(
        shape=st.tuples(st.integers(40, 400), st.integers(40, 400)),
        place=st.floats(0, 1),
    )
    def test_any_label_is_in_a_crop(self, shape, place):
        target = np.full(shape, IGNORE, np.uint8)
        target[tuple(int(place * (n - 1)) for n in shape)] = 1
        image = np.zeros((1, *shape), np.float32)
        found = cut_crops([TrainingPair(image, target)])
        assert found
        assert all((crop.target == 1).sum() == 1 for crop in found)

    def test_without_labels_there_is_none(self):
        image = pair()
        image.target[...] = IGNORE
        assert cut_crops([image]) == []


def test_earlier_crops_keep_half_of_the_room():
    new, old = ([pair((8, 8), f"{kind}{i}") for i in range(16)] for kind in "no")
    joined = names(join_crops(new, old))
    assert joined == [f"n{i}" for i in range(8)] + [f"o{i}" for i in range(0, 16, 2)]
    assert names(join_crops(new[:2], old)) == ["n0", "n1", *(
        f"o{i}" for i in range(0, 16, 2)
    )]  # fmt: skip
    assert names(join_crops(new, ())) == names(new)
    assert names(join_crops(new[:2], old[:14])) == names([*new[:2], *old[:14]])


class TestFile:
    def test_round_trip(self, tmp_path):
        kept = [pair(name="a"), pair((5, 30, 40), "b", channels=2)]
        save_crops(tmp_path / "m.examples", kept)
        for one, other in zip(kept, load_crops(tmp_path / "m.examples"), strict=True):
            assert one.name == other.name
            np.testing.assert_array_equal(one.target, other.target)
            np.testing.assert_allclose(one.image, other.image, atol=2e-3)

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
    def test_a_truncated_file_is_refused(self, tmp_path, share):
        path = tmp_path / "m.examples"
        save_crops(path, [pair()])
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError, match="delete it"):
            load_crops(path)

    @pytest.mark.parametrize(
        "metadata",
        [
            None,
            {"format": "another"},
            {"format": "napari-unet-finetune examples", "version": "2"},
            {"format": "napari-unet-finetune examples", "version": "1"},
            {
                "format": "napari-unet-finetune examples",
                "version": "1",
                "names": '["a"]',
            },
            {"format": "napari-unet-finetune examples", "version": "1", "names": "3"},
        ],
    )
    def test_other_files_are_refused(self, tmp_path, metadata):
        path = tmp_path / "m.examples"
        path.write_bytes(safetensors.numpy.save({"x": np.zeros(3)}, metadata=metadata))
        with pytest.raises(DataError, match="delete it"):
            load_crops(path)

    def test_the_store_keeps_them_beside_their_model(self, tmp_path):
        store = ModelStore(tmp_path)
        made = start_checkpoint(SPEC)
        save_with_crops(store, "m", made, [pair(name="a")])
        assert names(load_remembered(store.info("m"))) == ["a"]
        assert store.names().count("m") == 1
        assert not any("examples" in str(path) for path, _ in store.broken())
        store.save("m", made, overwrite=True)
        assert list(load_remembered(store.info("m"))) == []

    def test_a_full_disk_leaves_the_old_model_and_its_crops(
        self, tmp_path, monkeypatch
    ):
        store = ModelStore(tmp_path)
        save_with_crops(store, "m", start_checkpoint(SPEC), [pair(name="a")])

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(DataError):
            store.save("m", start_checkpoint(SPEC, 1), overwrite=True)
        assert names(load_remembered(store.info("m"))) == ["a"]
        assert sorted(os.listdir(tmp_path)) == ["m.examples", "m.safetensors"]

    def test_a_damaged_file_is_left_out(self, tmp_path, caplog):
        store = ModelStore(tmp_path)
        save_with_crops(store, "m", start_checkpoint(SPEC), [pair(name="a")])
        (tmp_path / "m.examples").write_bytes(b"not ours")
        assert list(load_remembered(store.info("m"))) == []
        assert "left out the remembered crops of m" in caplog.text

    def test_a_model_is_saved_though_its_crops_cannot_be(
        self, tmp_path, monkeypatch, caplog
    ):
        def full(*_):
            raise DataError("the disk is full")

        monkeypatch.setattr(
            "unet_engine.training.data.remembered_crops.save_crops", full
        )
        store = ModelStore(tmp_path)
        save_with_crops(store, "m", start_checkpoint(SPEC), [pair()])
        assert store.load("m").spec == SPEC
        assert "the disk is full" in caplog.text

    def test_a_start_has_none(self, tmp_path):
        store = ModelStore(tmp_path)
        made = replace(start_checkpoint(SPEC), history=({"start": True},))
        save_with_crops(store, "m", made, [pair()])
        assert list(load_remembered(store.info("m"))) == []


class TestForgettingCheck:
    def test_what_was_learned_is_kept_though_it_cannot_be_compared(self, monkeypatch):
        def short(*_, **__):
            raise OutOfMemoryError("memory ran out")

        monkeypatch.setattr("unet_engine.training.forgetting.compare", short)
        trained = tuned(model((-5.0, 5.0)))
        result, kept = check_forgetting(
            trained, model((5.0, -5.0)), [of_class(0)], [pair(name="here")]
        )
        assert result.checkpoint is trained.checkpoint
        assert "memory ran out" in result.notes[-1]
        assert names(kept) == ["here", "elsewhere"]

    def test_what_is_not_better_is_not_compared(self):
        old = model((5.0, -5.0))
        result = replace(tuned(old), improved=False)
        assert check_forgetting(result, old, [of_class(0)], []) == (result, [])

    def test_it_measures_what_was_forgotten(self):
        old, new = model((5.0, -5.0)), model((-5.0, 5.0))
        found = compare(old, new, [of_class(0)], device="cpu")
        assert (found.before, found.after, found.crops) == (1.0, 0.0, 1)
        assert found.forgot
        assert not compare(new, old, [of_class(0)], device="cpu").forgot
        assert not compare(old, old, [of_class(0)], device="cpu").forgot

    def test_classes_that_came_later_change_nothing(self):
        old = model((5.0, -5.0))
        more = adapt_checkpoint(old, classes=(*SPEC.classes, "dirt"))
        assert compare(old, more, [of_class(0)], device="cpu").after == 1.0

    @pytest.mark.parametrize(
        "change", [{"classes": ("background", "vessel")}, {"in_channels": 3}]
    )
    def test_models_that_do_not_compare_are_not_compared(self, change):
        old, other = model((5.0, -5.0)), start_checkpoint(replace(SPEC, **change))
        assert compare(old, other, [of_class(0)], device="cpu") is None

    def test_crops_that_do_not_fit_are_left_out(self):
        old = model((5.0, -5.0))
        assert compare(old, old, [], device="cpu") is None
        assert compare(old, old, [pair((3, 20, 20))], device="cpu") is None
        assert compare(old, old, [pair(channels=2)], device="cpu") is None

    def test_a_training_reports_it_and_its_model_records_it(self):
        old, new = model((5.0, -5.0)), model((-5.0, 5.0))
        here = pair(name="here")
        result, kept = check_forgetting(
            tuned(new), old, [of_class(0)], [here], device="cpu"
        )
        assert result.forgetting.forgot
        assert "IoU 1.00 before, 0.00 now" in result.notes[-1]
        assert "'old'" not in result.notes[-1]
        assert "what old had learned" in result.notes[-1]
        assert result.checkpoint.history[-1]["replay"] == {
            "before": 1.0, "after": 0.0, "examples": 1,
        }  # fmt: skip
        assert names(kept) == ["here", "elsewhere"]

    def test_an_image_that_is_here_again_is_judged_by_its_present_labels(self):
        old, new = model((5.0, -5.0)), model((-5.0, 5.0))
        here = pair(name="here")
        result, kept = check_forgetting(
            tuned(new), old, [of_class(0, "here")], [here], device="cpu"
        )
        assert result.forgetting is None
        assert not result.notes
        assert names(kept) == ["here"]
