"""Paint a few strokes on three slices of a stack, and segment it in several ways.

::

    python benchmarks/strokes_volumes.py --sets fluo_ovule_nuclei_3d --steps 60

The simulated user of ``few_strokes.py`` paints on slices at a quarter, a half and three
quarters of the depth; voxels of other slices are scored, those of a regular grid, as a
prediction in all directions takes long. Each way is the product's own: a round of
training that saves a model, and a prediction with that model.

=================  ==================================================================
``nuclei``         the bundled model, untouched, plane by plane
``live``           the pixel classifier alone
``planes``         a model of planes, from ``general``
``planes_nuclei``  the same from ``nuclei``
``volume``         a model of volumes, from random weights
``inflated``       the same from ``general``, its kernels repeated along Z
=================  ==================================================================

Those of planes are scored a second time, with ``+three`` behind their name: the mean
over the planes in all three directions.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from stroke_study.scores import Scoring
from stroke_study.user import SimulatedUser, nothing_painted
from stroke_study.volumes import Stack, annotations_of, inflated, read_stack

from unet_engine.errors import EngineError
from unet_engine.generators import drain
from unet_engine.images import Image, Normalisation, match_channels
from unet_engine.interactive.labelled_blocks import LabelledBlocks
from unet_engine.interactive.learner import InstantLearner
from unet_engine.interactive.live_model import live_model
from unet_engine.models.architectures import ARCHITECTURES
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint, start_features
from unet_engine.models.store import ModelStore
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.labelled_images import PaintedImage
from unet_engine.training.rounds import Round, train_round

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from unet_engine.annotations.annotations import Annotations

    Mask = npt.NDArray[np.uint8]
    Places = npt.NDArray[np.intp]
    Floats = npt.NDArray[np.float32]

SETS = (
    "fluo_ovule_nuclei_3d",
    "fluo_mouse_embryo_3d",
    "em_fib25_neurons_3d",
    "fluo_ovule_cells_3d",
)
CLASSES = ("background", "foreground")
DIRECTIONS = ("ZYX", "YZX", "XYZ")
"""Names of the axes of a stack, so that planes of each direction are its planes."""
SAMPLES = 24
"""Positions along an axis that are scored: 13,824 voxels of a stack."""


def paint(truth: Mask, planes: Sequence[int], strokes: int, seed: int) -> Mask:
    """Return strokes on some slices, ``(Z, Y, X)`` uint8, ``IGNORE`` elsewhere."""
    user, target = SimulatedUser(seed), nothing_painted(truth)
    nothing = np.zeros(truth.shape[1:], np.uint8)
    for z in planes:
        user.paint(truth[z], nothing, target[z], count=strokes)
    return target


def untouched(image: Image, strokes: Annotations, steps: int) -> Checkpoint:
    """Return ``nuclei`` as it is."""
    return ModelStore().load("nuclei")


def by_live(image: Image, strokes: Annotations, steps: int) -> Checkpoint:
    """Return the model that Live would save."""
    start = start_features(
        ModelStore().load("general"), classes=CLASSES, in_channels=image.channels
    )
    cache = FeatureCache(image, Normalisation.measure(image), FeatureExtractor(start))
    learner = InstantLearner(len(CLASSES))
    learner.learn([(LabelledBlocks(cache), strokes)])
    return live_model(learner, CLASSES, start.spec)


def by_training(
    image: Image,
    strokes: Annotations,
    steps: int,
    *,
    make_start: Callable[[ModelStore], Checkpoint],
) -> Checkpoint:
    """Return what the button Fine-tune makes of a start."""
    with TemporaryDirectory() as folder:
        store = ModelStore(Path(folder))
        start = make_start(store)
        recipe = ARCHITECTURES["unet"].recipe_for(transfer=bool(start.history))
        order = Round(
            start=start,
            data=[PaintedImage(image=image, strokes=strokes)],
            config=FineTuneConfig(**{**recipe, "minutes": 0.0, "steps": steps}),
            name="tuned",
        )
        trained = drain(train_round(order, store, folders=()))
        if trained.model is None:
            return trained.result.checkpoint
        return Checkpoint.load(trained.model.path)


def _from_general(store: ModelStore) -> Checkpoint:
    return start_features(store.load("general"), classes=CLASSES, in_channels=1)


def _from_nuclei(store: ModelStore) -> Checkpoint:
    return replace(
        store.load("nuclei"), spec=store.load("nuclei").spec.changed(classes=CLASSES)
    )


def _from_nothing(store: ModelStore) -> Checkpoint:
    spec = ModelSpec.for_architecture("unet", ndim=3, classes=CLASSES)
    return start_checkpoint(spec)


def _from_inflated(store: ModelStore) -> Checkpoint:
    return inflated(_from_general(store))


METHODS: dict[str, Callable[[Image, Annotations, int], Checkpoint]] = {
    "nuclei": untouched,
    "live": by_live,
    "planes": partial(by_training, make_start=_from_general),
    "planes_nuclei": partial(by_training, make_start=_from_nuclei),
    "volume": partial(by_training, make_start=_from_nothing),
    "inflated": partial(by_training, make_start=_from_inflated),
}


def sampled(size: int, left_out: Sequence[int] = ()) -> npt.NDArray[np.intp]:
    """Return positions along an axis, evenly spread, without some."""
    there = np.setdiff1d(np.arange(size), left_out)
    return there[np.linspace(0, len(there) - 1, min(SAMPLES, len(there))).astype(int)]


def probability(
    image: Image, model: Checkpoint, grid: Sequence[Places], directions: Sequence[str]
) -> Floats:
    """Return that of the foreground on a grid, the mean over directions.

    Parameters
    ----------
    image
        Axes ``ZYX``.
    model
        Of planes, or of volumes.
    grid
        Positions along each axis.
    directions
        Of `DIRECTIONS`.
    """
    spec = model.spec
    image = match_channels(image, spec.in_channels)
    normalisation = Normalisation.measure(image, spec.preparation)
    total = np.zeros([len(places) for places in grid], np.float32)
    for axes in directions:
        planes = grid[axes.index("Z")]
        found = predict(
            replace(image, axes=axes),
            model,
            PredictConfig(probabilities=True),
            normalisation=normalisation,
            indices=[(int(at),) for at in planes],
        )
        order = ["ZYX".index(axis) for axis in axes]
        known = np.asarray(found.probabilities)[1].transpose(order)
        total += known[np.ix_(*grid)]
    return total / np.float32(len(directions))


def study(
    name: str, stack: Stack, methods: Sequence[str], strokes: int, steps: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each method on the slices that nobody painted on."""
    planes = [len(stack.truth) * quarter // 4 for quarter in (1, 2, 3)]
    painted = annotations_of(paint(stack.truth, planes, strokes, seed))
    depth, *sizes = stack.truth.shape
    grid = [sampled(depth, planes), *map(sampled, sizes)]
    for method in methods:
        began = time.monotonic()
        model = METHODS[method](stack.image, painted, steps)
        part = model.classifier
        learning = time.monotonic() - began
        for suffix, directions in (("", DIRECTIONS[:1]), ("+three", DIRECTIONS)):
            if suffix and model.spec.ndim == 3:
                continue
            began = time.monotonic()
            found = probability(stack.image, model, grid, directions)
            scoring = Scoring()
            scoring.add(stack.truth[np.ix_(*grid)], found)
            figures = scoring.scores()
            yield {
                "dataset": name,
                "method": method + suffix,
                "seed": seed,
                "iou": round(float(figures.iou), 3),
                "best_iou": round(float(figures.best_iou), 3),
                "ap": round(float(figures.ap), 3),
                "network_share": None if part is None else part.network_share,
                "seconds": round(learning, 1),
                "predict_s": round(time.monotonic() - began, 1),
            }


def main(argv: list[str] | None = None) -> int:
    """Read the command line, study, print and record."""
    arguments = _parser().parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    rows: list[dict[str, Any]] = []
    try:
        for name in arguments.sets.split(","):
            stack = read_stack(arguments.data / name)
            for row in study(
                name,
                stack,
                arguments.methods.split(","),
                arguments.strokes,
                arguments.steps,
                arguments.seed,
            ):
                rows.append(row)
                print(json.dumps(row), flush=True)
                if arguments.json:
                    arguments.json.write_text(json.dumps(rows, indent=1))
    except (EngineError, OSError) as error:
        print(f"strokes_volumes: error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default=",".join(SETS), help="folders, with commas")
    parser.add_argument("--methods", default=",".join(METHODS), help="with commas")
    parser.add_argument("--steps", type=int, default=100, help="of a training")
    parser.add_argument("--strokes", type=int, default=5, help="of a class, on a slice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file that takes the rows")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: all cores")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
