import pytest
import torch

from unet_engine.labels import IGNORE
from unet_engine.training.losses import (
    masked_cross_entropy,
    masked_dice,
)

LOSSES = [masked_cross_entropy, masked_dice]


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 8, 8, generator=generator).requires_grad_()


@pytest.fixture
def target():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 3, (2, 8, 8), generator=generator)


@pytest.mark.parametrize("loss", LOSSES)
def test_unlabelled_pixels_have_no_gradient(loss, logits, target):
    target[:, :, 3:] = IGNORE
    loss(logits, target).backward()
    assert torch.all(logits.grad[..., 3:] == 0)
    assert torch.all(logits.grad[..., :3].abs().sum(dim=1) > 0)


@pytest.mark.parametrize("loss", LOSSES)
def test_crop_without_labels_has_no_loss_and_no_gradient(loss, logits, target):
    value = loss(logits, torch.full_like(target, IGNORE))
    value.backward()
    assert value == 0
    assert torch.all(logits.grad == 0)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_output_at_an_unlabelled_pixel_does_not_matter(loss, logits, target):
    target[:, 2] = IGNORE
    other = logits.detach().clone()
    other[:, :, 2] = 50.0
    assert loss(other, target) == pytest.approx(loss(logits, target).item())


@pytest.mark.parametrize("loss", LOSSES)
def test_right_answer_costs_nothing_and_wrong_one_much(loss, target):
    right = 40 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1).float()
    assert float(loss(right, target)) == pytest.approx(0, abs=1e-4)
    assert float(loss(right, (target + 1) % 3)) > 0.9


def test_cross_entropy_is_the_mean_over_labelled_pixels():
    logits = torch.zeros(1, 4, 1, 2)
    target = torch.tensor([[[2, IGNORE]]])
    expected = torch.log(torch.tensor(4.0))
    assert masked_cross_entropy(logits, target) == pytest.approx(float(expected))


def test_dice_leaves_out_classes_that_are_not_labelled():
    logits = torch.tensor([40.0, 0.0, 0.0]).reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    assert float(masked_dice(logits, target)) == pytest.approx(0, abs=1e-4)


def test_weighted_cross_entropy_is_the_weighted_mean():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, 5, 5, generator=generator)
    target = torch.randint(0, 3, (2, 5, 5), generator=generator)
    target[0, 0] = IGNORE
    weights = torch.rand(2, 5, 5, generator=generator)
    each = -logits.log_softmax(1).gather(1, target.where(target != IGNORE, 0)[:, None])
    known = weights * (target != IGNORE)
    expected = float((known * each[:, 0]).sum() / known.sum())
    found = float(masked_cross_entropy(logits, target, weights))
    assert found == pytest.approx(expected, rel=1e-5)
    assert found != pytest.approx(float(masked_cross_entropy(logits, target)))
    assert float(masked_cross_entropy(logits, target, 0 * weights)) == 0
