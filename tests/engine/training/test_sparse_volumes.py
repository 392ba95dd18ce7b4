"""Learning from volumes of which a few slices are annotated."""

import dataclasses

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.compute.runner import Runner
from unet_engine.errors import DataError, OutOfMemoryError
from unet_engine.generators import drain
from unet_engine.images import Image, Normalisation, open_image
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.training import candidates
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.augmentation import Augmentation
from unet_engine.training.data.crops import CropSampler, crop_shape, volume_around
from unet_engine.training.data.pairs import (
    NEAR,
    TrainingPair,
    check_pairs,
    class_counts,
    far_from_labels,
    near_labels,
)
from unet_engine.training.data.splits.held_out_split import FEW_IMAGES, split_pairs
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.validation import HeldOut, find_mistakes

UNET = ModelSpec(ndim=3, depth=2, width=8)
THIN = ModelSpec(ndim=3, depth=2, width=8, z_poolings=1)
ROWS = {
    "unet": UNET,
    "unet-anisotropic": THIN,
    "unet3d-valid": ModelSpec.for_architecture("unet3d-valid", depth=1, width=8),
    "autoencoder": ModelSpec.for_architecture("autoencoder", ndim=3, depth=1, width=8),
}
every_network = pytest.mark.parametrize("spec", ROWS.values(), ids=ROWS)

CONFIG = FineTuneConfig(
    device="cpu", minutes=0, steps=40, crop=80, batch=2, learning_rate=1e-2
)


