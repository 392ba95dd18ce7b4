"""Train the bundled ``general`` model: a start for fine-tuning on images of any kind.

::

    python -m bundled_models.general --data DATA --out general.safetensors --minutes 60

``DATA`` holds the sets of ``real_images.SETS``, each with ``images/`` and ``labels/``
of the same file names. Three of five pictures are generated. Every two minutes the
averaged weights go to ``--out``, the state of the training beside it
(``.training.safetensors``) and a line to the log; the command goes on from there when
it is started again.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from bundled_models.crops import RealCrops, draw_batch
from bundled_models.long_training import LongTraining, state_path, write_log
from bundled_models.real_images import SETS
from bundled_models.tasks import MultiTask, batch_losses
from unet_engine.compute.devices import training_precision
from unet_engine.compute.loading import load_network
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.training.course.schedule import Schedule
from unet_engine.training.weight_average import MOMENTUM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundled_models.crops import Batch
    from unet_engine.models.networks.unet import UNet

SPEC = ModelSpec(in_channels=3, classes=("background", "interior", "boundary"))
"""Three channels, for colour images too; the U-Net with its default depth and width."""
PEAK = 2e-3
"""Highest learning rate of the schedule."""
SAVE_SECONDS = 120.0
"""Between two savings of the training: at most so much is lost by an interruption."""


class Training(LongTraining):
    """The training of the network and of the layers of its other tasks.

    Parameters
    ----------
    seed
        Of the first weights and of the crops.
    spec
        Of the network.
    began
        An earlier ``general`` whose weights it begins with; random ones if None.
    """

    def __init__(
        self, seed: int, spec: ModelSpec, began: Checkpoint | None = None
    ) -> None:
        self.seed, self.spec, self.began = seed, spec, began
        start = began or start_checkpoint(spec, seed)
        torch.manual_seed(seed)
        model = MultiTask(cast("UNet", load_network(start)))
        copy = load_network(start)
        super().__init__(model, model.network, copy, peak=PEAK, momentum=MOMENTUM)
        self._precision = training_precision("cpu")

    def learn(self, batch: Batch, learning_rate: float) -> None:
        """Take one step."""
        self.model.train()
        images = batch.images.contiguous(memory_format=torch.channels_last)
        half = self._precision != torch.float32
        with torch.autocast("cpu", dtype=self._precision, enabled=half):
            logits, outputs = self.model(images)
        total, parts = batch_losses(
            logits.float(), [output.float() for output in outputs], batch
        )
        self.descend(total, parts, learning_rate)

    def checkpoint(self, name: str) -> Checkpoint:
        """Return the averaged network as a model."""
        entry: dict[str, Any] = {
            "name": name,
            "parent": "",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "steps": self.step,
            "seconds": round(self.seconds),
            "seed": self.seed,
            "data": ["procedural", *SETS],
            # Its classes are those of the training, not of a user.
            "start": True,
        }
        earlier = self.began.history if self.began is not None else ()
        return Checkpoint(self.spec, self.weights(), (*earlier, entry))


def run(
    training: Training, real: RealCrops, schedule: Schedule, crop: int, batch: int
) -> Iterator[None]:
    """Train to the end of the schedule, stopping after each step."""
    while (progress := schedule.progress(training.step, training.seconds)) < 1:
        start = time.perf_counter()
        drawn = draw_batch(real, batch, crop, seed=(training.seed, training.step))
        training.learn(drawn, schedule.learning_rate(training.step, progress))
        training.seconds += time.perf_counter() - start
        yield


def save(training: Training, real: RealCrops, out: Path, log: Path) -> None:
    """Write model, state and a line of the log."""
    training.checkpoint(out.stem).save(out)
    training.save(state_path(out))
    network = training.average.network
    figures = training.losses | real.evaluate(network, quick=True)
    rounded = {name: round(value, 4) for name, value in figures.items()}
    write_log(
        log, {"step": training.step, "seconds": round(training.seconds), **rounded}
    )


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--log", type=Path, help="CSV; log.csv beside the model")
    parser.add_argument("--minutes", type=float, default=0.0, help="0: no limit")
    parser.add_argument("--steps", type=int, default=0, help="0: no limit")
    parser.add_argument("--start", type=Path, help="model whose weights it begins with")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--batch", type=int, default=8)
    arguments = parser.parse_args()
    if not arguments.minutes and not arguments.steps:
        parser.error("nothing ends the training; give --minutes or --steps")
    if missing := [name for name in SETS if not (arguments.data / name).is_dir()]:
        parser.error(f"{arguments.data} has no folder {' and no '.join(missing)}")
    return arguments


def main() -> None:
    """Train, and write the model every two minutes, at the end and on Ctrl-C."""
    arguments = read_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    began = Checkpoint.load(arguments.start) if arguments.start else None
    training = Training(arguments.seed, SPEC, began)
    if state_path(arguments.out).exists():
        training.restore(state_path(arguments.out))
    real = RealCrops.read(arguments.data)
    schedule = Schedule(
        steps=arguments.steps, seconds=60 * arguments.minutes, peak=PEAK
    )
    log = arguments.log or arguments.out.with_name("log.csv")
    saved = time.monotonic()
    with suppress(KeyboardInterrupt):
        for _ in run(training, real, schedule, arguments.crop, arguments.batch):
            if time.monotonic() - saved > SAVE_SECONDS:
                save(training, real, arguments.out, log)
                saved = time.monotonic()
    save(training, real, arguments.out, log)
    print(json.dumps(real.evaluate(training.average.network), indent=2))


if __name__ == "__main__":
    main()
