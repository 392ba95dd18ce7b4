"""Correct a few places, fine-tune, and see what changed there and elsewhere.

::

    python benchmarks/strokes_speed.py --steps 80

The bundled model ``nuclei`` predicts coins, on which it was not trained
(``skimage.data.coins``; the truth is Otsu's threshold, filled and opened). Its largest
mistakes are painted over with the truth, as a user would, and the model is tuned on
nothing else.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage
from skimage import data, filters

from unet_engine.generators import drain
from unet_engine.images import Image, Normalisation
from unet_engine.labels import IGNORE
from unet_engine.models.architectures import ARCHITECTURES
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.fine_tuning import iter_fine_tune

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.training.events import FineTuned

DEVICE = "cpu"


def find_truth(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return 1 on the coins, 0 elsewhere, as ``(Y, X)`` uint8."""
    bright = ndimage.binary_fill_holes(pixels > filters.threshold_otsu(pixels))
    return ndimage.binary_opening(bright, iterations=3).astype(np.uint8)


def paint(
    truth: npt.NDArray[np.uint8], found: npt.NDArray[np.uint8], places: int
) -> npt.NDArray[np.uint8]:
    """Return the truth at the largest mistakes, else ``IGNORE``: ``(Y, X)`` uint8."""
    target = np.full_like(truth, IGNORE)
    for label in (0, 1):
        mistakes = ndimage.binary_opening((found != truth) & (truth == label))
        numbers, count = ndimage.label(mistakes)
        sizes = ndimage.sum_labels(mistakes, numbers, range(1, count + 1))
        largest = 1 + np.argsort(sizes)[::-1][:places]
        target[np.isin(numbers, largest)] = label
    return target


def tune(
    checkpoint: Checkpoint, pair: TrainingPair, config: FineTuneConfig
) -> FineTuned:
    """Drain a training."""
    run = iter_fine_tune(checkpoint, [pair], config)
    return drain(run)


def measure(steps: int, places: int) -> dict[str, Any]:
    """Predict, paint, tune, predict again."""
    pixels = data.coins()
    image = Image.from_array(pixels, "YX", name="coins")
    truth = find_truth(pixels)
    checkpoint = ModelStore().load("nuclei")
    before = predict(image, checkpoint, PredictConfig(device=DEVICE)).labels
    target = paint(truth, before, places)
    block = Normalisation.measure(image).apply(pixels[None])
    recipe = ARCHITECTURES["unet"].transfer_recipe
    config = FineTuneConfig(
        **{**recipe, "device": DEVICE, "minutes": 0, "steps": steps}
    )
    result = tune(checkpoint, TrainingPair(block, target, "coins"), config)
    after = predict(image, result.checkpoint, PredictConfig(device=DEVICE)).labels
    painted = target != IGNORE

    def error(found: npt.NDArray[np.uint8], where: npt.NDArray[np.bool_]) -> float:
        return round(float(np.mean((found != truth)[where])), 4)

    return {
        "steps": steps,
        "painted_pixels": int(painted.sum()),
        "painted_error": [error(before, painted), error(after, painted)],
        "other_error": [error(before, ~painted), error(after, ~painted)],
        "other_changed": round(float(np.mean((before != after)[~painted])), 4),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--places", type=int, default=3, help="mistakes of each class")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(json.dumps(measure(arguments.steps, arguments.places), indent=2))


if __name__ == "__main__":
    main()
