"""What runs in a thread: objects are found in a mask and measured. No Qt or widget.

No torch either: a mask and an image are all that is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import Cancelled
from unet_engine.objects import (
    SemanticMask,
    iter_label_objects,
    iter_measure_objects,
)
from unet_engine.objects.editing import with_claimed_objects
from unet_engine.outlines import write_object_file

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from napari_unet.jobs.orders import ObjectsOrder
    from unet_engine.annotations.annotations import Annotations
    from unet_engine.images import Image
    from unet_engine.objects import BlockDone, ObjectConfig, Objects
    from unet_engine.places import Index, Region
    from unet_engine.stopping import Stop

    Table = dict[str, npt.NDArray[Any]]


_LARGEST_IN_MEMORY = 2**30
"""Bytes of ids that are copied into memory, 1 GiB; larger ones stay in their file."""


_ROOM = 200
"""How many times as many ids a layer has room for as there are objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsStep:
    """How far a run is: what it does, and steps of that."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundObjects:
    """The objects of a mask.

    Attributes
    ----------
    labels
        ``(*leading, Y, X)`` object ids, perhaps in a temporary file.
    table
        A row for each object, as the engine measures it.
    """

    labels: Any
    table: Table

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.table["label"])


class ClassProbabilities:
    """Probability of every class, ``(classes, *mask)``, from one array for each.

    Parameters
    ----------
    arrays
        For all classes but the background, which no split needs and which is 0.
    """

    def __init__(self, arrays: Sequence[npt.NDArray[np.float32]]) -> None:
        self._arrays = arrays
        self.shape: tuple[int, ...] = (len(arrays) + 1, *arrays[0].shape)

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[np.float32]:
        classes, *where = key
        blocks = [array[tuple(where)] for array in self._arrays]
        stacked = np.stack([np.zeros_like(blocks[0]), *blocks])
        chosen: npt.NDArray[np.float32] = stacked[classes]
        return chosen


def find_objects(
    order: ObjectsOrder, stop: Stop
) -> Generator[ObjectsStep, None, FoundObjects | None]:
    """Find the objects and measure them; None when it was stopped."""
    try:
        objects = yield from named_steps(
            "Finding objects",
            iter_label_objects(order.mask, order.config, stop=stop),
        )
        objects = _in_memory(objects)
        if order.corrected is not None:
            objects = _with_corrections(objects, order.corrected, order.mask.classes)
        table = yield from named_steps(
            "Measuring",
            iter_measure_objects(
                objects,
                order.image,
                scale=order.scale,
                axes=order.axes,
                class_names=order.classes,
                stop=stop,
            ),
        )
    except Cancelled:
        return None
    return FoundObjects(labels=objects.labels, table=table)


def _in_memory(objects: Objects) -> Objects:
    """Return objects whose ids lie in no file that may be deleted under the layer.

    Their type has room for those that are split and added. Large ones stay.
    """
    labels = objects.labels
    if labels.nbytes > _LARGEST_IN_MEMORY:
        return objects
    room = np.min_scalar_type(_ROOM * (int(labels.max(initial=0)) + _ROOM))
    kind = np.promote_types(labels.dtype, room)
    return replace(objects, labels=np.array(labels, kind))


def _with_corrections(objects: Objects, corrected: Annotations, mask: Any) -> Objects:
    """Return objects of which the corrected ones are as they were corrected.

    Parameters
    ----------
    objects
        As they were found anew. Those in a file stay as they are.
    corrected
        As of ``objects.editing``.
    mask
        ``(*leading, Y, X)`` class ids.
    """
    labels, classes = objects.labels, [objects.classes]
    if labels.nbytes > _LARGEST_IN_MEMORY:
        return objects
    through = objects.ndim - 2
    highest = int(labels.max(initial=0))
    for lead in dict.fromkeys(i[: len(i) - through] for i in corrected.planes()):
        planes = [(*lead, z) for z in range(labels.shape[-3])] if through else [lead]
        claims = np.stack([corrected.target(index) for index in planes])
        ids = labels[lead]
        after = with_claimed_objects(ids, claims.reshape(ids.shape), highest + 1)
        there = np.flatnonzero(after > highest)
        labels[lead] = after
        _, first = np.unique(after.flat[there], return_index=True)
        values = np.asarray(mask[lead]).flat[there[first]]
        classes.append(np.maximum(values, 1).astype(np.uint8))
        highest += len(first)
    return replace(objects, labels=labels, classes=np.concatenate(classes))


def split_view(
    mask: SemanticMask,
    config: ObjectConfig,
    index: Index,
    region: Region,
    stop: Stop,
) -> Generator[BlockDone, None, npt.NDArray[Any] | None]:
    """Find the objects of a part of a plane, ``(h, w)`` ids; None when stopped."""
    where = (*index, *region)
    every = (slice(None), *where)

    def part(array: Any) -> Any:
        return None if array is None else np.asarray(array[every])

    view = SemanticMask(
        classes=np.asarray(mask.classes[where]),
        spacing=None if mask.spacing is None else mask.spacing[-2:],
        boundary=mask.boundary,
        probabilities=part(mask.probabilities),
        object_maps=part(mask.object_maps),
        map_names=mask.map_names,
    )
    try:
        objects = yield from iter_label_objects(view, config, stop=stop)
    except Cancelled:
        return None
    return np.array(objects.labels)


def save_objects(
    path: str, labels: Any, image: Image, table: Table, stop: Stop
) -> Generator[ObjectsStep, None, str | None]:
    """Write objects in the format of the suffix, whole or not at all.

    Returns
    -------
    str or None
        The path; None when it was stopped.
    """
    yield ObjectsStep(what="Saving", done=0, total=1)
    try:
        write_object_file(path, labels, image, table, stop=stop)
    except Cancelled:
        return None
    return path


def named_steps(
    what: str, run: Generator[BlockDone, None, Any]
) -> Generator[ObjectsStep, None, Any]:
    """Pass the steps of an engine's run on under a name."""
    while True:
        try:
            step = next(run)
        except StopIteration as finished:
            return finished.value
        yield ObjectsStep(what=what, done=step.done, total=step.total)
