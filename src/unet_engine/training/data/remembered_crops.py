"""Crops that stay beside a model: what it could do when it was made.

A later training is compared on them with the model it came from, so that what was
learned first is not lost unnoticed. They lie in a file of their own: who passes on a
model file passes on no image.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy
from safetensors import SafetensorError

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.models.beside.paths import crops_path
from unet_engine.training.data.pairs import TrainingPair

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from unet_engine.models.checkpoint import Checkpoint, ModelInfo
    from unet_engine.models.store import ModelStore

logger = logging.getLogger(__name__)

FORMAT = "napari-unet-finetune examples"
"""Names the kind of file in its header."""
_VERSION = "1"
_MOST = 16
"""Crops beside a model: of one channel these are 1 MB of planes, 11 MB of volumes."""
_EDGES = {2: (160, 160), 3: (24, 96, 96)}
"""Of a crop: (Y, X) pixels or (Z, Y, X) voxels."""


def cut_crops(pairs: Sequence[TrainingPair], most: int = _MOST) -> list[TrainingPair]:
    """Cut small parts out of labelled images, as different ones as there are.

    Parameters
    ----------
    pairs
        Planes or volumes.
    most
        Most crops to return; images take turns, each gives what has most labels
        and most classes first.

    Returns
    -------
    list of TrainingPair
        Of at most 160 x 160 pixels or 24 x 96 x 96 voxels.
    """
    turns = deque(_most_labelled_first(pair) for pair in pairs)
    chosen: list[TrainingPair] = []
    while turns and len(chosen) < most:
        parts = turns.popleft()
        part = next(parts, None)
        if part is not None:
            chosen.append(part)
            turns.append(parts)
    return chosen


def join_crops(
    new: Sequence[TrainingPair], earlier: Sequence[TrainingPair]
) -> list[TrainingPair]:
    """Return new crops and earlier ones, as many of each as there is room for.

    Earlier ones keep half of the room, and lose every second one as they grow old.
    """
    room = max(_MOST // 2, _MOST - len(new))
    step = -(-len(earlier) // room) if earlier else 1
    kept = list(earlier[::step])
    return [*new[: _MOST - len(kept)], *kept]


def save_crops(path: str | os.PathLike[str], crops: Sequence[TrainingPair]) -> None:
    """Write crops into one file, whole or not at all.

    Raises
    ------
    DataError
        When the folder cannot be written to.
    """
    tensors: dict[str, npt.NDArray[Any]] = {}
    for number, crop in enumerate(crops):
        tensors[f"image.{number}"] = crop.image.astype(np.float16)
        tensors[f"target.{number}"] = crop.target.copy()
    header = {
        "format": FORMAT,
        "version": _VERSION,
        "names": json.dumps([crop.name for crop in crops]),
    }
    content = safetensors.numpy.save(tensors, metadata=header)
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def load_crops(path: str | os.PathLike[str]) -> list[TrainingPair]:
    """Read crops; nothing in the file is ever executed.

    Raises
    ------
    DataError
        When the file is damaged or not ours.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if (header.get("format"), header.get("version")) != (FORMAT, _VERSION):
                raise DataError(
                    f"{path} holds no remembered crops of this version; delete it"
                )
            names = json.loads(header["names"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return [
            TrainingPair(
                tensors[f"image.{number}"].astype(np.float32),
                tensors[f"target.{number}"],
                str(name),
            )
            for number, name in enumerate(names)
        ]
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it") from error


def load_remembered(model: ModelInfo) -> Sequence[TrainingPair]:
    """Load the crops that were kept beside a model; perhaps none.

    A start has none: it is made to be tuned. A damaged file is logged and left out.
    """
    path = crops_path(model.path)
    if model.is_start or not path.is_file():
        return ()
    try:
        return load_crops(path)
    except DataError as error:
        logger.warning("left out the remembered crops of %s: %s", model.name, error)
        return ()


def save_with_crops(
    store: ModelStore,
    name: str,
    checkpoint: Checkpoint,
    crops: Sequence[TrainingPair] = (),
    *,
    overwrite: bool = False,
) -> ModelInfo:
    """Save a model and, beside it, crops of what it was trained on.

    Crops that cannot be saved are logged: the model is worth more than they are.

    Parameters
    ----------
    store, name, checkpoint, overwrite
        As of `ModelStore.save`.
    crops
        As `cut_crops` returns them.

    Raises
    ------
    CheckpointError, DataError
        As of `ModelStore.save`.
    """
    info = store.save(name, checkpoint, overwrite)
    if crops:
        try:
            save_crops(crops_path(info.path), crops)
        except DataError as error:
            logger.warning("no crops are kept of %s: %s", name, error)
    return info


def _most_labelled_first(pair: TrainingPair) -> Iterator[TrainingPair]:
    """Yield the parts of an image that hold labels."""
    edges = _EDGES[pair.target.ndim]
    found = []
    for corner in np.ndindex(
        *(-(-n // e) for n, e in zip(pair.target.shape, edges, strict=True))
    ):
        at = tuple(
            _within(place * edge, edge, size)
            for place, edge, size in zip(corner, edges, pair.target.shape, strict=True)
        )
        target = pair.target[at]
        known = target[target < HELD_OUT]
        if known.size:
            found.append((np.unique(known).size, known.size, at))
    # Of equal ones the first in the image.
    for _, _, at in sorted(found, key=lambda part: (-part[0], -part[1])):
        yield TrainingPair(
            np.ascontiguousarray(pair.image[:, *at]),
            np.where(pair.target[at] < HELD_OUT, pair.target[at], IGNORE),
            pair.name,
        )


def _within(start: int, edge: int, size: int) -> slice:
    """Return a range of an axis, moved inward where it would leave the image."""
    first = max(0, min(start, size - edge))
    return slice(first, min(size, first + edge))
