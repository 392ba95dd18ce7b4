"""The sets of images, and which of them are kept apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unet_engine.errors import DataError
from unet_engine.images import Normalisation, open_image, pair_folders, read_labels
from unet_engine.training.data.objects.border_weights import (
    balance_weights,
    border_weights,
    weigh_pieces,
)
from unet_engine.training.data.pairs import TrainingPair

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Images with labels and a split that never changes.

    Attributes
    ----------
    folder
        Under the folder of all data, with ``images`` and ``labels``.
    classes
        Names, background first.
    membranes
        Class 1 is membrane, and the cells are what it parts.
    channels
        Of the images.
    training, kept_apart
        Positions among the pairs, sorted by name.
    split
        The same in words.
    most_minutes
        Longer trainings improve little: the objects are large or the images small.
    """

    folder: str
    classes: tuple[str, ...]
    membranes: bool = False
    channels: int = 1
    training: Sequence[int]
    kept_apart: Sequence[int]
    split: str
    most_minutes: float = math.inf


DATASETS = {
    # Splits by position, so that neighbouring slices and frames do not leak into the
    # score; limits in minutes where the training converged earlier.
    "em": Dataset(
        folder="em_isbi2012_membrane",
        classes=("inside", "membrane"),
        membranes=True,
        training=range(17),
        kept_apart=range(17, 23),
        split="slices 0-16 / 17-22",
    ),
    # Frames that follow each other look alike, so some between the parts are left out.
    "hela": Dataset(
        folder="dic_hela",
        classes=("background", "cell"),
        training=range(44),
        kept_apart=range(48, 60),
        split="frames 0-43 / 48-59",
        most_minutes=15.0,
    ),
    "wbc": Dataset(
        folder="wbc_blood_smear",
        classes=("background", "cytoplasm", "nucleus"),
        channels=3,
        training=[i for i in range(100) if i % 5 != 4],
        kept_apart=[i for i in range(100) if i % 5 == 4],
        split="80 / 20 images, every fifth kept apart",
        most_minutes=4.5,
    ),
}

Part = Literal["training", "kept_apart"]
Labels = npt.NDArray[np.uint8]


def read_part(
    root: Path, data: Dataset, part: Part, count: int | None = None
) -> list[tuple[Image, Labels]]:
    """Open the images of a part and read their labels.

    Parameters
    ----------
    root
        Folder of all data.
    data, part
        What to read.
    count
        Only so many images, evenly spread; None for all.

    Raises
    ------
    DataError
        When the set is absent, or incomplete.
    """
    folder = root / data.folder
    if not (folder / "images").is_dir():
        raise DataError(
            f"{folder} is absent: name the folder that holds it with --data"
        )
    files = pair_folders(folder / "images", folder / "labels")
    needed = 1 + max(*data.training, *data.kept_apart)
    if len(files) < needed:
        raise DataError(
            f"{folder} has {len(files)} labelled images and the split needs {needed}; "
            "get the complete set"
        )
    positions = list(getattr(data, part))
    if count is not None:
        positions = [positions[i * len(positions) // count] for i in range(count)]
    return [
        (open_image(files[i][0]), read_labels(files[i][1]).astype(np.uint8))
        for i in positions
    ]


def make_pairs(
    images: Sequence[tuple[Image, Labels]],
    data: Dataset,
    spec: ModelSpec,
    border_weight: float,
) -> list[TrainingPair]:
    """Prepare images for a training as for a prediction, with border weights if any."""
    pairs = []
    for image, labels in images:
        normalisation = Normalisation.measure(image, spec.preparation)
        pixels = normalisation.apply(image.read(()))
        pair = TrainingPair(pixels, labels, image.name)
        if border_weight and data.membranes:
            pair = _weigh_membranes(pair, border_weight)
        elif border_weight:
            pair = weigh_pieces(pair, border_weight)
        pairs.append(pair)
    return pairs


def _weigh_membranes(pair: TrainingPair, strength: float) -> TrainingPair:
    cells, _ = ndimage.label(pair.target == 0)
    weights = balance_weights(pair.target) + border_weights(cells, strength=strength)
    return TrainingPair(pair.image, pair.target, pair.name, pixel_weights=weights)
