"""Preparation of images and outputs as packages state it, in steps that are known here.

All that is left out would change what a network sees, so what is not known is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError, SpecError
from unet_engine.images.brightness.steps import MEASURED, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_UNBOUNDED = float(np.finfo(np.float32).max)
"""In place of a limit that is not stated."""


class _Unknown(Exception):
    """What of a step is not known here, as a clause."""


def steps_of(
    described: Sequence[Any], axes: Sequence[Any], *, of_output: bool = False
) -> tuple[Step, ...]:
    """Return the steps of a preprocessing or postprocessing.

    Parameters
    ----------
    described
        Of the tensor, in their order.
    axes
        Of the tensor.
    of_output
        Whether it is postprocessing, which tiles are to be given without a look at
        the whole.

    Raises
    ------
    DataError
        Names the first step that cannot be done as it is described.
    """
    kinds = {str(axis.id): axis.type for axis in axes}
    steps = []
    for one in described:
        name = str(one.id)
        try:
            if of_output and name in MEASURED:
                raise _Unknown(
                    "it takes figures of the whole output, and of tiles "
                    "there is no whole"
                )
            steps.append(_step(name, one.kwargs, kinds))
        except (_Unknown, SpecError) as error:
            place = "after" if of_output else "before"
            raise DataError(
                f"its step {name!r} {place} the network cannot be done here: {error}; "
                "run it in a program of bioimage.io"
            ) from error
    return tuple(steps)


def _step(name: str, kwargs: Any, kinds: dict[str, str]) -> Step:
    make = _MADE.get(name)
    if make is None:
        raise _Unknown("it is not known")
    axis = getattr(kwargs, "axis", None)
    if axis is not None and kinds.get(str(axis)) != "channel":
        raise _Unknown(f"it has figures along the axis {axis}")
    return make(kwargs, kinds)


def _range(kwargs: Any, kinds: dict[str, str]) -> Step:
    if kwargs.reference_tensor is not None:
        raise _Unknown("it takes the figures of another tensor")
    limits = kwargs.min_percentile, kwargs.max_percentile, kwargs.eps
    joint = _is_joint(kwargs.axes, kinds)
    return Step(kind="scale_range", values=tuple(map(float, limits)), joint=joint)


def _unit_variance(kwargs: Any, kinds: dict[str, str]) -> Step:
    joint = _is_joint(kwargs.axes, kinds)
    return Step(
        kind="zero_mean_unit_variance", values=(float(kwargs.eps),), joint=joint
    )


def _fixed_variance(kwargs: Any, _: dict[str, str]) -> Step:
    means, spreads = _numbers(kwargs.mean), _numbers(kwargs.std)
    return Step(
        kind="scale_linear",
        values=tuple(1 / spread for spread in spreads),
        offsets=tuple(-m / s for m, s in zip(means, spreads, strict=True)),
    )


def _linear(kwargs: Any, _: dict[str, str]) -> Step:
    gains, offsets = _numbers(kwargs.gain), _numbers(kwargs.offset)
    count = max(len(gains), len(offsets))
    gains, offsets = (one * count if len(one) == 1 else one for one in (gains, offsets))
    return Step(kind="scale_linear", values=gains, offsets=offsets)


def _clip(kwargs: Any, _: dict[str, str]) -> Step:
    if any(
        getattr(kwargs, name, None) is not None
        for name in ("min_percentile", "max_percentile")
    ):
        raise _Unknown("its limits are percentiles")
    low = -_UNBOUNDED if kwargs.min is None else float(kwargs.min)
    high = _UNBOUNDED if kwargs.max is None else float(kwargs.max)
    return Step(kind="clip", values=(low, high))


_MADE: dict[str, Callable[[Any, dict[str, str]], Step]] = {
    "binarize": lambda kwargs, _: Step(
        kind="binarize", values=_numbers(kwargs.threshold)
    ),
    "clip": _clip,
    "ensure_dtype": lambda kwargs, _: Step(
        kind="ensure_dtype", dtype=str(kwargs.dtype)
    ),
    "fixed_zero_mean_unit_variance": _fixed_variance,
    "scale_linear": _linear,
    "scale_range": _range,
    "sigmoid": lambda *_: Step(kind="sigmoid"),
    "softmax": lambda *_: Step(kind="softmax"),
    "zero_mean_unit_variance": _unit_variance,
}
"""Makes a step of what the specification has for it, by its name there."""


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(map(float, values if isinstance(values, (list, tuple)) else [values]))


def _is_joint(axes: Sequence[Any] | None, kinds: dict[str, str]) -> bool:
    """Whether statistics are those of all channels together."""
    if axes is None:
        return True
    spatial = {name for name, kind in kinds.items() if kind == "space"}
    if not spatial <= set(map(str, axes)):
        raise _Unknown("its figures are not those of the whole image")
    return any(kinds.get(str(axis)) == "channel" for axis in axes)
