"""What is measured of an image is measured once, whichever job comes first."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from napari_unet.state import image_measures
from napari_unet.state.image_measures import ImageMeasures
from unet_engine.errors import Cancelled
from unet_engine.images import Image
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction import size_estimate
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.scale import SizeEstimate
from unet_engine.stopping import never

SPEC = ModelSpec(depth=2, width=2, object_size_px=20.0)


class _Checkpoint:
    spec = SPEC


class Slow:
    """A measurement that waits until the test lets it go on."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self, *_: Any) -> Any:
        self.calls += 1
        self.begun.set()
        assert self.go_on.wait(30)
        return self._result


@pytest.fixture
def measures() -> ImageMeasures:
    pixels = np.arange(400, dtype=np.uint8).reshape(20, 20)
    return ImageMeasures(Image.from_array(pixels, "YX", name="cells"))


def _beside(work: Any, slow: Slow, other: Any) -> tuple[Any, Any]:
    """Begin some work, begin the other one, and let both end."""
    results: dict[str, Any] = {}
    first = threading.Thread(target=lambda: results.update(first=work()))
    first.start()
    assert slow.begun.wait(30)
    second = threading.Thread(target=lambda: results.update(second=other()))
    second.start()
    slow.go_on.set()
    for thread in (first, second):
        thread.join(30)
    return results["first"], results["second"]


def test_a_job_waits_for_the_brightness_that_another_one_measures(
    measures: ImageMeasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(object())
    monkeypatch.setattr(image_measures.Normalisation, "measure", slow)
    first, second = _beside(
        lambda: measures.normalisation(SPEC), slow, lambda: measures.normalisation(SPEC)
    )

    assert first is second
    assert slow.calls == 1


def test_a_job_waits_for_the_size_that_another_one_estimates(
    measures: ImageMeasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(SizeEstimate(diameter_px=12.0, sure=True))
    monkeypatch.setattr(size_estimate, "estimate_object_size", slow)
    config = PredictConfig(device="cpu")
    how = (measures.image, _Checkpoint(), config, measures.normalisation(SPEC), never)
    sizes: Any = measures.object_sizes
    _, settled = _beside(
        lambda: sizes.estimate(*how), slow, lambda: sizes.settled(*how)
    )

    assert settled.object_size == 12.0
    assert slow.calls == 1


def test_an_estimate_alone_is_no_size_that_was_used(
    measures: ImageMeasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SizeEstimate(diameter_px=12.0, sure=True)
    monkeypatch.setattr(size_estimate, "estimate_object_size", lambda *_: found)
    sizes: Any = measures.object_sizes
    config = PredictConfig(device="cpu")
    sizes.estimate(
        measures.image, _Checkpoint(), config, measures.normalisation(SPEC), never
    )

    assert sizes.found(SPEC, config) is found
    assert sizes.used == "auto"


def test_who_waits_for_another_job_can_be_stopped(
    measures: ImageMeasures, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(object())
    monkeypatch.setattr(image_measures.Normalisation, "measure", slow)
    first = threading.Thread(target=lambda: measures.normalisation(SPEC))
    first.start()
    assert slow.begun.wait(30)
    with pytest.raises(Cancelled):
        measures.normalisation(SPEC, lambda: True)
    slow.go_on.set()
    first.join(30)
