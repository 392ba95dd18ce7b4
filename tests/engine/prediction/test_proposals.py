"""Models that are proposed for an image by trying them on a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from skimage.color import hed2rgb

from unet_engine.errors import Cancelled
from unet_engine.images import Image
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.proposals.agreement import Finding
from unet_engine.prediction.proposals.proposal import (
    Proposals,
    _doubts,
    _score,
    iter_propose,
    propose,
)
from unet_engine.prediction.scale import SizeEstimate
from unet_engine.synthetic.nuclei import nuclei as generated_nuclei

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import ModelInfo

CPU = PredictConfig(device="cpu")


def bundled(name: str) -> tuple[ModelInfo, ...]:
    return (ModelStore().info(name),)


@pytest.fixture
def save(tmp_path: Path) -> Any:
    """Save a small model with random weights, and return what is known of it."""
    store = ModelStore(tmp_path)

    def saved(name: str, **fields: Any) -> ModelInfo:
        spec = ModelSpec(**{"depth": 2, "width": 4, **fields})
        return store.save(name, start_checkpoint(spec))

    return saved


def stack_with_nuclei_in_a_corner() -> tuple[Image, np.ndarray]:
    pixels, truth = generated_nuclei((96, 96), seed=2, diameter=24.0)
    stack = np.random.default_rng(0).normal(pixels.min(), 0.01, (3, 400, 420))
    stack[1, 200:296, 300:396] = pixels
    return Image.from_array(stack.astype(np.float32), "ZYX", name="stack"), truth


def test_nuclei_are_found_and_their_model_suits() -> None:
    image, truth = stack_with_nuclei_in_a_corner()
    found = propose(image, bundled("nuclei"), CPU)
    best = found.best
    assert best is not None
    assert best.model.name == "nuclei"
    assert best.index == (1,)
    assert best.score > 0.8
    assert "px" in best.reason
    assert best.labels.shape == best.picture.shape[:2]
    assert best.picture.shape[2] == 3
    # What is found lies on what is bright in the picture.
    grey = best.picture.mean(axis=2)
    assert grey[best.labels == 1].mean() > grey[best.labels == 0].mean() + 60
    share = np.count_nonzero(truth) / truth.size
    assert 0 < best.labels.mean() < share


def test_no_model_suits_an_image_without_objects() -> None:
    noise = np.random.default_rng(0).normal(100, 3, (120, 140)).astype(np.float32)
    for pixels in (noise, np.full_like(noise, 7)):
        found = propose(Image.from_array(pixels, "YX"), bundled("nuclei"), CPU)
        assert found.best is None
        (tried,) = found.ranked
        assert tried.score < 0.5


def test_models_that_cannot_read_the_image_are_left_out(save: Any) -> None:
    image = Image.from_array(np.zeros((2, 64, 64), np.uint8), "CYX", name="two")
    models = [
        save("grey"),
        save("colour", in_channels=3),
        save("volumes", in_channels=2, ndim=3),
        save("two", in_channels=2),
    ]
    found = propose(image, models, CPU)
    assert [each.model.name for each in found.ranked] == ["two"]
    grey, colour, volumes = found.left_out
    assert "2 channels, the model takes 1 channel" in grey
    assert "2 channels, the model takes 3 channels" in colour
    assert volumes == "volumes was not tried: it works on volumes"


def test_a_damaged_model_is_left_out(save: Any) -> None:
    damaged, whole = save("damaged"), save("whole")
    damaged.path.write_bytes(damaged.path.read_bytes()[:-100])
    image = Image.from_array(np.eye(64, dtype=np.uint8), "YX")
    found = propose(image, [damaged, whole], CPU)
    assert [each.model.name for each in found.ranked] == ["whole"]
    assert found.left_out[0].startswith("damaged was not tried: ")


def test_an_image_that_is_too_small_leaves_nothing_to_try(save: Any) -> None:
    image = Image.from_array(np.eye(16, dtype=np.uint8), "YX")
    found = propose(image, [save("tiny")], CPU)
    assert not found.ranked
    assert "too small" in found.left_out[0]


def test_each_model_is_shown_as_soon_as_it_was_tried(save: Any) -> None:
    image = Image.from_array(np.eye(64, dtype=np.uint8), "YX")
    run = iter_propose(image, [save("one"), save("two")], CPU)
    assert next(run).model.name == "one"
    assert next(run).model.name == "two"
    with pytest.raises(StopIteration) as end:
        next(run)
    assert isinstance(end.value.value, Proposals)


def test_it_can_be_stopped(save: Any) -> None:
    image = Image.from_array(np.eye(64, dtype=np.uint8), "YX")
    with pytest.raises(Cancelled):
        propose(image, [save("one")], CPU, stop=lambda: True)


def finding(**values: float) -> Finding:
    usual = {"share": 0.2, "confidence": 0.9, "between": 0.1, "agreement": 0.9}
    return Finding(labels=np.zeros((1, 1), np.uint8), **{**usual, **values})


@pytest.mark.parametrize("share", [0.0, 0.001, 0.95, 1.0])
def test_nothing_and_everything_convince_nobody(share: float) -> None:
    assert _score(finding(share=share), {}) == 0


def test_a_score_falls_with_doubt() -> None:
    sure = _score(finding(), {})
    assert sure == pytest.approx(0.81)
    assert _score(finding(confidence=0.7), {}) < sure
    assert _score(finding(agreement=0.7), {}) < sure
    assert _score(finding(), {"a texture": 0.75}) < sure


def test_a_texture_is_doubted() -> None:
    spec = ModelSpec(brightness="foreground", object_size_px=20)
    sure, unsure = SizeEstimate(diameter_px=20, sure=True), SizeEstimate()
    assert not _doubts(finding(), sure, spec, stained=False)
    assert not _doubts(finding(), None, spec, stained=False)
    assert len(_doubts(finding(), unsure, spec, stained=False)) == 1
    between = finding(between=0.4)
    assert len(_doubts(between, sure, spec, stained=False)) == 1
    assert len(_doubts(between, unsure, spec, stained=False)) == 2
    # Percentiles state nothing on what is background.
    assert not _doubts(between, sure, ModelSpec(), stained=False)


@pytest.mark.parametrize(
    ("between", "word"), [(0.1, "darker"), (0.5, ""), (0.9, "brighter")]
)
def test_another_background_than_where_it_learned_is_doubted(
    between: float, word: str
) -> None:
    spec = ModelSpec(background_range=(0.3, 0.8))
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    doubts = _doubts(finding(between=between), None, spec, stained=False)
    assert len(doubts) == bool(word)
    assert all(word in doubt for doubt in doubts)


@pytest.mark.slow
def test_a_stain_that_a_model_reads_as_grey_is_doubted() -> None:
    pixels, _ = generated_nuclei((256, 256), seed=2, diameter=24.0)
    haematoxylin = 0.9 * (pixels - pixels.min()) / np.ptp(pixels)
    dyes = np.stack([haematoxylin, np.full_like(pixels, 0.12), 0 * pixels])
    tissue = (255 * hed2rgb(dyes, channel_axis=0)).astype(np.uint8)
    image = Image.from_array(tissue, "CYX", rgb=True)
    (cells,) = propose(image, bundled("cells"), CPU).ranked
    assert not cells.suits
    assert "stained" in cells.reason
    (nuclei,) = propose(image, bundled("nuclei"), CPU).ranked
    assert "stained" not in nuclei.reason


@pytest.mark.slow
def test_pixels_without_data_are_no_part_of_what_is_found() -> None:
    noise = np.random.default_rng(0).normal(100, 10, (400, 400)).astype(np.float32)
    noise[::3] = np.nan
    (cells,) = propose(Image.from_array(noise, "YX"), bundled("cells"), CPU).ranked
    assert not cells.suits
    assert cells.reason == "marks all of it"


def test_the_start_of_trainings_comes_after_tools(save: Any) -> None:
    """It marks whatever looks like an object, however sure it is."""
    image, _ = stack_with_nuclei_in_a_corner()
    (start,) = (m for m in ModelStore().list() if m.is_start)
    found = propose(image, [start, save("noise")], CPU)
    assert [each.model.name for each in found.ranked] == ["noise", "general"]
    assert found.ranked[1].reason.startswith(("marks objects of any kind", "unsure"))
    assert found.best is None
