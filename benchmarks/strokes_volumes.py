"""Paint a few strokes on three slices of a stack, train a network of volumes, score it.

::

    python benchmarks/strokes_volumes.py --set fluo_ovule_nuclei_3d --steps 150

The simulated user of ``strokes_planes.py`` paints on slices at a quarter, a half and
three quarters of the depth; the others are scored. Side by side: strokes alone, and
strokes with soft targets of the instant learner around them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import torch
from stroke_study.scores import Scoring
from stroke_study.user import SimulatedUser, nothing_painted

from unet_engine.errors import DataError, EngineError
from unet_engine.generators import drain
from unet_engine.images import Image, Normalisation, open_image
from unet_engine.models.architectures import ARCHITECTURES
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import model_of_planes, start_checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.training import fine_tuning
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair

if TYPE_CHECKING:
    import numpy.typing as npt

    Mask = npt.NDArray[np.uint8]


def read_stack(folder: Path) -> tuple[Image, Mask]:
    """Return the first stack of a folder, and 1 where labelled, ``(Z, Y, X)`` uint8."""
    files = sorted((folder / "images").glob("*.tif"))
    if not files:
        raise DataError(f"{folder}/images has no stack; give --data where the sets lie")
    stack, labels = (
        np.stack([image.read((z,))[0] for z in range(image.leading_shape[0])])
        for image in (
            open_image(files[0]),
            open_image(folder / "labels" / files[0].name),
        )
    )
    image = Image.from_array(stack, "ZYX", name=files[0].stem)
    return image, (labels > 0).astype(np.uint8)


def paint(truth: Mask, planes: list[int], strokes: int, seed: int) -> Mask:
    """Return strokes on some slices, ``(Z, Y, X)`` uint8, ``IGNORE`` elsewhere."""
    user, target = SimulatedUser(seed), nothing_painted(truth)
    nothing = np.zeros(truth.shape[1:], np.uint8)
    for z in planes:
        user.paint(truth[z], nothing, target[z], count=strokes)
    return target


def train(
    image: Image, target: Mask, steps: int, *, soft_targets: bool
) -> tuple[npt.NDArray[np.float32], float]:
    """Return the probability of the foreground, ``(Z, Y, X)``, and the seconds."""
    pixels = Normalisation.measure(image).apply(
        np.stack([image.read((z,)) for z in range(image.leading_shape[0])], axis=1)
    )
    recipe = ARCHITECTURES["unet"].recipe
    config = FineTuneConfig(**{**recipe, "minutes": 0.0, "steps": steps})
    start = start_checkpoint(ModelSpec.for_architecture("unet", ndim=3))
    add = (
        fine_tuning.with_soft_targets if soft_targets else lambda pairs, *_, **__: pairs
    )
    began = time.monotonic()
    with mock.patch.object(fine_tuning, "with_soft_targets", add):
        run = fine_tuning.iter_fine_tune(
            start,
            [TrainingPair(pixels, target)],
            config,
            features_from=model_of_planes(ModelStore(), start.spec.in_channels),
        )
        model = drain(run).checkpoint
    seconds = time.monotonic() - began
    found = predict(image, model, PredictConfig(probabilities=True)).probabilities
    return np.asarray(found)[1], seconds


def study(folder: Path, steps: int, strokes: int, seed: int) -> list[dict[str, Any]]:
    """Return the figures without and with soft targets."""
    image, truth = read_stack(folder)
    planes = [len(truth) * quarter // 4 for quarter in (1, 2, 3)]
    target = paint(truth, planes, strokes, seed)
    others = np.setdiff1d(np.arange(len(truth)), planes)
    rows = []
    for soft_targets in (False, True):
        found, seconds = train(image, target, steps, soft_targets=soft_targets)
        scoring = Scoring()
        scoring.add(truth[others], found[others])
        figures = scoring.scores()._asdict()
        figures = {name: round(float(value), 3) for name, value in figures.items()}
        rows.append(
            {"dataset": folder.name, "soft_targets": soft_targets, "seed": seed}
            | figures
            | {"seconds": round(seconds, 1)}
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main(argv: list[str] | None = None) -> int:
    """Read the command line, train twice, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", default="fluo_ovule_nuclei_3d", help="a folder")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--strokes", type=int, default=5, help="of a class, on a slice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: all cores")
    arguments = parser.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        study(
            arguments.data / arguments.set,
            arguments.steps,
            arguments.strokes,
            arguments.seed,
        )
    except (EngineError, OSError) as error:
        print(f"strokes_volumes: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
