"""Steps by which a network of another program prepares its input and its output.

They are those of bioimage.io that need nothing but the values of a pixel and, of the
input, statistics of the whole image; the names are the ones of its specification.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy.special import expit, softmax

from unet_engine.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

StepKind = Literal[
    "binarize",
    "clip",
    "ensure_dtype",
    "scale_linear",
    "scale_range",
    "sigmoid",
    "softmax",
    "zero_mean_unit_variance",
]

MEASURED = ("scale_range", "zero_mean_unit_variance")
"""Steps whose figures are those of an image: they are measured before they are used."""

_NUMBERS = {"scale_range": 3, "zero_mean_unit_variance": 1, "clip": 2}
"""How many values a step has; of the others one, or one for each channel."""

_DTYPES = (
    "float32", "float64", "uint8", "int8", "uint16", "int16", "uint32", "int32",
    "uint64", "int64", "bool",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a preparation.

    Attributes
    ----------
    kind
        As the specification of bioimage.io names it.
    values
        ``scale_range``: low percentile, high percentile, eps.
        ``zero_mean_unit_variance``: eps. ``scale_linear``: gains, and ``binarize``:
        thresholds, one or one per channel. ``clip``: least and largest.
    offsets
        Of ``scale_linear``, as many as gains.
    joint
        Whether statistics are those of all channels together.
    dtype
        Of ``ensure_dtype``.
    """

    kind: StepKind
    values: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    joint: bool = False
    dtype: str = ""

    def __post_init__(self) -> None:
        numbers = (*self.values, *self.offsets)
        known = self.kind in get_args(StepKind) and all(map(_is_number, numbers))
        if not known or type(self.joint) is not bool or not self._is_complete():
            raise SpecError(f"a step of the preparation cannot be done: {self}")

    def _is_complete(self) -> bool:
        if self.kind == "ensure_dtype":
            return self.dtype in _DTYPES
        if self.kind in ("sigmoid", "softmax"):
            return not self.values
        if self.kind == "scale_linear" and len(self.offsets) != len(self.values):
            return False
        if self.kind == "scale_range" and len(self.values) == 3:
            low, high, eps = self.values
            return 0 <= low < high <= 100 and eps > 0
        wanted = _NUMBERS.get(self.kind)
        return bool(self.values) if wanted is None else len(self.values) == wanted

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "kind": self.kind,
            "values": list(self.values),
            "offsets": list(self.offsets),
            "joint": self.joint,
            "dtype": self.dtype,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Step:
        """Read what ``to_dict`` returned.

        Raises
        ------
        SpecError
            When it is anything else.
        """
        try:
            numbers = {name: tuple(values[name]) for name in ("values", "offsets")}
            return cls(**{**values, **numbers})
        except (TypeError, KeyError) as error:
            raise SpecError(
                f"a step of the preparation is not known here: {values!r:.100}"
            ) from error


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and isfinite(value)


def measured(steps: Sequence[Step], values: npt.NDArray[Any]) -> tuple[Step, ...]:
    """Return steps in which figures of an image stand in place of what is measured.

    Parameters
    ----------
    steps
        In the order in which they are done.
    values
        ``(C, n)``, pixels of the whole image, finite numbers.

    Returns
    -------
    tuple of Step
        None of ``MEASURED``.
    """
    done = []
    for step in steps:
        one = _measured(step, values) if step.kind in MEASURED else step
        done.append(one)
        values = applied((one,), values, np.float64)
    return tuple(done)


def _measured(step: Step, values: npt.NDArray[Any]) -> Step:
    axis = None if step.joint else 1
    wide = values.astype(np.float64, copy=False)
    if step.kind == "scale_range":
        low, high = np.percentile(wide, step.values[:2], axis=axis)
        spread = high - low + step.values[2]
    else:
        low, spread = wide.mean(axis=axis), wide.std(axis=axis) + step.values[0]
    low, spread = np.atleast_1d(low), np.atleast_1d(spread)
    gains = tuple(float(one) for one in 1 / spread)
    offsets = tuple(float(one) for one in -low / spread)
    return replace(step, kind="scale_linear", values=gains, offsets=offsets)


def applied(
    steps: Sequence[Step], block: npt.NDArray[Any], dtype: npt.DTypeLike = np.float32
) -> npt.NDArray[Any]:
    """Do steps with a block.

    Parameters
    ----------
    steps
        None of ``MEASURED``.
    block
        ``(C, ...)``, of an image or of the output of a network.
    dtype
        That is computed with.

    Returns
    -------
    ndarray
        ``(C, ...)`` in ``dtype``, also where a step makes integers of it.

    Raises
    ------
    SpecError
        When a step has figures for another number of channels.
    """
    values = block.astype(dtype)
    # NaN are no data, and become what the caller knows.
    with np.errstate(invalid="ignore", over="ignore"):
        for step in steps:
            values = _done(step, values).astype(dtype, copy=False)
    return values


def _done(step: Step, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if step.kind == "scale_linear":
        gains, offsets = (
            _per_channel(numbers, values) for numbers in (step.values, step.offsets)
        )
        return np.asarray(values * gains + offsets)
    if step.kind == "clip":
        low, high = step.values
        return np.asarray(np.clip(values, low, high))
    if step.kind == "binarize":
        return np.asarray(values > _per_channel(step.values, values))
    if step.kind == "sigmoid":
        return np.asarray(expit(values))
    if step.kind == "softmax":
        return np.asarray(softmax(values, axis=0))
    return values.astype(step.dtype)


def _per_channel(
    numbers: tuple[float, ...], values: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    if len(numbers) not in (1, len(values)):
        raise SpecError(
            f"a step of the preparation has figures for {len(numbers)} channels, and "
            f"there are {len(values)}"
        )
    return np.asarray(numbers, values.dtype).reshape(-1, *(1,) * (values.ndim - 1))
