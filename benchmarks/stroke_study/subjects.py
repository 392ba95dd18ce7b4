"""Labelled images of one kind: some to be corrected, others to be scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images import Image, open_image

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

TRAINED = 3
"""Images that the user corrects: the first of each set."""
_MOST_CLASSES = 2
"""Highest value of labels that are no object ids."""
TESTED = 5
"""Images that are scored: enough to average, few enough for every round."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A plane and its truth.

    Attributes
    ----------
    name
        Of the file, with the slice of a stack.
    image
        One plane, of one channel or in colour.
    truth
        ``(Y, X)`` uint8, 1 on the foreground.
    objects
        ``(Y, X)`` ids of the objects, 0 for the background; None where the labels are
        no objects.
    """

    name: str
    image: Image
    truth: npt.NDArray[np.uint8]
    objects: npt.NDArray[np.integer[Any]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StudySet:
    """Images of one kind that were split by their order.

    Attributes
    ----------
    name
        Of the folder.
    trained
        Those that the user corrects.
    tested
        Those that are scored, and never learned from.
    """

    name: str
    trained: tuple[Subject, ...]
    tested: tuple[Subject, ...]


def read_set(folder: Path) -> StudySet:
    """Read ``images/`` and ``labels/`` of a folder, files of the same names.

    The first three images are trained on and the last five of the rest are tested on.
    With fewer than four files the planes of stacks are the images, spread evenly.

    Raises
    ------
    DataError
        When the folder has too few images, or one has no labels.
    """
    if not (folder / "images").is_dir():
        raise DataError(
            f"{folder} has no folder images; give --data where the sets lie"
        )
    files = sorted(p for p in (folder / "images").iterdir() if p.is_file())
    if len(files) > TRAINED:
        chosen = [*files[:TRAINED], *files[TRAINED:][-TESTED:]]
        subjects = [_plane(folder, file, ()) for file in chosen]
    else:
        subjects = _planes_of_stacks(folder, files)
    if len(subjects) <= TRAINED:
        raise DataError(
            f"{folder.name} has {len(subjects)} images; {TRAINED} are trained on and "
            "at least one more is tested on"
        )
    return StudySet(folder.name, tuple(subjects[:TRAINED]), tuple(subjects[TRAINED:]))


def _planes_of_stacks(folder: Path, files: list[Path]) -> list[Subject]:
    planes = []
    for file in files:
        leading = open_image(file).leading_shape
        planes += [(file, tuple(index)) for index in np.ndindex(leading)]
    spread = np.linspace(0, len(planes) - 1, min(len(planes), TRAINED + TESTED))
    return [_plane(folder, *planes[round(at)]) for at in spread]


def _plane(folder: Path, file: Path, index: tuple[int, ...]) -> Subject:
    labels = next((folder / "labels").glob(f"{file.stem}.*"), None)
    if labels is None:
        raise DataError(f"{file} has no labels; put {file.stem} into {folder}/labels")
    source = open_image(file)
    name = " ".join([file.stem, *map(str, index)])
    image = Image.from_array(source.read(index), "CYX", rgb=source.rgb, name=name)
    ids = open_image(labels).read(index)[0]
    truth = (ids > 0).astype(np.uint8)
    if truth.shape != image.plane_shape:
        raise DataError(f"{labels} is {truth.shape}, its image {image.plane_shape}")
    # Ids of objects are many, those of classes one or two.
    return Subject(name, image, truth, ids if ids.max() > _MOST_CLASSES else None)
