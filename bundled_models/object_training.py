"""Train a bundled model that sees objects, after its recipe.

Every five minutes the averaged weights go to ``--out``, the state of the training
beside it (``.training.safetensors``) and a line to the log; the command goes on from
there when it is started again. ``--minutes`` is how long it trains in all; in the last
sixth the learning rate falls to zero.
"""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bundled_models.long_training import LongTraining, state_path, write_log
from bundled_models.object_crops import draw_batch
from bundled_models.object_recipe import GENERATED
from bundled_models.object_scores import at_scale, score
from unet_engine.labels import IGNORE
from unet_engine.models.beside.paths import crops_path
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import build
from unet_engine.models.starting import start_features
from unet_engine.training.course.schedule import Schedule
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.remembered_crops import cut_crops, save_crops

if TYPE_CHECKING:
    from bundled_models.labelled_image import LabelledImage
    from bundled_models.object_crops import Batch
    from bundled_models.object_recipe import ObjectRecipe

PEAK = 2e-3
"""Highest learning rate of the schedule, which is constant at half of it."""
MOMENTUM = 0.998
"""Of the average of the weights: some hundred steps count."""
MAP_WEIGHT = 2.0
"""Of the losses of the maps beside those of the classes, which are larger and hardly
fall any more: what separates objects is still learned."""
SAVE_SECONDS = 300.0
"""Between two savings of the training: at most so much is lost by an interruption."""
_USUAL = (1, 99)
"""Percentiles of the brightness of backgrounds: an image or two may be odd."""
_FEW = 24
"""Held-out images of a set at most that a line of the log is measured on."""


