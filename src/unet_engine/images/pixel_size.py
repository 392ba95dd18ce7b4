"""``PixelSize``: the size of a pixel along every axis, in its unit."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite, prod
from typing import TYPE_CHECKING, Any

from unet_engine.images.units import is_no_unit, micrometres, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

MICROMETRE, SECOND = "µm", "s"

_AXES = "TZYX"


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distance of two neighbours along an axis.

    Attributes
    ----------
    size
        Above 0 and finite.
    unit
        ``"µm"`` of a length, ``"s"`` of a time; empty where nothing is known but how
        the sizes of the axes compare.
    """

    size: float
    unit: str


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Spacings along T, Z, Y and X, None where they are not known.

    Make one with ``of_micrometres``, or with ``stated`` from the metadata of a file.

    Attributes
    ----------
    t, z, y, x
        Time between two frames; distance of slices, rows and columns.
    note
        A sentence on what was stated and cannot be used; empty when there is nothing.
    printed
        A clause on a resolution for prints, where a file states nothing but that.
    """

    t: Spacing | None = None
    z: Spacing | None = None
    y: Spacing | None = None
    x: Spacing | None = None
    note: str = ""
    printed: str = ""

    @classmethod
    def of_micrometres(
        cls,
        *,
        x: float | None = None,
        y: float | None = None,
        z: float | None = None,
    ) -> PixelSize:
        """Return the size of pixels whose edges are known in micrometres."""
        lengths = {"X": x, "Y": y, "Z": z}
        return cls.stated({a: (size, MICROMETRE) for a, size in lengths.items()})

    @classmethod
    def stated(cls, steps: Mapping[str, tuple[Any, str]]) -> PixelSize:
        """Return what the sizes and units in a file mean, and note what they do not.

        Parameters
        ----------
        steps
            Size and unit by axis. A size of None is not stated; with a unit that is
            empty or ``pixel`` the sizes only compare the axes.
        """
        found: dict[str, Spacing] = {}
        notes = []
        for axis in _AXES:
            value, unit = steps.get(axis, (None, ""))
            if value is None:
                continue
            step = _step(value, unit, axis)
            if isinstance(step, Spacing):
                found[axis] = step
            else:
                notes.append(step)
        bare = [axis for axis, step in found.items() if not step.unit]
        if {found[axis].size for axis in bare} <= {1.0}:
            # Nothing but the count of pixels.
            found = {axis: step for axis, step in found.items() if step.unit}
        elif bare:
            sizes = ", ".join(f"{found[axis].size:.6g}" for axis in bare)
            notes.append(
                f"{_along(bare)} ({sizes}) has no unit and is taken for pixels"
            )
        if (one := {"Y", "X"} & set(found)) and len(one) == 1 and not notes:
            missing = {"Y", "X"} - one
            notes.append(f"{_along(missing)} is missing beside the other")
        t, z, y, x = map(found.get, _AXES)
        return cls(t, z, y, x, note="; ".join(notes))

    def step(self, axis: str) -> Spacing | None:
        """Return the step along an axis; None for one that has none."""
        found: Spacing | None = getattr(self, axis.lower()) if axis in _AXES else None
        return found

    def micrometres(self, axis: str) -> float | None:
        """Return the step along an axis in micrometres, if it is a known length."""
        step = self.step(axis)
        return step.size if step is not None and step.unit == MICROMETRE else None

    def lengths(self, axes: str) -> tuple[float, ...] | None:
        """Return the steps along axes in micrometres; None unless all are known."""
        lengths = [self.micrometres(axis) for axis in axes]
        known = tuple(length for length in lengths if length is not None)
        return known if len(known) == len(axes) else None

    def proportions(self, axes: str) -> tuple[float, ...] | None:
        """Return the steps along axes in one unit, perhaps an unknown one.

        None when they cannot be compared.
        """
        steps = [self.step(axis) for axis in axes]
        known = tuple(step.size for step in steps if step is not None)
        units = {step.unit for step in steps if step is not None}
        return known if len(known) == len(axes) and len(units) == 1 else None

    @property
    def elongation(self) -> float | None:
        """Distance of two slices over that of two pixels, if both are known lengths.

        That of pixels that are not square is the edge of a square of their area.
        """
        plane = [axis for axis in "YX" if self.step(axis) is not None]
        sizes = self.lengths("Z" + "".join(plane))
        if not plane or sizes is None:
            return None
        return sizes[0] / prod(sizes[1:]) ** (1 / len(plane))


def is_size(value: Any) -> bool:
    """Whether a value is a finite number above 0, no text."""
    if isinstance(value, (bool, str)):
        return False
    try:
        return isfinite(value) and value > 0
    except (TypeError, ValueError, OverflowError):
        return False


def reported(size: PixelSize, path: object) -> PixelSize:
    """Return a size of pixels; log in a line what of it cannot be used."""
    if size.note:
        logger.warning(
            "%s: %s; objects --scale measures in other sizes", path, size.note
        )
    return size


def _step(value: Any, unit: str, axis: str) -> Spacing | str:
    """Return a step in micrometres or seconds, or why there is none."""
    if not is_size(value):
        return f"{_along(axis)} is {value!s}, no number above 0, and left out"
    size = float(value)
    if is_no_unit(unit):
        return Spacing(size, "")
    factor = seconds(unit) if axis == "T" else micrometres(unit)
    if factor is None:
        kind = "time" if axis == "T" else "length"
        return f"{_along(axis)} is in {unit!r}, no known unit of {kind}, and left out"
    # In decimal numbers 200 nm are 0.2 µm and nothing beside it.
    exact = float(Decimal(repr(size)) * factor)
    if not (isfinite(exact) and exact > 0):
        return f"{_along(axis)} is {size:.6g} {unit}, out of range, and left out"
    return Spacing(exact, SECOND if axis == "T" else MICROMETRE)


def _along(axes: Any) -> str:
    if axes == "T":
        return "the time between frames"
    return f"the size of a pixel along {' and '.join(axes)}"
