"""How fast tiles come, and so how long a run takes: shown during it and before it."""

from __future__ import annotations

import time
from math import prod
from typing import TYPE_CHECKING, Any

from unet_engine.compute.calibration import recall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.models.spec import ModelSpec
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.events import TileDenoised, TileDone
    from unet_engine.prediction.plan import PredictionPlan


class MeasuredSpeeds:
    """How fast the last runs in a viewer were, for each kind of network and device.

    Attributes
    ----------
    seconds
        Per megapixel.
    """

    def __init__(self) -> None:
        self.seconds: dict[tuple[Any, ...], float] = {}


class SpeedMeter:
    """The speed of a run, from its first tile on: what came before is preparation.

    Attributes
    ----------
    done, total
        Tiles that are finished, and tiles in the run.
    """

    def __init__(self) -> None:
        self._since = 0.0
        self._last = 0.0
        self._first = self.done = self.total = 0
        self._pixels = 0

    def record(self, tiles: Sequence[TileDone | TileDenoised]) -> None:
        """Count tiles that were finished since the last call."""
        self.done, self.total = tiles[-1].done, tiles[-1].total
        if not self.done:
            return
        self._last = time.monotonic()
        if not self._since:
            self._since, self._first = self._last, self.done
        else:
            self._pixels += sum(map(_pixels_of, tiles))

    def seconds_left(self) -> float | None:
        """Return the seconds until all is done; None before two tiles are finished."""
        if self.done == self._first:
            return None
        each = (self._last - self._since) / (self.done - self._first)
        return each * (self.total - self.done)

    def remember(
        self, speeds: MeasuredSpeeds, spec: ModelSpec, config: PredictConfig
    ) -> None:
        """Keep the speed for `expected_seconds`."""
        if self._pixels:
            seconds = self._last - self._since
            speeds.seconds[_key(spec, config)] = 1e6 * seconds / self._pixels


def expected_seconds(
    speeds: MeasuredSpeeds, plan: PredictionPlan, spec: ModelSpec, config: PredictConfig
) -> float | None:
    """Return about how long a run will take; None before one like it was measured."""
    speed = speeds.seconds.get(_key(spec, config)) or _recalled(spec, config)
    return None if speed is None else speed * plan.network_pixels / 1e6


def _recalled(spec: ModelSpec, config: PredictConfig) -> float | None:
    """Return the speed of an earlier session."""
    if config.average_flips != "auto" or config.precision != "full":
        return None
    # auto takes the first of these that there is, and only what ran here is known.
    devices = ("cuda", "mps", "cpu") if config.device == "auto" else (config.device,)
    known = (recall(spec, device).seconds_per_megapixel for device in devices)
    return next((speed for speed in known if speed), None)


def describe_time(seconds: float) -> str:
    """Return a rough time for the user: ``about 40 s``."""
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min")):
        if seconds < limit:
            return f"about {_rounded(seconds / unit)} {name}"
    return f"about {seconds / 3600:.1f} h"


def _rounded(number: float) -> int:
    """Round to one digit, or two: the measured speed is no more precise."""
    step = 5 if number > 20 else 1
    return max(1, step * round(number / step))


def _pixels_of(tile: TileDone | TileDenoised) -> int:
    return prod(part.stop - part.start for part in tile.inner)


def _key(spec: ModelSpec, config: PredictConfig) -> tuple[Any, ...]:
    return (
        spec.architecture, spec.ndim, spec.depth, spec.width, spec.in_channels,
        config.device, config.average_flips, config.precision, config.effort,
        config.directions,
    )  # fmt: skip
