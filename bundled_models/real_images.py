"""Real images that ``general`` learns from, with what is known of their objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bundled_models.sets import list_blocks, list_files, read_ids, read_labels
from unet_engine.images import Normalisation, open_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOfImages:
    """A set on disk and what its labels mean.

    Attributes
    ----------
    share
        How often it is drawn from, relative to the others.
    task
        What its objects are, of ``TASKS``; empty: none of them. ``membrane``: what
        lies between its objects.
    merged
        Its labels are classes: objects are the connected parts of class 1.
    wall
        Class of what surrounds its objects and is boundary; 0: none.
    series
        Neighbours in the order of names resemble each other.
    step
        Of a stack every so many planes are taken; 0: no stack.
    """

    share: float
    task: str = ""
    merged: bool = False
    wall: int = 0
    series: bool = False
    step: int = 0


SETS = {
    "dsb2018_nuclei": SetOfImages(share=0.20, task="nucleus"),
    "dsb2018_histology": SetOfImages(share=0.13, task="nucleus"),
    "brightfield_neurons": SetOfImages(share=0.04, task="cell"),
    "fluo_u2os_nuclei_hcs": SetOfImages(share=0.06, task="nucleus"),
    "fluo_neuroblastoma_nuclei": SetOfImages(share=0.05, task="nucleus"),
    "fluo_ecoli_dapi": SetOfImages(share=0.02, task="cell"),
    "fluo_mouse_embryo_3d": SetOfImages(share=0.03, task="nucleus", step=3),
    "histology_tnbc_nuclei": SetOfImages(share=0.06, task="nucleus", merged=True),
    "histology_prostate_glands": SetOfImages(share=0.07, merged=True),
    "phc_t98g_cells": SetOfImages(share=0.10, task="cell", series=True),
    "phc_monolayer_nist": SetOfImages(
        share=0.07, task="cell", merged=True, series=True
    ),
    "brightfield_celegans": SetOfImages(share=0.05, series=True),
    "sem_axon_myelin": SetOfImages(share=0.06, merged=True, wall=2),
    "em_fib25_neurons_3d": SetOfImages(share=0.06, task="membrane", step=7),
}
"""Sets of many images count more, those that resemble each other less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealImage:
    """An image in memory as it was read.

    Attributes
    ----------
    pixels
        ``(C, Y, X)``.
    normalisation
        Of the whole image or stack.
    ids
        ``(Y, X)`` int32 of its objects; -1 where nothing is known.
    walls
        ``(Y, X)`` bool, or None where there are none but the rims of objects.
    task
        As of `SetOfImages`.
    """

    pixels: npt.NDArray[Any]
    normalisation: Normalisation
    ids: Ids
    walls: npt.NDArray[np.bool_] | None = None
    task: str = ""


def read_set(data: Path, name: str, *, held_out: bool) -> list[RealImage]:
    """Read one side of a set."""
    about = SETS[name]
    listed = list_blocks if about.series else list_files
    return [
        image
        for path, labels in listed(data / name, held_out=held_out)
        for image in _read(path, labels, about)
    ]


def _read(path: Path, label_path: Path, about: SetOfImages) -> Iterator[RealImage]:
    image = open_image(path)
    normalisation = Normalisation.measure(image)
    if about.step:
        truth = open_image(label_path)
        for index in list(image.indices())[:: about.step]:
            yield RealImage(
                pixels=image.read(index),
                normalisation=normalisation,
                ids=truth.read(index)[0].astype(np.int32),
                task=about.task,
            )
        return
    yield RealImage(
        pixels=image.read(),
        normalisation=normalisation,
        ids=read_ids(label_path, merged=about.merged, wall=about.wall),
        walls=read_labels(label_path) == about.wall if about.wall else None,
        task=about.task,
    )