def tubes(seed=0, shape=(16, 48, 48)):
    """Bright tubes that wander through the slices of a noisy stack, and their truth."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    truth = np.zeros(shape, np.uint8)
    for _ in range(4):
        cy, cx = rng.uniform(8, shape[1] - 8, 2)
        sway, phase = rng.uniform(0, 6), rng.uniform(0, 6)
        middle = cy + sway * np.sin(z / 6 + phase), cx + sway * np.cos(z / 5 + phase)
        truth[(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < 5**2] = 1
    image = truth + rng.normal(0, 0.25, (1, *shape))
    return image.astype(np.float32), truth


def annotated(slices=(2, 7, 12), seed=0, **kwargs):
    """The tubes with all but some slices ``IGNORE``."""
    image, truth = tubes(seed, **kwargs)
    target = np.full_like(truth, IGNORE)
    target[list(slices)] = truth[list(slices)]
    return TrainingPair(image, target, "tubes"), truth


def with_(**changes):
    return dataclasses.replace(CONFIG, **changes)


def train(spec=THIN, pairs=None, config=CONFIG, checkpoint=None):
    run = iter_fine_tune(
        checkpoint or start_checkpoint(spec), pairs or [annotated()[0]], config
    )
    return drain(run)


def iou(found, truth):
    return np.sum(found & truth) / np.sum(found | truth)


class TestPairs:
    def test_planes_and_volumes_are_not_mixed_up(self):
        volume, _ = annotated()
        plane = TrainingPair(volume.image[:, 2], volume.target[2], "plane")
        check_pairs([volume], UNET)
        with pytest.raises(DataError, match=r"plane is a plane .* give it as a stack"):
            check_pairs([volume, plane], UNET)
        with pytest.raises(DataError, match=r"tubes is a volume .* one by one"):
            check_pairs([volume], ModelSpec(depth=2, width=4))

    def test_stack_thinner_than_the_margin_of_valid_padding_is_refused(self):
        spec = ModelSpec.for_architecture("unet3d-valid", depth=2, width=2)
        halo = spec.footprint.halo[0]
        good, _ = annotated(shape=(halo + 1, 48, 48))
        check_pairs([good], spec)
        thin, _ = annotated(shape=(halo, 48, 48))
        with pytest.raises(DataError, match=rf"{halo} slices.*z_poolings"):
            check_pairs([thin], spec)
        check_pairs([thin], dataclasses.replace(spec, z_poolings=1))
        check_pairs([thin], UNET)

    def test_labels_are_near_in_the_plane_and_less_so_across_far_slices(self):
        assert near_labels(ModelSpec()) == (NEAR, NEAR)
        assert near_labels(UNET) == (NEAR,) * 3
        assert near_labels(THIN) == (NEAR // 2, NEAR, NEAR)
        target = np.full((20, 60, 60), IGNORE, np.uint8)
        target[10, 30, 30] = 1
        far = far_from_labels(target, near_labels(THIN))
        assert not far[4, 42, 18]
        assert far[3, 30, 30]
        assert far[10, 43, 30]


class TestReading:
    def test_slices_of_one_time_are_read_in_their_order(self):
        data = np.arange(3 * 5 * 2 * 6 * 7).reshape(3, 5, 2, 6, 7)
        image = Image.from_array(data, "TZCYX")
        region = slice(1, 4), slice(2, 6), slice(0, 3)
        block = image.read_volume((2,), region)
        assert np.array_equal(block, data[2, 1:4, :, 2:6, :3].swapaxes(0, 1))

    def test_volumes_are_normalised_like_their_slices(self):
        block = np.random.default_rng(0).integers(0, 99, (2, 3, 4, 5)).astype(np.uint8)
        normalisation = Normalisation(low=(3.0, 0.0), high=(50.0, 80.0))
        for z in range(3):
            assert np.array_equal(
                normalisation.apply(block)[:, z], normalisation.apply(block[:, z])
            )

    @pytest.mark.parametrize(
        ("options", "elongation"),
        [
            (
                {
                    "ome": True,
                    "metadata": {
                        "axes": "ZYX",
                        "PhysicalSizeX": 100.0,
                        "PhysicalSizeXUnit": "nm",
                        "PhysicalSizeZ": 0.25,
                        "PhysicalSizeZUnit": "µm",
                    },
                },
                2.5,
            ),
            (
                {
                    "imagej": True,
                    "resolution": (10, 10),
                    "metadata": {"axes": "ZYX", "spacing": 0.5, "unit": "um"},
                },
                5.0,
            ),
            ({"imagej": True, "metadata": {"axes": "ZYX", "spacing": 0.5}}, None),
            ({"metadata": {"axes": "ZYX"}}, None),
        ],
    )
    def test_distance_of_the_slices_is_that_of_the_file(
        self, tmp_path, options, elongation
    ):
        path = tmp_path / "stack.ome.tif" if "ome" in options else tmp_path / "a.tif"
        tifffile.imwrite(path, np.zeros((5, 8, 8), np.uint8), **options)
        found = open_image(path, axes="ZYX").elongation
        assert found == (elongation and pytest.approx(elongation))


class TestCrops:
    @settings(deadline=None, max_examples=40)
    @given(
        depth=st.integers(1, 300),
        edge=st.integers(20, 2000),
        crop=st.sampled_from([32, 96, 192, 388]),
        name=st.sampled_from(sorted(ROWS)),
    )
    def test_the_network_can_take_them_and_they_are_not_larger_than_needed(
        self, depth, edge, crop, name
    ):
        spec = ROWS[name]
        shape = crop_shape(spec, [(depth, edge, edge)], crop)
        spec.check_input(shape.outer)
        divisor = spec.footprint.divisor
        assert shape.learned[0] < depth + divisor[0]
        assert shape.learned[1] == shape.learned[2] < edge + divisor[1]
        assert np.prod(shape.learned) < 4 * crop**2 + 20 * np.prod(divisor)

    def test_a_thin_stack_is_taken_whole(self):
        spec = ModelSpec(ndim=3, z_poolings=1)
        shape = crop_shape(spec, [(14, 1024, 1024)], 192)
        assert shape.learned[0] == 14
        assert shape.learned[1] >= 48

    def test_every_crop_of_a_thin_stack_holds_every_annotated_slice(self):
        pair, _ = annotated((0, 15))
        sampler = CropSampler(
            [pair],
            shape=(22, 20, 20),
            jitter=(7, 5, 5),
            generator=np.random.default_rng(0),
            margin=(2, 0, 0),
        )
        _, targets, *_ = sampler.draw(20)
        known = (targets != IGNORE).any(axis=(2, 3))
        assert np.all(known.sum(axis=1) == 2)
        assert not known[:, :2].any()
        assert not known[:, -2:].any()
        assert len({tuple(k) for k in known.tolist()}) > 1

    @settings(deadline=None, max_examples=30)
    @given(
        shape=st.tuples(st.integers(1, 9), st.integers(1, 20), st.integers(1, 20)),
        size=st.tuples(st.integers(1, 20), st.integers(1, 25), st.integers(1, 25)),
        seed=st.integers(0, 9),
    )
    def test_crops_of_any_size_hold_labels_in_their_place(self, shape, size, seed):
        rng = np.random.default_rng(seed)
        image = rng.random((2, *shape), dtype=np.float32)
        target = np.full(shape, IGNORE, np.uint8)
        z = rng.integers(shape[0])
        target[z] = image[0, z] > 0.5
        images, targets, *_ = CropSampler(
            [TrainingPair(image, target)], shape=size, jitter=(9, 9, 9), generator=rng
        ).draw(2)
        assert images.shape == (2, 2, *size)
        known = targets != IGNORE
        assert known.any(axis=(1, 2, 3)).all()
        assert np.array_equal((images[:, 0] > 0.5)[known], targets[known] == 1)

    def test_a_large_volume_is_read_around_its_labels(self):
        labelled = np.zeros((200, 300, 300), bool)
        labelled[100, 150, 140:160] = True
        box = volume_around(labelled, UNET, 64)
        assert labelled[box].sum() == 20
        seen = crop_shape(UNET, [labelled.shape], 64).outer
        assert box[0] == slice(100 - 2 * seen[0], 101 + 2 * seen[0])
        assert box[2].stop - box[2].start < 200


class TestAugmentation:
    @pytest.mark.parametrize("seed", range(3))
    def test_image_target_and_weights_move_together(self, seed):
        augmentation = Augmentation(elastic=3, flips=True, scaling=1.3, intensity=0)
        size = augmentation.source_size(24)
        targets = torch.zeros(4, 6, size, size, dtype=torch.uint8)
        targets[:, :, size // 2 :, size // 3 :] = 1
        targets[:, 4:] = 0
        targets[:, 2] = IGNORE
        images = (targets == 1).float().unsqueeze(1)
        generator = torch.Generator().manual_seed(seed)
        varied, truth, weights, *_ = augmentation(
            images, targets, 24, generator, 1 + 9 * images[:, 0]
        )
        assert varied.shape == (4, 1, 6, 24, 24)
        assert truth.shape == weights.shape == (4, 6, 24, 24)
        known = truth != IGNORE
        # A slice stays a slice: what is not annotated is whole, and in its place.
        order = [[2, 3][bool(one[3].eq(IGNORE).all())] for one in truth]
        assert set(order) <= {2, 3}
        assert all(one[z].eq(IGNORE).all() for one, z in zip(truth, order, strict=True))
        assert ((varied[:, 0] > 0.5) == (truth == 1))[known].float().mean() > 0.98
        assert (weights - 1 - 9 * truth)[known].abs().median() < 1e-3

    def test_some_volumes_are_turned_upside_down_and_none_without_flips(self):
        targets = torch.arange(5, dtype=torch.uint8).reshape(1, 5, 1, 1)
        for flips, expected in ((True, {0, 4}), (False, {0})):
            still = Augmentation(elastic=0, flips=flips, scaling=1, intensity=0)
            size = still.source_size(8)
            batch = targets.expand(16, 5, size, size)
            _, truth, *_ = still(
                batch.float().unsqueeze(1), batch, 8, torch.Generator().manual_seed(0)
            )
            assert set(truth[:, 0].unique().tolist()) == expected

    def test_displacements_vary_smoothly_along_z(self):
        augmentation = Augmentation(elastic=5, flips=False, scaling=1, intensity=0)
        still = Augmentation(elastic=0, flips=False, scaling=1, intensity=0)
        moved, fixed = (
            one._grid(17, torch.Generator().manual_seed(0), 200, 9)
            for one in (augmentation, still)
        )
        steps = (moved - fixed).reshape(200, 9, 17, 17, 2)
        # The corners of the first slice are points of the coarse grid.
        assert steps[:, 0, 0, 0].std() == pytest.approx(5, rel=0.15)
        assert steps.diff(dim=1).std() < 2.5
        assert not torch.allclose(steps[:, 0], steps[:, -1])

    def test_intensity_changes_all_slices_alike(self):
        images = torch.rand(3, 2, 1, 12, 12).expand(-1, -1, 5, -1, -1)
        augmentation = Augmentation(elastic=0, flips=False, scaling=1, intensity=0.5)
        varied, *_ = augmentation(
            images,
            torch.zeros(3, 5, 12, 12, dtype=torch.uint8),
            12,
            torch.Generator().manual_seed(1),
        )
        # All but the noise: the means of the slices of a volume are those of one plane.
        means = varied.mean(dim=(3, 4))
        assert (means - means.mean(dim=2, keepdim=True)).abs().max() < 0.03
        assert (varied - images).abs().max() > 0.1


class TestSplit:
    def test_strokes_on_two_slices_are_shared_and_do_not_leak(self):
        target = np.full((30, 80, 80), IGNORE, np.uint8)
        target[5, 10:14, 4:70] = target[22, 30:34, 4:70] = 0
        target[5, 50:54, 4:70] = target[22, 60:64, 4:70] = 1
        pair = TrainingPair(np.zeros((1, *target.shape), np.float32), target)
        split = split_pairs([pair], fraction=0.2)
        (learn,), (validate,) = split.training, split.validation
        assert not split.notes
        assert np.array_equal(learn.target == HELD_OUT, validate.target != IGNORE)
        held = validate.target != IGNORE
        assert np.array_equal(validate.target[held], target[held])
        for side in (learn, validate):
            assert set(np.flatnonzero(class_counts(side.target))) == {0, 1}
        # A block goes through all slices: none is held out whose neighbour is learned.
        columns = held.any(axis=0)
        assert np.all((learn.target >= HELD_OUT)[:, columns])

    def test_strokes_at_one_place_on_three_slices_are_held_out_by_slice(self):
        target = np.full((30, 64, 64), IGNORE, np.uint8)
        for z in (4, 14, 24):
            target[z, 30:33, 30:38], target[z, 33:36, 30:38] = 0, 1
        pair = TrainingPair(np.zeros((1, *target.shape), np.float32), target)
        split = split_pairs([pair], fraction=0.2)
        assert not split.notes
        held = (split.validation[0].target != IGNORE).any(axis=(1, 2))
        assert 0 < held.sum() < 3

    @pytest.mark.parametrize("slices", [FEW_IMAGES, 11])
    def test_of_many_annotated_slices_whole_ones_are_held_out(self, slices):
        chosen = tuple(range(2, 2 + slices))
        pair, _ = annotated(chosen)
        split = split_pairs([pair], fraction=0.2)
        (learn,), (validate,) = split.training, split.validation
        held = (validate.target != IGNORE).all(axis=(1, 2))
        assert held.sum() == round(0.2 * slices)
        assert np.all(np.diff(np.flatnonzero(held)) == 1)
        assert np.all(learn.target[held] == HELD_OUT)
        assert np.all(learn.target[[z for z in chosen if not held[z]]] < HELD_OUT)

    @settings(deadline=None, max_examples=40)
    @given(
        strokes=st.lists(
            st.tuples(
                st.integers(0, 2),
                st.integers(0, 11),
                st.integers(0, 59),
                st.integers(0, 59),
                st.integers(1, 40),
            ),
            min_size=1,
            max_size=6,
        ),
        seed=st.integers(0, 5),
    )
    def test_any_strokes_leave_labels_on_both_sides(self, strokes, seed):
        target = np.full((12, 60, 60), IGNORE, np.uint8)
        for label, z, y, x, length in strokes:
            target[z, y : y + 3, x : x + length] = label
        pair = TrainingPair(np.zeros((1, *target.shape), np.float32), target)
        split = split_pairs([pair], fraction=0.2, seed=seed)
        judged = sum(class_counts(p.target) for p in split.validation)
        learned = sum(class_counts(p.target) for p in split.training)
        assert judged.sum() > 0
        assert np.array_equal(learned > 0, class_counts(target) > 0)
        if not split.notes:
            assert np.array_equal(judged + learned, class_counts(target))


class Threshold(torch.nn.Module):
    """Predicts class 1 where the image is above one half."""

    def forward(self, x):
        return torch.cat((torch.zeros_like(x), 9 * (x - 0.5).sign()), dim=1)


class TestValidation:
    def test_every_annotated_voxel_counts_once_and_in_its_place(self):
        image = np.random.default_rng(0).random((1, 60, 70, 80), dtype=np.float32)
        target = np.full(image.shape[1:], IGNORE, np.uint8)
        target[[3, 55]] = image[0, [3, 55]] > 0.5
        wrong = target.copy()
        wrong[55, :7] = 1 - wrong[55, :7]
        for truth, mistakes in ((target, 0), (wrong, 7 * 80)):
            pair = TrainingPair(image, truth)
            validate = HeldOut([pair], UNET, pixels=10**8, seed=0)
            look = validate.evaluate(Threshold(), "cpu")
            assert (look.iou == 1) == (not mistakes)
            (found,) = find_mistakes([pair], Threshold(), UNET, "cpu")
            assert found.sum() == mistakes
            assert np.array_equal(found, (truth != target))

    def test_change_away_from_labels_is_noted(self):
        image = np.full((1, 40, 40, 40), 0.9, np.float32)
        target = np.full(image.shape[1:], IGNORE, np.uint8)
        target[0, :2, :2] = 1
        pair = TrainingPair(image, target)
        validate = HeldOut([pair], UNET, pixels=10**8, seed=0, watched=[pair])
        assert validate.evaluate(Threshold(), "cpu").changed == 0
        image[:] = 0.1
        assert validate.evaluate(Threshold(), "cpu").changed == 1


class TestLearner:
    @every_network
    def test_voxel_nobody_annotated_has_no_gradient_and_every_parameter_has_one(
        self, spec
    ):
        pair, _ = annotated((3, 8))
        learner = Optimisation(start_checkpoint(spec), [pair], CONFIG, "cpu")
        batch = learner._draw()
        images, targets, weights, *_ = batch
        assert weights is None
        spec.check_input(images.shape[2:])
        network = learner.network.train()
        logits = network(images)
        logits.retain_grad()
        loss = learner._loss(logits, batch)
        torch.autograd.backward(loss)
        known = targets < HELD_OUT
        assert known.any()
        assert not known.all()
        silent = logits.grad.movedim(1, -1)[~known]
        assert not silent.any()
        assert logits.grad.movedim(1, -1)[known].any()
        without = [n for n, p in network.named_parameters() if not p.grad.any()]
        assert not without

    def test_held_out_voxels_have_no_gradient(self):
        pair, _ = annotated(tuple(range(16)))
        pair.target[:, :, 20:] = HELD_OUT
        learner = Optimisation(start_checkpoint(THIN), [pair], CONFIG, "cpu")
        batch = learner._draw()
        targets = batch.targets
        logits = learner.network.train()(batch.images)
        logits.retain_grad()
        torch.autograd.backward(learner._loss(logits, batch))
        assert (targets == HELD_OUT).any()
        assert not logits.grad.movedim(1, -1)[targets >= HELD_OUT].any()

    def test_border_weights_reach_the_loss(self):
        pair, _ = annotated()
        learner = Optimisation(
            start_checkpoint(THIN), [pair], with_(border_weight=10.0), "cpu"
        )
        _, targets, weights, *_ = learner._draw()
        assert weights.shape == targets.shape
        assert weights.max() > 1.5

    def test_elastic_deformation_shrinks_with_the_crop(self):
        pair, _ = annotated()
        learner = Optimisation(start_checkpoint(THIN), [pair], with_(crop=192), "cpu")
        share = learner._crop.outer[-1] / 192
        assert share < 0.5
        assert learner._augmentation.elastic == pytest.approx(10 * share)


@pytest.fixture(scope="module")
def tuned():
    return train(config=with_(steps=120))


class TestTraining:
    @pytest.mark.slow
    def test_three_annotated_slices_suffice_for_all_the_others(self, tuned):
        assert tuned.improved
        image, truth = tubes()
        found = Runner(tuned.checkpoint, "cpu")(image).argmax(axis=0)
        unseen = [z for z in range(16) if z not in (2, 7, 12)]
        assert iou(found[[2, 7, 12]] == 1, truth[[2, 7, 12]] == 1) > 0.9
        assert iou(found[unseen] == 1, truth[unseen] == 1) > 0.85

    @pytest.mark.slow
    def test_the_model_is_right_about_another_volume(self, tuned):
        image, truth = tubes(9)
        found = Runner(tuned.checkpoint, "cpu")(image).argmax(axis=0)
        assert iou(found == 1, truth == 1) > 0.8

    @pytest.mark.slow
    @every_network
    def test_every_network_learns(self, spec, monkeypatch):
        # Forty steps of a volume take long enough.
        monkeypatch.setattr(candidates, "FEWEST_STEPS", 20)
        result = train(spec, config=with_(steps=40))
        # Before it is the classifier of the same strokes, which is nearly right here.
        assert result.after.iou > 0.7
        assert result.share > 0

    @pytest.mark.slow
    def test_same_seed_same_weights(self):
        one, other = (train(config=with_(steps=6)).checkpoint for _ in range(2))
        for name, weights in one.weights.items():
            assert weights.tobytes() == other.weights[name].tobytes()

    @pytest.mark.slow
    def test_a_trained_model_is_corrected_and_spares_the_rest(self, tuned):
        # A grey ripple through three slices that is a tube as well: new to the model.
        pair, truth = annotated(())
        pair.image[0, 4:7, :16, :16] = 0.35 + 0.2 * np.sin(np.arange(16))
        pair.target[5, 2:14, 2:14] = 1
        pair.target[5, 24:28] = truth[5, 24:28]
        result = train(
            pairs=[pair],
            config=with_(steps=60),
            checkpoint=tuned.checkpoint,
        )
        before, after = (
            Runner(c, "cpu")(pair.image).argmax(axis=0)
            for c in (tuned.checkpoint, result.checkpoint)
        )
        corner = np.s_[5, 2:14, 2:14]
        assert np.mean(before[corner] == 1) < 0.5
        assert np.mean(after[corner] == 1) > 0.8
        rest = np.s_[:, 28:]
        assert np.mean(after[rest] != before[rest]) < 0.05

    @pytest.mark.slow
    def test_short_memory_halves_the_batch_with_a_note(self, monkeypatch):
        draw = Optimisation._draw

        def scarce(self):
            if self.batch > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return draw(self)

        monkeypatch.setattr(Optimisation, "_draw", scarce)
        result = train(config=with_(steps=2))
        assert any("1 crops instead of 2" in note for note in result.notes)

    def test_no_memory_at_all_names_the_crop(self, monkeypatch):
        def fails(*_):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

        monkeypatch.setattr(Optimisation, "_loss", fails)
        with pytest.raises(OutOfMemoryError, match=r"\d+ x \d+ x \d+ pixels does not"):
            train()