def losses(logits: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Return the losses of classes and maps; what is unknown takes no part."""
    number = logits.shape[1] - batch.maps.shape[1]
    classes, maps = logits[:, :number], logits[:, number:]
    entropy = functional.cross_entropy(classes, batch.target, ignore_index=IGNORE)
    labelled = (batch.target != IGNORE).float()
    share = torch.softmax(classes, dim=1)[:, 1] * labelled
    truth = (batch.target == 1).float()
    both = (share * truth).sum()
    dice = 1 - (2 * both + 1) / (share.sum() + truth.sum() + 1)
    crossed = functional.binary_cross_entropy_with_logits(
        maps, batch.maps, reduction="none"
    )
    # The entropy of the soft target itself cannot be learned away.
    floor = functional.binary_cross_entropy(batch.maps, batch.maps, reduction="none")
    mean = ((crossed - floor) * batch.weights).sum(dim=(0, 2, 3))
    distance, boundary = MAP_WEIGHT * mean / batch.weights.sum().clamp(min=1)
    return {
        "entropy": entropy,
        "dice": dice,
        "distance": distance,
        "boundary": boundary,
    }


def start(model: Any, recipe: ObjectRecipe, earlier: Checkpoint) -> None:
    """Take the weights of an earlier model; maps that it lacks begin at zero.

    Of a model of other classes only the features are taken.
    """
    if earlier.spec.classes != recipe.spec.classes:
        earlier = start_features(
            earlier, classes=recipe.spec.classes, in_channels=recipe.spec.in_channels
        )
    own = model.state_dict()
    for name, value in earlier.weights.items():
        tensor = torch.as_tensor(value)
        if own[name].shape == tensor.shape:
            own[name] = tensor
        else:
            own[name] = torch.zeros_like(own[name])
            own[name][: len(tensor)] = tensor
    model.load_state_dict(own)


def background_range(
    images: dict[str, list[LabelledImage]],
) -> tuple[float, float]:
    """Return the least and largest brightness of a background in real images."""
    means = [
        float(image.pixels[:, image.ids == 0].mean())
        for name, found in images.items()
        if name != GENERATED
        for image in found
        if (image.ids == 0).any()
    ]
    least, most = np.percentile(means, _USUAL)
    return round(float(least), 2), round(float(most), 2)


class ObjectTraining:
    """The training of a recipe, as far as it is.

    Parameters
    ----------
    recipe
        What is trained.
    arguments
        Of the command line.
    """

    def __init__(self, recipe: ObjectRecipe, arguments: argparse.Namespace) -> None:
        self.recipe, self.arguments = recipe, arguments
        self.out: Path = arguments.out
        self.network, copy = build(recipe.spec), build(recipe.spec)
        self.began = Checkpoint.load(arguments.start) if arguments.start else None
        if self.began is not None:
            start(self.network, recipe, self.began)
        self.state = LongTraining(
            self.network, self.network, copy, peak=PEAK, momentum=MOMENTUM
        )
        if state_path(self.out).exists():
            self.state.restore(state_path(self.out))
        self.images = recipe.read_side(arguments.data, held_out=False)
        self.images.pop(arguments.without, None)
        self.images[GENERATED] = recipe.generate(arguments.seed)
        held_out = recipe.read_side(arguments.data, held_out=True)
        self.held_out = {name: found for name, found in held_out.items() if found}
        crops = remembered_crops(self.held_out, recipe.object_size)
        save_crops(crops_path(self.out), crops)

    def take_step(self, learning_rate: float) -> None:
        """Draw a batch and learn from it."""
        started = time.perf_counter()
        arguments = self.arguments
        key = (arguments.seed, self.state.step)
        batch = draw_batch(
            self.recipe, self.images, arguments.batch, arguments.crop, key
        )
        self.network.train()
        shown = batch.images.contiguous(memory_format=torch.channels_last)
        self.state.follow(losses(self.network(shown), batch), learning_rate)
        self.state.seconds += time.perf_counter() - started

    def checkpoint(self) -> Checkpoint:
        """Return the averaged network as a model, with its history."""
        entry: dict[str, Any] = {
            "name": self.out.stem,
            "parent": "",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "steps": self.state.step,
            "seconds": round(self.state.seconds),
            "seed": self.arguments.seed,
            "data": ["procedural", *self.recipe.sets],
        }
        earlier = self.began.history if self.began is not None else ()
        spec = self.recipe.spec
        if spec.brightness == "percentiles":
            spec = spec.changed(background_range=background_range(self.images))
        return Checkpoint(spec, self.state.weights(), (*earlier, entry))

    def save(self) -> None:
        """Write model, state and a line of the log."""
        self.checkpoint().save(self.out)
        self.state.save(state_path(self.out))
        row = dict(self.state.losses)
        network, size = self.state.average.network, self.recipe.object_size
        for name, images in self.held_out.items():
            found = score(network, images[:_FEW], size)
            row |= {f"{key}_{name}": value for key, value in found.items()}
        rounded = {name: round(value, 4) for name, value in row.items()}
        at = {"step": self.state.step, "seconds": round(self.state.seconds)}
        write_log(self.out.with_suffix(".csv"), at | rounded)


def remembered_crops(
    held_out: dict[str, list[LabelledImage]], object_size: float
) -> list[TrainingPair]:
    """Cut crops out of held-out images, for later trainings to be compared on."""
    pairs = []
    for images in held_out.values():
        for image in images:
            grey, ids = at_scale(image, object_size)
            target = np.where(ids < 0, IGNORE, ids > 0).astype(np.uint8)
            pairs.append(TrainingPair(grey[None], target, image.name))
    order = np.random.default_rng(0).permutation(len(pairs))
    return cut_crops([pairs[i] for i in order])


def read_arguments(recipe: ObjectRecipe, about: str) -> argparse.Namespace:
    """Read the command line of a recipe, which ``about`` describes."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=0.0, help="0: no limit")
    parser.add_argument("--steps", type=int, default=0, help="0: no limit")
    parser.add_argument("--start", type=Path, help="model whose weights it begins with")
    parser.add_argument("--without", default="", help="a set that is left out")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=6)
    arguments = parser.parse_args()
    if not arguments.minutes and not arguments.steps:
        parser.error("nothing ends the training; give --minutes or --steps")
    missing = [name for name in recipe.sets if not (arguments.data / name).is_dir()]
    if missing:
        parser.error(f"{arguments.data} has no folder {' and no '.join(missing)}")
    return arguments


def train_objects(recipe: ObjectRecipe, about: str) -> None:
    """Train, and write the model every five minutes, at the end and on Ctrl-C."""
    arguments = read_arguments(recipe, about)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    training = ObjectTraining(recipe, arguments)
    schedule = Schedule(
        steps=arguments.steps,
        seconds=60 * arguments.minutes,
        peak=PEAK,
        open_ended=True,
    )
    saved, state = time.monotonic(), training.state
    with suppress(KeyboardInterrupt):
        while (progress := schedule.progress(state.step, state.seconds)) < 1:
            training.take_step(schedule.learning_rate(state.step, progress))
            if time.monotonic() - saved > SAVE_SECONDS:
                training.save()
                saved = time.monotonic()
    training.save()
