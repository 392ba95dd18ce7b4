"""Tests of the measured halo: found, kept with the model, and reported."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from unet_engine.compute.measured_halo import ALLOWED, measure_halo
from unet_engine.errors import SpecError
from unet_engine.generators import drain
from unet_engine.images import Image
from unet_engine.models.adaptation import adapt_checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import plan_prediction, predict
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.fine_tuning import iter_fine_tune

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import Checkpoint

SPEC = ModelSpec(depth=3, width=4)


def pixels(edge: int = 150) -> np.ndarray:
    return np.random.default_rng(1).random((1, edge, edge), dtype=np.float32)


@pytest.fixture
def near_sighted(make_checkpoint: Callable) -> Checkpoint:
    """Return a model whose pixels see two pixels around them and little more."""
    checkpoint: Checkpoint = make_checkpoint(SPEC)
    last = f"merge.{SPEC.depth - 1}.0.weight"
    weights = dict(checkpoint.weights)
    weights[last] = weights[last].copy()
    weights[last][:, SPEC.width :] *= 1e-6
    return dataclasses.replace(checkpoint, weights=weights)


def test_a_smaller_halo_is_found_where_influence_ends(near_sighted: Checkpoint):
    measured = measure_halo(near_sighted, [pixels()], device="cpu").spec
    # The smallest but none at all.
    assert measured.measured_halo == SPEC.halo_choices[1]
    assert measured.measured_halo is not None
    assert measured.measured_halo[0] < SPEC.footprint.halo[0]
    assert measured.measured_error is not None
    assert measured.measured_error <= ALLOWED
    assert near_sighted.spec == SPEC, "the model that came in stays as it is"


def test_all_of_the_halo_is_kept_where_influence_reaches_far(
    make_checkpoint: Callable,
):
    measured = measure_halo(make_checkpoint(SPEC), [pixels()], device="cpu").spec
    assert (measured.measured_halo, measured.measured_error) == (
        SPEC.footprint.halo,
        0.0,
    )


def test_volumes_are_measured_along_each_axis(make_checkpoint: Callable):
    spec = ModelSpec(ndim=3, depth=1, width=2)
    volume = np.random.default_rng(1).random((1, 12, 40, 40), dtype=np.float32)
    measured = measure_halo(make_checkpoint(spec), [volume], device="cpu").spec
    assert measured.measured_halo in spec.halo_choices


@pytest.mark.slow
def test_a_prediction_with_it_has_smaller_tiles_and_a_note(near_sighted: Checkpoint):
    image = Image.from_array(pixels()[0], "YX", name="noise")
    exact = PredictConfig(device="cpu", tile=32, probabilities=True)
    quick = dataclasses.replace(exact, halo="measured")
    one, other = (predict(image, near_sighted, c) for c in (exact, quick))
    assert one.probabilities is not None
    assert other.probabilities is not None
    assert np.abs(one.probabilities - other.probabilities).max() <= ALLOWED
    assert not one.notes
    small, large = SPEC.halo_choices[1][0], SPEC.footprint.halo[0]
    assert other.notes[-1].startswith(
        f"The measured halo of {small} instead of {large} pixels"
    )
    known = measure_halo(near_sighted, [pixels()], device="cpu").spec
    sizes = [
        plan_prediction(image, known, c).tiles.largest_outer[0] for c in (exact, quick)
    ]
    assert sizes[0] - sizes[1] == 2 * (large - small)


def test_a_stop_leaves_the_model_as_it_is(near_sighted: Checkpoint):
    stopped = measure_halo(near_sighted, [pixels()], device="cpu", stop=lambda: True)
    assert stopped is near_sighted


@pytest.mark.slow
def test_training_measures_anew_and_a_changed_model_forgets(make_checkpoint: Callable):
    checkpoint = measure_halo(make_checkpoint(SPEC), [pixels()], device="cpu")
    target = (pixels(64)[0] > 0.5).astype(np.uint8)
    pair = TrainingPair(image=pixels(64), target=target)
    config = FineTuneConfig(device="cpu", steps=30, minutes=0, crop=32, batch=2)
    result = drain(iter_fine_tune(checkpoint, [pair], config))
    assert result.improved
    found = result.checkpoint.spec
    again = measure_halo(result.checkpoint, [pair.image], device="cpu").spec
    assert (found.measured_halo, found.measured_error) == (
        again.measured_halo,
        again.measured_error,
    )
    assert adapt_checkpoint(checkpoint, classes=("a", "b", "c")).spec.measured_halo is (
        None
    )


def test_a_network_that_is_not_padded_has_one_halo():
    spec = ModelSpec.for_architecture("unet-valid", depth=2, width=2)
    assert spec.halo_choices == (spec.footprint.halo,)


@pytest.mark.parametrize(
    ("halo", "error", "message"),
    [
        ((3, 3), 0.0, "measured_halo is .*it can be one of"),
        ((-6, -6), 0.0, "measured_halo is"),
        (None, 0.5, "measured_halo is None"),
        (SPEC.footprint.halo, None, "measured_error is None"),
        (SPEC.footprint.halo, 2.0, "measured_error is 2.0"),
    ],
)
def test_a_spec_with_an_impossible_measurement_is_refused(halo, error, message):
    with pytest.raises(SpecError, match=message):
        ModelSpec(depth=3, width=4, measured_halo=halo, measured_error=error)


def test_a_measurement_is_read_back():
    spec = dataclasses.replace(
        SPEC, measured_halo=SPEC.halo_choices[1], measured_error=2e-4
    )
    assert ModelSpec.from_dict(spec.to_dict()) == spec
