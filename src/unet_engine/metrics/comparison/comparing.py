"""``iter_compare``: two label arrays of any size, compared block by block."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from unet_engine.errors import Cancelled, DataError
from unet_engine.metrics.comparison.instances import ObjectCounter
from unet_engine.metrics.comparison.pixels import CELL, ClassCounter
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from unet_engine.metrics.comparison.results import Comparison
    from unet_engine.places import Index, PlaneRegion, Region
    from unet_engine.stopping import Stop

BLOCK = 8 * CELL
"""Edge in pixels of what is read at once: 1 megapixel."""
_MOST = 20
"""Worst places that are returned by default: as many as somebody looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCompared:
    """A block was compared.

    Attributes
    ----------
    done, total
        Blocks so far, and in all.
    """

    done: int
    total: int


def iter_compare(
    truth: Any,
    predicted: Any,
    kind: Literal["classes", "instances"] = "classes",
    *,
    names: Sequence[str] = (),
    ndim: int = 2,
    ignore: int | None = None,
    most: int = _MOST,
    stop: Stop = never,
) -> Generator[BlockCompared, None, Comparison]:
    """Compare two label arrays: scores, and the places where they differ most.

    Parameters
    ----------
    truth, predicted
        Array-likes of integers of one shape, ``(*leading, Y, X)``; at most a megapixel
        of each is read at a time.
    kind
        ``"classes"``: class ids, in the truth with `IGNORE` where nobody labelled;
        ``"instances"``: object ids, 0 for the background.
    names
        Of the classes, background first.
    ndim
        Axes that an object extends along: 2, or 3 for volumes, whose last leading axis
        is depth. Objects of different frames have nothing to do with each other.
    ignore
        Of ``"instances"``: value of the truth that nobody labelled.
    most
        Worst places at most: squares of 128 pixels with the most wrong pixels, no two
        of which touch, or the objects of which most is wrong.
    stop
        Polled before every block.

    Yields
    ------
    BlockCompared

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        When the shapes differ, there is no pixel, or the values are not what ``kind``
        states.
    Cancelled
        When ``stop`` returned True.

    Examples
    --------
    >>> from unet_engine.generators import drain
    >>> truth = np.zeros((64, 64), np.uint8)
    >>> truth[10:20, 10:20] = 1
    >>> found = drain(iter_compare(truth, np.zeros_like(truth), "instances"))
    >>> found.objects.mistakes["missed"], found.worst[0].rows
    (1, slice(10, 20, None))
    """
    shape = _check(truth, predicted)

    def read(index: Index, region: Region) -> tuple[Any, Any]:
        key = (*index, *region)
        return _integers(truth[key], "truth"), _integers(predicted[key], "prediction")

    total = prod(shape[:-2]) * prod(-(-size // BLOCK) for size in shape[-2:])
    classes, objects = ClassCounter(names), ObjectCounter(ndim, ignore)
    counter = classes if kind == "classes" else objects
    for done, (index, region) in enumerate(_blocks(shape), start=1):
        if stop():
            raise Cancelled("the comparison was stopped")
        counter.add(index, region, *read(index, region))
        yield BlockCompared(done=done, total=total)
    if kind == "classes":
        return classes.result(read, (shape[-2], shape[-1]), most)
    return objects.result(most)


def _check(truth: Any, predicted: Any) -> tuple[int, ...]:
    shape, other = tuple(truth.shape), tuple(predicted.shape)
    if shape != other:
        raise DataError(
            f"truth {shape} and prediction {other} differ in shape; compare an image "
            "with the prediction of the same image"
        )
    if len(shape) < 2 or 0 in shape:
        raise DataError(f"labels of shape {shape} have no pixel to compare")
    return shape


def _integers(values: Any, name: str) -> Any:
    values = np.asarray(values)
    if values.dtype.kind not in "biu":
        raise DataError(
            f"the {name} holds {values.dtype}, but classes and objects are whole "
            "numbers; choose labels instead of an image or a probability"
        )
    return values.astype(np.uint8) if values.dtype.kind == "b" else values


def _blocks(shape: Sequence[int]) -> Iterator[PlaneRegion]:
    """Yield planes and regions, those of a plane one after the other."""
    rows, columns = (
        [slice(at, min(at + BLOCK, size)) for at in range(0, size, BLOCK)]
        for size in shape[-2:]
    )
    for index in np.ndindex(*shape[:-2]):
        for region in product(rows, columns):
            yield index, region
