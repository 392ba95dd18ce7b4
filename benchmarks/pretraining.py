"""Compare what a network starts from, at equal strokes: pretrained, general, random.

::

    python benchmarks/pretraining.py --data DATA --sets dic_hela --threads 1

A model learns without labels from all images of a set, those that are scored later
included, as a user's would. Then a simulated user paints the same strokes as in
``few_strokes.py``, and the network alone is scored.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from few_strokes import make_method, study
from stroke_study.methods import Network
from stroke_study.subjects import read_set

from unet_engine.models.starting import start_checkpoint, start_from
from unet_engine.models.store import ModelStore
from unet_engine.training.config import PretrainConfig
from unet_engine.training.pretraining import pretrain
from unet_engine.training.pretraining_start import start_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stroke_study.methods import Method
    from stroke_study.subjects import StudySet, Subject

    from unet_engine.models.checkpoint import Checkpoint

STARTS = ("general", "pretrained", "random")


class Pretrained(Network):
    """A network that starts from one that learned without labels."""

    def __init__(
        self,
        trained: Sequence[Subject],
        start: Checkpoint,
        folder: Path,
        limits: dict[str, float],
    ) -> None:
        super().__init__(trained, None, folder, limits)
        self._start = start


def pretrained_start(images: StudySet, steps: int, seed: int) -> Checkpoint:
    """Return a U-Net that starts from what was learned of all images of a set."""
    seen = [subject.image for subject in (*images.trained, *images.tested)]
    spec = start_spec("start", seen)
    config = PretrainConfig(device="cpu", minutes=0, steps=steps, seed=seed)
    result = pretrain(start_checkpoint(spec, seed), seen, config)
    return start_from(result.checkpoint, seed=seed)


def maker(
    start: str, images: StudySet, arguments: argparse.Namespace, folder: Path
) -> Callable[[Sequence[Subject]], Method]:
    """Return what makes the method with a start."""
    if start == "pretrained":
        base = pretrained_start(images, arguments.pretraining_steps, arguments.seed)
        limits = {"minutes": 0, "steps": arguments.steps}
        return partial(Pretrained, start=base, folder=folder, limits=limits)
    name = "network" if start == "general" else "network_scratch"
    general = ModelStore().load("general")
    return make_method(name, general, 1.0, folder, arguments.steps)


def main(argv: list[str] | None = None) -> int:
    """Read the command line, study, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default="dic_hela", help="folders, with commas")
    parser.add_argument("--starts", default=",".join(STARTS), help="with commas")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100, help="of a fine-tuning")
    parser.add_argument("--pretraining-steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: all cores")
    parser.add_argument("--json", type=Path, help="file that takes the rows")
    arguments = parser.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    rows: list[dict[str, Any]] = []
    for name in arguments.sets.split(","):
        images = read_set(arguments.data / name)
        for start in arguments.starts.split(","):
            with TemporaryDirectory() as folder:
                make = maker(start, images, arguments, Path(folder))
                course = study(
                    images,
                    make,
                    seed=arguments.seed,
                    rounds=arguments.rounds,
                    guided=False,
                )
                for row in course:
                    rows.append({"dataset": name, "start": start, **row})
                    print(
                        f"{name:22} {start:10} round {row['round']}  "
                        f"IoU {row['iou']:.3f}  best {row['best_iou']:.3f}  "
                        f"AP {row['ap']:.3f}",
                        flush=True,
                    )
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
