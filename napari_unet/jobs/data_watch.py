"""Layers whose data were set again: the same image in another array, or another one.

Small arrays in memory are compared at once; what would have to be read, or takes a
while, in a thread. Until that ends nothing is changed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_unet.jobs.job import Job, run
from napari_unet.state.equal_arrays import equal_values
from napari_unet.viewer.conversion import full_data

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from unet_engine.stopping import Stop

_AT_ONCE = 2**25
"""Bytes compared in the window's thread, 32 MiB: some 20 ms."""

_BLOCK = 2**24
"""Bytes of a block that is read in the thread, 16 MiB: two of them fit anywhere."""

_SAMPLES = 4096
"""Pixels that are remembered of an array, to see that it was changed in place."""


class DataWatch(QObject):
    """Watches image layers whose data may be set again.

    Attributes
    ----------
    replaced
        A layer that shows other pixels now.
    renewed
        A layer with equal pixels in another array.
    """

    replaced = Signal(object)
    renewed = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._shown: WeakKeyDictionary[Any, _Shown] = WeakKeyDictionary()
        self._comparing: WeakKeyDictionary[Any, Job] = WeakKeyDictionary()

    def watch(self, layer: Any) -> None:
        """Follow the data of a layer, if they are not followed yet."""
        if layer not in self._shown:
            self._shown[layer] = _Shown(full_data(layer))
            layer.events.data.connect(self._on_data)

    def unwatch(self, layer: Any) -> bool:
        """Follow a layer no longer; return whether it was followed."""
        if self._shown.pop(layer, None) is None:
            return False
        layer.events.data.disconnect(self._on_data)
        self._end_comparing(layer)
        return True

    def close(self) -> None:
        """Follow nothing any more."""
        for layer in list(self._shown):
            self.unwatch(layer)

    def _end_comparing(self, layer: Any) -> None:
        if (job := self._comparing.pop(layer, None)) is not None:
            job.discard()

    def _on_data(self, event: Any) -> None:
        layer = event.source
        self._end_comparing(layer)
        before, after = self._shown[layer], full_data(layer)
        same = before.is_same(after)
        if same is not None:
            self._report(layer, same)
            return
        self._comparing[layer] = run(
            partial(compare_run, before.data, after),
            parent=self,
            on_result=partial(self._report, layer),
            # What cannot be read any more counts as another image.
            on_error=lambda _: self._report(layer, False),
        )

    def _report(self, layer: Any, same: bool) -> None:
        self._comparing.pop(layer, None)
        if layer in self._shown:
            self._shown[layer] = _Shown(full_data(layer))
            (self.renewed if same else self.replaced).emit(layer)


class _Shown:
    """The array of a layer, and some of its pixels as they were."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self._sample = _sample(data)

    def is_same(self, after: Any) -> bool | None:
        """Return whether an array has the same pixels; None if it must be read."""
        before = self.data
        if tuple(before.shape) != tuple(after.shape):
            return False
        if not equal_values(self._sample, _sample(before)):
            return False
        if after is before:
            return True
        if _is_dask(before) and _is_dask(after):
            # Its name identifies how it is made; others may still be equal.
            return True if before.name == after.name else None
        if not (_in_memory(before) and _in_memory(after)):
            return None
        if max(before.nbytes, after.nbytes) > _AT_ONCE:
            return None
        return equal_values(before, after)


def compare_run(before: Any, after: Any, stop: Stop) -> Generator[None, None, bool]:
    """Return whether two array-likes of one shape have equal pixels."""
    bytes_each = max(np.dtype(each.dtype).itemsize for each in (before, after))
    for box in _boxes(tuple(before.shape), max(1, _BLOCK // bytes_each)):
        if stop() or not equal_values(np.asarray(before[box]), np.asarray(after[box])):
            return False
        yield
    return True


def _boxes(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """Divide an array into boxes of at most so many pixels."""
    whole = tuple(slice(0, length) for length in shape)
    if not shape or np.prod(shape, dtype=float) <= most:
        yield whole
        return
    step = int(most // np.prod(shape[1:], dtype=float))
    if step:
        for start in range(0, shape[0], step):
            yield slice(start, min(start + step, shape[0])), *whole[1:]
        return
    for start in range(shape[0]):
        for rest in _boxes(shape[1:], most):
            yield slice(start, start + 1), *rest


def _sample(data: Any) -> Any:
    """Return some pixels of an array in memory, and none of any other."""
    if not _in_memory(data):
        return np.zeros(0)
    return np.array(data.flat[:: max(1, data.size // _SAMPLES)])


def _in_memory(data: Any) -> bool:
    """Whether pixels can be read without a file."""
    return isinstance(data, np.ndarray) and not isinstance(_owner(data), np.memmap)


def _owner(data: Any) -> Any:
    """Return the array that a view of an array is of; a file's is a memmap."""
    while isinstance(data, np.ndarray) and not isinstance(data, np.memmap):
        if data.base is None:
            break
        data = data.base
    return data


def _is_dask(data: Any) -> bool:
    return hasattr(data, "dask") and hasattr(data, "name")
