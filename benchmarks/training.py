"""Compare a training with the bare loop of PyTorch on the same network.

::

    python benchmarks/training.py --json training.json

``product`` is the training as the dock and the command line get it, at its defaults:
crops, augmentation, loss, evaluations, averaged weights. ``bare`` is forward, cross
entropy, backward and step on crops that are ready, channels last and in the same
precision. Both take turns, so that other work on the machine slows both.
``ratio`` is seconds of a step of the product, evaluations included, over those of a
bare step; the measuring of the halo after the last one is left out. ``share_of_limit``
is the least time that the arithmetic of a step could take, by the rate of the best
matrix product in that precision, over the time it took. ``preparing`` is the share of
the time before the first step, and ``parts`` where the rest of the time goes, in shares
of it. ``seconds_left_error`` is the largest error of the time left after the first
tenth, in shares of the run, where it is shown; it is measured with ``--apart``, which
takes the bare steps before and after the training.

Seconds are those of the process on one core, unless ``--wall`` or another device than
the CPU is given.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from arithmetic_limit import best_matrix_product, count_flops, synchronise
from stroke_study.user import SimulatedUser, nothing_painted
from torch.nn import functional

from unet_engine.compute.devices import training_precision
from unet_engine.compute.loading import load_network
from unet_engine.images import Image, Normalisation, match_channels
from unet_engine.models.starting import with_classes
from unet_engine.models.store import ModelStore
from unet_engine.synthetic.nuclei import nuclei
from unet_engine.training import fine_tuning
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.augmentation import Augmentation
from unet_engine.training.data.crops import CropSampler
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.events import Step, Validation
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.optimisers import AdamW, Group, Optimiser
from unet_engine.training.validation import HeldOut
from unet_engine.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unet_engine.models.checkpoint import Checkpoint

STARTS = {"strokes": "general", "tuned": "nuclei", "labels": "general"}
"""What each training starts from: ``strokes`` on a start under new classes, ``tuned``
on a trained model, which is kept as it is elsewhere; ``labels`` on all pixels."""
EDGE = 512
"""Of an image in pixels."""
STROKES = 6
"""Of each class on each image."""
BARE_STEPS = 6
"""Steps of the bare loop in each turn."""
TURN_S = 12.0
"""Seconds of the training after which the bare loop has a turn."""
PARTS: dict[str, tuple[Any, str]] = {
    "crops": (CropSampler, "draw"),
    "augmentation": (Augmentation, "__call__"),
    "averaging": (WeightAverage, "update"),
    "optimiser": (Optimiser, "step"),
    "step": (Optimisation, "step"),
    "evaluation": (HeldOut, "evaluate"),
    "halo": (fine_tuning, "measure_halo"),
}


def make_pairs(start: str, channels: int, images: int) -> list[TrainingPair]:
    """Return generated images with strokes, or with all their labels."""
    pairs = []
    for seed in range(images):
        pixels, truth = nuclei((EDGE, EDGE), seed=seed)
        image = Image.from_array(pixels, "YX")
        classes = (truth > 0).astype(np.uint8)
        target = classes
        if start != "labels":
            target = nothing_painted(classes)
            # On a mask that is wrong everywhere: strokes of both classes.
            SimulatedUser(seed).paint(classes, 1 - classes, target, count=STROKES)
        image = match_channels(image, channels)
        normalised = Normalisation.measure(image).apply(image.read())
        pairs.append(TrainingPair(normalised, target, f"nuclei {seed}"))
    return pairs


def make_start(start: str) -> Checkpoint:
    """Return the model that is trained."""
    checkpoint = ModelStore().load(STARTS[start])
    if start == "tuned":
        return checkpoint
    return with_classes(checkpoint, ("background", "foreground"))


class BareLoop:
    """Forward, loss, backward and step on crops that are ready."""

    def __init__(self, checkpoint: Checkpoint, config: FineTuneConfig) -> None:
        self._device = config.device
        network = load_network(checkpoint).to(self._device)
        self._network = network.to(memory_format=torch.channels_last)
        self._network.train()
        if checkpoint.trained:
            for module in self._network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()
        shape = (config.batch, checkpoint.spec.in_channels, config.crop, config.crop)
        images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        images = images.to(self._device)
        self._images = images.contiguous(memory_format=torch.channels_last)
        self._target = (images[:, 0] > 0.5).long()
        parameters = list(self._network.parameters())
        self._optimiser = AdamW([Group(parameters=parameters, decay=1e-4)])
        self.dtype = training_precision(self._device)

    def step(self) -> None:
        """Take a step."""
        self._optimiser.forget_gradients()
        halved = self.dtype != torch.float32
        with torch.autocast(self._device, self.dtype, enabled=halved):
            logits = self._network(self._images)
        functional.cross_entropy(logits.float(), self._target).backward()
        self._optimiser.step(1e-4)
        synchronise(self._device)


class Stopwatch:
    """Adds up the seconds that are spent in methods."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}

    @contextmanager
    def watching(self, parts: dict[str, tuple[Any, str]]) -> Iterator[None]:
        """Measure methods of classes, by the names of the parts."""
        originals = {name: getattr(*where) for name, where in parts.items()}
        for name, (owner, method) in parts.items():
            setattr(owner, method, self._watched(name, originals[name]))
        try:
            yield
        finally:
            for name, (owner, method) in parts.items():
                setattr(owner, method, originals[name])

    def _watched(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def measured(*args: Any, **kwargs: Any) -> Any:
            started = self._clock()
            try:
                return method(*args, **kwargs)
            finally:
                spent = self._clock() - started
                self.seconds[name] = self.seconds.get(name, 0.0) + spent

        return measured


def compare(start: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train and take bare steps in turns; return a row of the table."""
    clock = time.perf_counter if arguments.wall else time.process_time
    checkpoint = make_start(start)
    config = replace(
        FineTuneConfig(device=arguments.device),
        minutes=0.0 if arguments.steps else arguments.minutes,
        steps=arguments.steps,
    )
    bare = BareLoop(checkpoint, config)
    bare.step()
    bare_steps = _time_bare(bare, clock)
    watch = Stopwatch(clock if arguments.wall else time.thread_time)
    pairs = make_pairs(start, checkpoint.spec.in_channels, arguments.images)
    events = iter_fine_tune(checkpoint, pairs, config)
    steps, training = 0, 0.0
    with watch.watching(PARTS):
        started = clock()
        # The evaluation of the model before the training ends the preparation.
        while not isinstance(next(events), Validation):
            pass
        preparing = clock() - started
        watch.seconds.clear()
        turn, seen = 0.0, []
        started = clock()
        for event in events:
            training += clock() - started
            if isinstance(event, Step):
                steps += 1
                seen.append((event.seconds, event.seconds_left))
                if not arguments.apart and event.seconds >= turn:
                    turn = event.seconds + TURN_S
                    bare_steps += _time_bare(bare, clock)
            started = clock()
        training += clock() - started
    # Measured once of a model that is to be saved, however long it was trained.
    training -= watch.seconds.get("halo", 0.0)
    bare_steps += _time_bare(bare, clock)
    step, bare_step = training / steps, median(bare_steps)
    crops = (config.batch * config.crop, config.crop)
    # Backward computes the gradients of inputs and of weights.
    rate = best_matrix_product(clock, bare.dtype, arguments.device)
    limit = 3 * count_flops(checkpoint, crops) / rate
    return {
        "start": start,
        "steps_per_s": round(1 / step, 3),
        "bare_steps_per_s": round(1 / bare_step, 3),
        "ratio": round(step / bare_step, 2),
        "share_of_limit": round(limit / step, 3),
        "bare_share_of_limit": round(limit / bare_step, 3),
        "steps": steps,
        "preparing_s": round(preparing, 1),
        "preparing": round(preparing / (preparing + training), 3),
        "seconds_left_error": _error_of_time_left(seen) if arguments.apart else None,
        "parts": {
            name: round(seconds / training, 3)
            for name, seconds in watch.seconds.items()
        },
    }


def _time_bare(bare: BareLoop, clock: Callable[[], float]) -> list[float]:
    seconds = []
    for _ in range(BARE_STEPS):
        started = clock()
        bare.step()
        seconds.append(clock() - started)
    return seconds


def _error_of_time_left(seen: list[tuple[float, float | None]]) -> float | None:
    end = seen[-1][0]
    errors = [
        abs(seconds + left - end) / end
        for seconds, left in seen
        if left is not None and seconds > end / 10
    ]
    return round(max(errors), 2) if errors else None


def main() -> None:
    """Read the command line, measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=STARTS)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "mps"))
    parser.add_argument("--steps", type=int, default=0, help="in place of minutes")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--apart", action="store_true", help="bare steps apart")
    parser.add_argument("--wall", action="store_true", help="all cores, by the clock")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    # Seconds of the process leave out those of a GPU.
    arguments.wall = arguments.wall or arguments.device != "cpu"
    if not arguments.wall:
        torch.set_num_threads(1)
    rows = []
    for start in arguments.starts:
        rows.append(compare(start, arguments))
        print(json.dumps(rows[-1]), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
