"""Axes of an image: their letters, what they allow, and which one holds channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt


AXES = "TZPRCYXS"
"""Letters an axis may have: time, depth, position, row of positions, channel, height,
width, and the samples of a colour pixel."""

CHANNEL_AXES = "CS"
"""The axes of which every position is a channel."""


def title_of(name: str) -> str:
    """Return how messages call an image: by its name, if it has one."""
    return f"the image {name!r}" if name else "the image"


def check_letters(axes: str, shape: tuple[int, ...], name: str) -> None:
    """Raise `DataError` unless the letters are axes of an image of this shape."""
    if len(axes) != len(shape):
        raise DataError(
            f"{title_of(name)} has {len(shape)} axes of lengths {shape}, "
            f"but {axes!r} names {len(axes)}; give one letter of {AXES} for each"
        )
    if unknown := sorted(set(axes) - set(AXES)):
        raise DataError(
            f"axes {axes!r} of {title_of(name)}: {', '.join(unknown)} is not a letter "
            f"of {AXES}"
        )
    if len(set(axes)) < len(axes) or not {"Y", "X"} <= set(axes):
        raise DataError(
            f"axes {axes!r} of {title_of(name)}: an image needs Y and X, "
            "and each letter once"
        )
    if set(CHANNEL_AXES) <= set(axes):
        raise DataError(
            f"{title_of(name)} has channels C and colour samples S at once "
            f"(axes {axes!r}); save one channel, or the channels without colour"
        )
    if 0 in shape:
        raise DataError(f"{title_of(name)} has no pixels: its shape is {shape}")


def count_channels(
    axes: str, shape: tuple[int, ...], rgb: bool, name: str
) -> tuple[int, bool]:
    """Return the channels without alpha and whether they are red, green and blue."""
    axis = next((a for a in axes if a in CHANNEL_AXES), None)
    count = 1 if axis is None else shape[axes.index(axis)]
    if rgb and count not in (3, 4):
        raise DataError(
            f"{title_of(name)} is marked as RGB but has {count} channel(s); "
            "RGB needs 3, or 4 with alpha"
        )
    if rgb or (axis == "S" and count in (3, 4)):
        return 3, True
    if axis == "S" and count == 2:
        return 1, False  # grey and alpha
    return count, False


def channels_first(block: npt.NDArray[Any], axes: str) -> npt.NDArray[Any]:
    """Return a block whose axes are named with its channels in front: ``(C, Y, X)``."""
    kept = [a for a in axes if a in "CSYX"]
    if not set(kept) & set(CHANNEL_AXES):
        block, kept = block[None], ["C", *kept]
    order = (kept.index("S" if "S" in kept else "C"), kept.index("Y"), kept.index("X"))
    return block.transpose(order)


def check_dtype(dtype: Any, name: str) -> None:
    """Raise `DataError` unless pixels of this type are numbers."""
    try:
        kind = np.dtype(dtype).kind
    except TypeError:
        kind = "O"
    if kind == "c":
        raise DataError(
            f"{title_of(name)} has complex numbers ({dtype}); take the magnitude "
            "(np.abs) or the phase (np.angle) first"
        )
    if kind not in "biuf":
        raise DataError(
            f"{title_of(name)} holds {dtype}, not numbers; convert it to integers or "
            "floats first"
        )
