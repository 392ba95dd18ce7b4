"""Train the bundled ``nuclei`` model on fluorescent and on stained nuclei.

::

    python -m bundled_models.nuclei --data DATA --out nuclei.safetensors --minutes 45

``DATA`` holds ``dsb2018_nuclei`` and ``dsb2018_histology``, each with ``images/`` and
``labels/`` (object ids) of the same file names. A model that is there already is
trained further, so the command can be stopped with Ctrl-C and started again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage
from tqdm import tqdm

from bundled_models.microscopes import retake
from unet_engine.generators import drain
from unet_engine.images import Image, Normalisation, match_channels, open_image
from unet_engine.metrics import Confusion
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.models.store import crops_path
from unet_engine.prediction.segmentation import predict
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair, targets_from_instances
from unet_engine.training.data.remembered_crops import cut_crops, save_crops
from unet_engine.training.events import Step, Validation
from unet_engine.training.fine_tuning import iter_fine_tune

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from unet_engine.training.events import FineTuned, TrainingEvent

# The stained set is an eighth as large; its images are drawn more often to make up.
FLUORESCENT, STAINED = "dsb2018_nuclei", "dsb2018_histology"
SETS = {FLUORESCENT: 1.0, STAINED: 6.0}
"""How often the images of a set are drawn, relative to each other."""
SPEC = ModelSpec(classes=("background", "nucleus"))
HELD_OUT = 0.15
"""Part of the images that is held out for the figures of the model card."""


def is_held_out(name: str) -> bool:
    """Return whether an image is kept for the figures, by a hash of its file name."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < HELD_OUT


def list_files(folder: Path, *, held_out: bool) -> Iterator[tuple[Path, Path]]:
    """Yield the image and the label file of one side of the split."""
    for image in sorted((folder / "images").iterdir()):
        if is_held_out(image.stem) == held_out:
            yield image, next((folder / "labels").glob(f"{image.stem}.*"))


def read_labels(path: Path) -> npt.NDArray[np.integer[Any]]:
    """Read object ids, ``(Y, X)``."""
    return open_image(path).read()[0]


def separate(labels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint8]:
    """Turn object ids into a target whose touching nuclei are a gap apart.

    A nucleus pixel beside another nucleus becomes background, so that the model learns
    to keep neighbours apart.
    """
    largest = np.iinfo(labels.dtype).max
    highest = ndimage.maximum_filter(labels, size=3)
    lowest = ndimage.minimum_filter(np.where(labels > 0, labels, largest), size=3)
    target = targets_from_instances(labels)
    target[(labels > 0) & (highest != lowest)] = 0
    return target


def read_pairs(data: Path, seed: int = 0) -> list[TrainingPair]:
    """Read the training side of all sets, normalised as for prediction.

    The fluorescent images are there twice, the second time as another microscope
    might have taken them.
    """
    rng = np.random.default_rng(seed)
    pairs = []
    for name, weight in SETS.items():
        for image_path, label_path in list_files(data / name, held_out=False):
            image = match_channels(open_image(image_path), SPEC.in_channels)
            target = separate(read_labels(label_path))
            pairs.append(TrainingPair(_normalised(image), target, name, weight))
            if name == FLUORESCENT:
                again = Image.from_array(retake(image.read()[0], rng), "YX")
                pairs.append(TrainingPair(_normalised(again), target, name, weight))
    return pairs


def _normalised(image: Image) -> npt.NDArray[np.float32]:
    normalisation = Normalisation.measure(
        image, low=SPEC.low_percentile, high=SPEC.high_percentile
    )
    return normalisation.apply(image.read())


def train(
    checkpoint: Checkpoint, pairs: list[TrainingPair], config: FineTuneConfig
) -> FineTuned:
    """Train to the limits of the config, or until Ctrl-C."""
    interrupted: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    run = iter_fine_tune(checkpoint, pairs, config, stop=lambda: bool(interrupted))
    with tqdm(unit="step") as bar:

        def show(event: TrainingEvent) -> None:
            if isinstance(event, Step):
                bar.update()
                bar.set_postfix(loss=f"{event.loss:.3f}", refresh=False)
            elif isinstance(event, Validation):
                bar.write(
                    f"step {event.step}: loss {event.loss:.4f} IoU {event.iou:.4f}",
                    file=sys.stderr,
                )

        return drain(run, show)


def named(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """Return the model with its name in its history: the same one, trained further.

    How far a pixel's influence reaches is left to be measured on the images it meets.
    """
    spec = replace(checkpoint.spec, measured_halo=None, measured_error=None)
    history = tuple(
        {**entry, "name": name, "parent": ""} for entry in checkpoint.history
    )
    return replace(checkpoint, spec=spec, history=history)


def evaluate(checkpoint: Checkpoint, data: Path) -> dict[str, dict[str, float]]:
    """Measure the held-out images of each set."""
    figures = {}
    for name in SETS:
        confusion = Confusion(len(SPEC.classes))
        images = 0
        for image_path, label_path in list_files(data / name, held_out=True):
            found = predict(open_image(image_path), checkpoint).labels
            confusion.add(targets_from_instances(read_labels(label_path)), found)
            images += 1
        figures[name] = {
            "images": images,
            "foreground_iou": round(confusion.iou[1] or 0.0, 4),
            "foreground_dice": round(confusion.dice[1] or 0.0, 4),
            "pixel_error": round(confusion.pixel_error, 4),
        }
    return figures


def remembered_crops(data: Path, seed: int = 0) -> list[TrainingPair]:
    """Cut crops out of held-out images, for later trainings to be compared on."""
    held_out = [
        TrainingPair(
            _normalised(match_channels(open_image(image), SPEC.in_channels)),
            targets_from_instances(read_labels(labels)),
            image.stem,
        )
        for name in SETS
        for image, labels in list_files(data / name, held_out=True)
    ]
    order = np.random.default_rng(seed).permutation(len(held_out))
    return cut_crops([held_out[i] for i in order])


def main() -> None:
    """Read the command line, train, save, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if missing := [name for name in SETS if not (arguments.data / name).is_dir()]:
        parser.error(f"{arguments.data} has no folder {' and no '.join(missing)}")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    checkpoint = (
        Checkpoint.load(arguments.out)
        if arguments.out.exists()
        else start_checkpoint(SPEC, arguments.seed)
    )
    config = FineTuneConfig(
        minutes=arguments.minutes,
        steps=arguments.steps,
        crop=160,
        batch=6,
        validation=0.1,
        scaling=1.6,
        intensity=0.8,
        statistics="batch",
        # Every further training draws other crops.
        seed=arguments.seed + len(checkpoint.history),
    )
    result = train(checkpoint, read_pairs(arguments.data, config.seed), config)
    trained = named(result.checkpoint, arguments.out.stem)
    trained.save(arguments.out)
    save_crops(crops_path(arguments.out), remembered_crops(arguments.data))
    print(json.dumps(evaluate(trained, arguments.data), indent=2))


if __name__ == "__main__":
    main()
