"""Arrays ↔ fewer bytes, without loss: lines to a worker are slow, its answers too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_LEVEL = 3
"""Of Zstandard: higher ones take longer than a line of 20 Mbit/s gains."""


@dataclass(frozen=True, slots=True)
class Packed:
    """An array as bytes.

    Attributes
    ----------
    content
        Compressed with Zstandard, the first bytes of all values first.
    dtype, shape
        Of the array.
    """

    content: bytes
    dtype: str
    shape: tuple[int, ...]


def pack(array: npt.NDArray[Any]) -> Packed:
    """Compress an array of numbers."""
    array = np.ascontiguousarray(array)
    planes = array.view(np.uint8).reshape(-1, array.itemsize).T
    return Packed(compressed(planes.tobytes()), array.dtype.str, array.shape)


def unpack(packed: Packed) -> npt.NDArray[Any]:
    """Return the array that was packed; it can be written to."""
    dtype = np.dtype(packed.dtype)
    if not np.prod(packed.shape, dtype=np.int64):
        return np.empty(packed.shape, dtype)
    content = np.frombuffer(decompressed(packed.content), np.uint8)
    values = np.ascontiguousarray(content.reshape(dtype.itemsize, -1).T)
    return values.reshape(-1).view(dtype).reshape(packed.shape)


def compressed(content: bytes) -> bytes:
    """Return bytes as they go over the line, compressed with Zstandard."""
    import imagecodecs

    return bytes(imagecodecs.zstd_encode(content, level=_LEVEL))


def decompressed(content: bytes) -> bytes:
    """Return the bytes that were compressed."""
    import imagecodecs

    return bytes(imagecodecs.zstd_decode(content))
