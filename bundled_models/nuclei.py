"""Train the bundled ``nuclei`` model: nuclei of any size, stain and brightness.

::

    python -m bundled_models.nuclei --data DATA --out nuclei.safetensors --minutes 600

``DATA`` holds the sets of ``nuclei_images.SETS``, each with ``images/`` and ``labels/``
of the same file names. Every five minutes the averaged weights go to ``--out``, the
state of the training beside it (``.training.safetensors``) and a line to the log; the
command goes on from there when it is started again. ``--minutes`` is how long it trains
in all; in the last sixth the learning rate falls to zero.
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
from bundled_models.nuclei_crops import ZOOM, draw_batch
from bundled_models.nuclei_images import (
    OBJECT_SIZE,
    SETS,
    generate_images,
    read_images,
)
from bundled_models.nuclei_scores import at_scale, score
from unet_engine.labels import IGNORE
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec, build
from unet_engine.models.store import crops_path
from unet_engine.training.course.schedule import Schedule
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.remembered_crops import cut_crops, save_crops

if TYPE_CHECKING:
    from bundled_models.nuclei_crops import Batch
    from bundled_models.nuclei_images import LabelledImage

SPEC = ModelSpec(
    classes=("background", "nucleus"),
    object_maps=("distance", "boundary"),
    brightness="foreground",
    colour="nuclear dye",
    object_size_px=OBJECT_SIZE,
    object_size_range=(OBJECT_SIZE / ZOOM, OBJECT_SIZE * ZOOM),
)
PEAK = 2e-3
"""Highest learning rate of the schedule, which is constant at half of it."""
MOMENTUM = 0.998
"""Of the average of the weights: some hundred steps count."""
MAP_WEIGHT = 2.0
"""Of the losses of the maps beside those of the classes, which are larger and hardly
fall any more: what separates nuclei is still learned."""
SAVE_SECONDS = 300.0
"""Between two savings of the training: at most so much is lost by an interruption."""
_FEW = 24
"""Held-out images of a set at most that a line of the log is measured on."""


def losses(logits: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Return the losses of classes and maps; what is unknown takes no part."""
    number = len(SPEC.classes)
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
    mean = ((crossed - floor) * batch.known).sum(dim=(0, 2, 3))
    distance, boundary = MAP_WEIGHT * mean / batch.known.sum().clamp(min=1)
    return {
        "entropy": entropy,
        "dice": dice,
        "distance": distance,
        "boundary": boundary,
    }


def start(model: Any, weights: dict[str, Any]) -> None:
    """Take the weights of an earlier model; maps that it lacks begin at zero."""
    own = model.state_dict()
    for name, value in weights.items():
        tensor = torch.as_tensor(value)
        if own[name].shape == tensor.shape:
            own[name] = tensor
        else:
            own[name] = torch.zeros_like(own[name])
            own[name][: len(tensor)] = tensor
    model.load_state_dict(own)


def checkpoint(
    training: LongTraining, began: Checkpoint | None, seed: int, name: str
) -> Checkpoint:
    """Return the averaged network as a model, with the history of its first weights."""
    entry: dict[str, Any] = {
        "name": name,
        "parent": "",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "steps": training.step,
        "seconds": round(training.seconds),
        "seed": seed,
        "data": ["procedural", *SETS],
    }
    earlier = began.history if began is not None else ()
    return Checkpoint(SPEC, training.weights(), (*earlier, entry))


def remembered_crops(held_out: dict[str, list[LabelledImage]]) -> list[TrainingPair]:
    """Cut crops out of held-out images, for later trainings to be compared on."""
    pairs = []
    for images in held_out.values():
        for image in images:
            grey, ids = at_scale(image)
            target = np.where(ids < 0, IGNORE, ids > 0).astype(np.uint8)
            pairs.append(TrainingPair(grey[None], target, image.name))
    order = np.random.default_rng(0).permutation(len(pairs))
    return cut_crops([pairs[i] for i in order])


def save(
    training: LongTraining,
    held_out: dict[str, Any],
    out: Path,
    began: Checkpoint | None,
    seed: int,
) -> None:
    """Write model, state and a line of the log."""
    checkpoint(training, began, seed, out.stem).save(out)
    training.save(state_path(out))
    row = dict(training.losses)
    for name, images in held_out.items():
        found = score(training.average.network, images[:_FEW])
        row |= {f"{key}_{name}": value for key, value in found.items()}
    rounded = {name: round(value, 4) for name, value in row.items()}
    at = {"step": training.step, "seconds": round(training.seconds)}
    write_log(out.with_suffix(".csv"), at | rounded)


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    if missing := [name for name in SETS if not (arguments.data / name).is_dir()]:
        parser.error(f"{arguments.data} has no folder {' and no '.join(missing)}")
    return arguments


def main() -> None:
    """Train, and write the model every five minutes, at the end and on Ctrl-C."""
    arguments = read_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    network, copy = build(SPEC), build(SPEC)
    began = Checkpoint.load(arguments.start) if arguments.start else None
    if began is not None:
        start(network, dict(began.weights))
    training = LongTraining(network, network, copy, peak=PEAK, momentum=MOMENTUM)
    if state_path(arguments.out).exists():
        training.restore(state_path(arguments.out))
    images, held_out = (
        {name: read_images(arguments.data, name, held_out=out) for name in SETS}
        for out in (False, True)
    )
    images.pop(arguments.without, None)
    images["generated"] = generate_images(arguments.seed)
    held_out = {name: found for name, found in held_out.items() if found}
    save_crops(crops_path(arguments.out), remembered_crops(held_out))
    schedule = Schedule(
        steps=arguments.steps,
        seconds=60 * arguments.minutes,
        peak=PEAK,
        open_ended=True,
    )
    saved = time.monotonic()
    with suppress(KeyboardInterrupt):
        while (progress := schedule.progress(training.step, training.seconds)) < 1:
            started = time.perf_counter()
            key = (arguments.seed, training.step)
            batch = draw_batch(images, arguments.batch, arguments.crop, key)
            network.train()
            shown = batch.images.contiguous(memory_format=torch.channels_last)
            rate = schedule.learning_rate(training.step, progress)
            training.follow(losses(network(shown), batch), rate)
            training.seconds += time.perf_counter() - started
            if time.monotonic() - saved > SAVE_SECONDS:
                save(training, held_out, arguments.out, began, arguments.seed)
                saved = time.monotonic()
    save(training, held_out, arguments.out, began, arguments.seed)


if __name__ == "__main__":
    main()
