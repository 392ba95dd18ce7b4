"""Types for positions in an image that all parts share. No torch.

An image has leading axes (time, and depth where the network takes planes) and a plane
``(Y, X)``; positions are in pixels of the full resolution unless noted otherwise.
"""

from collections.abc import Callable

Index = tuple[int, ...]
"""Position of a plane along the leading axes."""

Interval = tuple[int, int]
"""Start and stop along one axis, the stop excluded."""

Region = tuple[slice, slice]
"""Rows and columns of a plane; slices with start and stop."""

PlaneRegion = tuple[Index, Region]
"""A region of one plane."""

View = tuple[Index, tuple[float, float], tuple[float, float]]
"""Position along the leading axes; the middle of the screen ``(y, x)`` and its height
and width, in pixels of the image at full resolution. They may lie outside it."""

Place = tuple[Index, tuple[float, float]] | View
"""Where the viewport is: position along the leading axes, the point ``(y, x)`` in the
middle, and, where it is known, the height and width around it."""

Near = Place | Callable[[], Place | None] | None
"""Which tiles come first: those near a place, or near what a function returns, which is
called before every tile; None: raster order."""
