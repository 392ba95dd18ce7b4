import pytest
import torch

from unet_engine.labels import IGNORE
from unet_engine.training.data.augmentation import Augmentation, perturb

CROP = 32


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def vary(augmentation, images, targets, seed=0):
    return augmentation(images, targets, CROP, seeded(seed))[:2]


def source(augmentation, count=8):
    size = augmentation.source_size(CROP)
    generator = seeded(5)
    targets = torch.randint(0, 3, (count, size, size), generator=generator)
    images = targets[:, None].float().repeat(1, 2, 1, 1)
    return images, targets.to(torch.uint8)


STILL = Augmentation(elastic=0, flips=False, scaling=1, intensity=0)


def test_nothing_requested_changes_nothing():
    images, targets = source(STILL)
    varied, truth = vary(STILL, images, targets)
    assert torch.allclose(varied, images, atol=1e-4)
    assert torch.equal(truth, targets.long())


def test_flips_and_quarter_turns_move_pixels_onto_pixels():
    augmentation = Augmentation(elastic=0, flips=True, scaling=1, intensity=0)
    images, targets = source(augmentation, count=64)
    varied, truth = vary(augmentation, images, targets)
    low = (images.shape[-1] - CROP) // 2
    middle = targets[:, low : low + CROP, low : low + CROP].long()
    seen = set()
    for crop, mapped in zip(middle, truth, strict=True):
        for number in range(8):
            turned = torch.rot90(crop.flip(1) if number > 3 else crop, number % 4)
            if torch.equal(turned, mapped):
                seen.add(number)
    assert seen == set(range(8))
    whole = (varied[:, 0] - truth).abs().amax(dim=(1, 2)) < 1e-3
    assert 8 < whole.sum() < 56


def test_weights_move_with_the_target():
    augmentation = Augmentation(elastic=6, flips=True, scaling=1.3, intensity=0.5)
    size = augmentation.source_size(CROP)
    targets = torch.zeros(4, size, size, dtype=torch.uint8)
    targets[:, size // 2 :, size // 3 :] = 1
    weights = 1 + 9 * targets.float()
    _, truth, moved, *_ = augmentation(
        targets[:, None].float(), targets, CROP, seeded(), weights
    )
    known = truth != IGNORE
    assert truth[known].unique().tolist() == [0, 1]
    assert (moved[known] - 1 - 9 * truth[known]).abs().median() < 1e-3
    assert ((moved - 1 - 9 * truth).abs()[known] > 5).float().mean() < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_image_and_target_move_together(seed):
    augmentation = Augmentation(elastic=6, flips=True, scaling=1.3, intensity=0)
    size = augmentation.source_size(CROP)
    targets = torch.zeros(4, size, size, dtype=torch.uint8)
    targets[:, size // 2 :, size // 3 :] = 1
    varied, truth = vary(augmentation, targets[:, None].float(), targets, seed)
    known = truth != IGNORE
    assert ((varied[:, 0] > 0.5) == (truth == 1))[known].float().mean() > 0.98


def test_outside_the_source_is_ignored_in_the_target_and_finite_in_the_image():
    augmentation = Augmentation(elastic=60, flips=True, scaling=1, intensity=0.5)
    images = torch.rand(4, 1, CROP, CROP, generator=seeded())
    targets = torch.ones(4, CROP, CROP, dtype=torch.uint8)
    varied, truth = vary(augmentation, images, targets)
    assert set(truth.unique().tolist()) == {1, IGNORE}
    assert varied.isfinite().all()


def test_elastic_displaces_by_its_standard_deviation():
    augmentation = Augmentation(elastic=5, flips=False, scaling=1, intensity=0)
    grid = augmentation._grid(33, seeded(), 400)
    still = Augmentation(elastic=0, flips=False, scaling=1)._grid(33, seeded(), 400)
    # The corner is a point of the coarse grid, where nothing is interpolated.
    assert (grid - still)[:, 0, 0].std() == pytest.approx(5, rel=0.1)


def test_same_generator_same_result_and_the_global_one_is_left_alone():
    augmentation = Augmentation()
    images, targets = source(augmentation)
    before = torch.get_rng_state()
    first, again, other = (vary(augmentation, images, targets, s)[0] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_perturbed_images_keep_their_shape_and_stay_in_a_sane_range():
    images = torch.rand(6, 3, 40, 40, generator=seeded()) * 6 - 1
    changed = perturb(images, 1.0, seeded(1))
    assert changed.shape == images.shape
    assert changed.isfinite().all()
    assert changed.abs().max() < 40
    assert not torch.allclose(changed, images)


def test_strength_zero_is_the_same_image():
    images = torch.rand(2, 1, 8, 8, generator=seeded())
    assert perturb(images, 0, seeded()) is images


def test_blur_keeps_the_mean_and_takes_contrast():
    generator = seeded(3)
    images = torch.rand(4, 2, 64, 64, generator=generator)
    from unet_engine.training.data.augmentation import _blur

    blurred = _blur(images, torch.tensor([0.0, 0.8, 1.2, 0.0]))
    assert torch.equal(blurred[0], images[0])
    assert torch.allclose(blurred.mean(), images.mean(), atol=2e-3)
    assert torch.all(blurred[1:3].std(dim=(2, 3)) < 0.7 * images[1:3].std(dim=(2, 3)))
