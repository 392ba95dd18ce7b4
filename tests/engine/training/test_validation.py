import numpy as np
import torch
from torch import nn

from unet_engine.labels import IGNORE
from unet_engine.models.spec import ModelSpec
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import NEAR, TrainingPair
from unet_engine.training.validation import HeldOut, affordable_pixels, find_mistakes

SPEC = ModelSpec(depth=2, width=4)


class Threshold(nn.Module):
    """Predicts class 1 where the image is above one half, at odds of 1 to 3."""

    def __init__(self):
        super().__init__()
        self.pixels = 0

    def forward(self, x):
        self.pixels += x.shape[-1] * x.shape[-2]
        odds = torch.full_like(x, float(np.log(3.0)))
        return torch.cat((torch.zeros_like(x), odds * (x - 0.5).sign()), dim=1)


def pair(shape=(300, 700), seed=0):
    image = np.random.default_rng(seed).random((1, *shape), dtype=np.float32)
    return TrainingPair(image, (image[0] > 0.5).astype(np.uint8))


def held_out(pairs, pixels=10**7, seed=0):
    return HeldOut(pairs, SPEC, pixels=pixels, seed=seed)


def test_every_labelled_pixel_counts_once_and_in_its_place():
    look = held_out([pair()]).evaluate(Threshold(), "cpu")
    assert look.iou == 1
    assert look.changed == 0
    assert abs(look.loss - np.log(4 / 3)) < 1e-5


def test_only_labelled_pixels_count():
    one = pair()
    one.target[:] = 1 - one.target
    one.target[7:290, 3:600] = IGNORE
    one.target[100:110, 100:110] = one.image[0, 100:110, 100:110] > 0.5
    right = 100
    wrong = int((one.target != IGNORE).sum()) - right
    loss = held_out([one]).evaluate(Threshold(), "cpu").loss
    expected = (right * np.log(4 / 3) + wrong * np.log(4)) / (right + wrong)
    assert abs(loss - expected) < 1e-5


def test_tiles_without_labels_are_not_computed():
    one = pair((600, 600))
    one.target[:] = IGNORE
    one.target[300:310, 300:310] = 1
    network = Threshold()
    held_out([one]).evaluate(network, "cpu")
    assert network.pixels <= 330**2


def test_evaluations_are_limited_and_cover_every_class():
    pairs = [pair((256, 256), seed) for seed in range(12)]
    for one in pairs[1:]:
        one.target[:] = 0
    network = Threshold()
    held_out(pairs, pixels=300_000).evaluate(network, "cpu")
    assert 200_000 < network.pixels <= 300_000
    for seed in range(5):
        views = held_out(pairs, pixels=300_000, seed=seed)._views
        assert any(view.pair is pairs[0] for view in views)


def test_longer_runs_evaluate_more():
    def config(minutes=0.0, steps=0):
        return FineTuneConfig(minutes=minutes, steps=steps)

    assert affordable_pixels(config(1)) < affordable_pixels(config(15))
    assert affordable_pixels(config(15)) == affordable_pixels(config(15, 10**6))
    assert affordable_pixels(config(0, 100)) < affordable_pixels(config(0, 10_000))
    assert affordable_pixels(config(1440)) <= 8_000_000


def test_mistakes_are_where_the_labels_differ():
    one = pair()
    wrong = np.zeros(one.target.shape, bool)
    wrong[10:20, 250:280] = True
    one.target[wrong] = 1 - one.target[wrong]
    one.target[200:] = IGNORE
    found = find_mistakes([one], Threshold(), SPEC, "cpu")
    assert np.array_equal(found[0], wrong)


def test_change_away_from_labels_is_noted():
    one = pair((256, 256))
    one.target[:] = IGNORE
    one.target[:4, :4] = 1
    held_out = HeldOut([one], SPEC, pixels=10**7, seed=0, watched=[one])
    assert held_out.evaluate(Threshold(), "cpu").changed == 0

    class Never(Threshold):
        def forward(self, x):
            return super().forward(torch.zeros_like(x))

    far = np.ones((256, 256), bool)
    far[: 4 + NEAR, : 4 + NEAR] = False
    changed = held_out.evaluate(Never(), "cpu").changed
    assert abs(changed - np.mean(one.image[0][far] > 0.5)) < 1e-9
