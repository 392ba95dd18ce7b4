"""Whether two arrays are equal, without a copy where their memory decides it."""

from __future__ import annotations

from typing import Any

import numpy as np


def same_memory(one: Any, other: Any) -> bool:
    """Whether two numpy arrays are the same view; their pixels are not read."""
    same: bool = one.__array_interface__ == other.__array_interface__
    return same


def equal_values(one: Any, other: Any) -> bool:
    """Whether two numpy arrays have equal values, whichever their types are."""
    floats = one.dtype.kind in "fc" and other.dtype.kind in "fc"
    return bool(np.array_equal(one, other, equal_nan=floats))
