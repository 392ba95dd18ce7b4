"""``Normalisation``: brightness measured once on the whole image, applied to blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images.brightness.foreground import foreground_limits
from unet_engine.images.brightness.preparation import Preparation
from unet_engine.images.brightness.sample import Sample
from unet_engine.images.brightness.steps import applied, measured
from unet_engine.wording import setting

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.images.brightness.steps import Step
    from unet_engine.images.image import Image
    from unet_engine.images.no_data import Fill
    from unet_engine.images.stains import Stain

_COUNTED = 2**19
"""Values that are counted at a time: fewer bytes of indices than the image has."""

_MEDIAN_OF = 2**16
"""Values that the median is taken of, which need not be exact."""

_RANGE = (-1.0, 5.0)
"""What ``apply`` clips to. 0 and 1 are percentiles, so true pixels lie beyond them; a
hot pixel a hundred times as bright as the rest would dominate a network's features."""


_PERCENTILES = Preparation()
"""Two percentiles, and the luminance of colours."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What becomes 0 and 1, per channel, for every block of an image.

    Attributes
    ----------
    low, high
        Pixel values that become 0 and 1. Equal in a channel that is constant, which
        becomes 0 throughout.
    notes
        What the user should learn about the image, one sentence each.
    fills
        Values that fill the border of the image and are no data; see ``no_data``.
    neutral
        What a pixel of no data becomes, per channel: the median of the others on the
        scale of the network, so that it is no structure. Empty: 0.
    stain
        How a stain is read as the optical density of the dye of its nuclei; None for
        any other image.
    steps
        What is done in place of bringing ``low`` and ``high`` to 0 and 1, with the
        figures of the image; of a network of another program.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    notes: tuple[str, ...] = ()
    fills: tuple[Fill, ...] = ()
    neutral: tuple[float, ...] = ()
    stain: Stain | None = None
    steps: tuple[Step, ...] = ()

    @classmethod
    def measure(
        cls,
        image: Image,
        preparation: Preparation = _PERCENTILES,
    ) -> Normalisation:
        """Find what becomes 0 and 1, on all planes of the whole image together.

        Channels are measured apart, red, green and blue together so that the colour
        stays. Of an image above 16 million pixels, evenly spread blocks are taken,
        the same ones each time, and a note has the number of their pixels. Pixels of
        no data, by the rules of ``no_data``, are left out.

        Parameters
        ----------
        image
            As ``match_channels`` returns it.
        preparation
            What the model states; the defaults are two percentiles and, of a colour
            image in one channel, its luminance.

        Raises
        ------
        DataError
            When no pixel is a finite number.
        """
        sample = Sample.read(image, preparation.colour)
        values = sample.values
        notes: list[str] = []
        pixels = prod((*image.leading_shape, *image.plane_shape))
        if values.shape[1] < pixels:
            notes.append(_describe_sample(values.shape[1], pixels))
        if image.grey and preparation.colour != "luminance":
            notes.append(_describe_colour(sample.stain))
        groups = (
            [range(len(values))] if image.rgb else [[n] for n in range(len(values))]
        )
        limits, neutral = [], []
        for number, channels in enumerate(groups):
            finite = _finite(image, sample, number, values[list(channels)], notes)
            found = (0.0, 0.0)
            if preparation.brightness == "foreground":
                planes = [p for channel in channels for p in sample.planes(channel)]
                found = foreground_limits(planes)
            if found[0] == found[1]:
                found = _limits(finite, preparation.low, preparation.high)
            limits.append(found)
            neutral.append(_neutral(finite, *limits[-1]))
            if limits[-1][0] == limits[-1][1]:
                notes.append(_describe_constant(number, len(groups), limits[-1][0]))
        if image.rgb:
            limits *= image.channels
            neutral *= image.channels
        lows, highs = zip(*limits, strict=True)
        steps: tuple[Step, ...] = ()
        if preparation.steps:
            known = _recorded(sample)
            steps = measured(preparation.steps, known)
            neutral = [float(np.median(one)) for one in applied(steps, known)]
        return cls(
            low=lows,
            high=highs,
            notes=tuple(dict.fromkeys(notes)),
            fills=sample.fills,
            neutral=tuple(neutral),
            stain=sample.stain,
            steps=steps,
        )

    @property
    def constant(self) -> bool:
        """Whether all pixels of each channel are alike, so that nothing is found."""
        return self.low == self.high

    def marked(self, image: Image) -> Image:
        """Return the view of the image that is to be read.

        Its fill is NaN, and a stain the dye of its nuclei.
        """
        if image.grey and self.stain is not None:
            image = replace(image, stain=self.stain)
        return replace(image, fills=self.fills) if any(self.fills) else image

    def apply(self, block: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Bring a block to the range of the network.

        Parameters
        ----------
        block
            ``(C, *spatial)`` as the image's ``read`` and ``read_volume`` return it.

        Returns
        -------
        ndarray
            ``(C, *spatial)`` float32: 0 at ``low``, 1 at ``high``, clipped to [-1, 5],
            or what ``steps`` make of it; ``neutral`` where the pixel is not a finite
            number, 0 where the channel is constant.

        Raises
        ------
        DataError
            When the block has another number of channels.
        """
        if len(block) != len(self.low):
            raise DataError(
                f"a block of {len(block)} channels does not fit the normalisation of "
                f"an image of {len(self.low)}; measure it on the same view of the image"
            )
        # float32 holds 24 bits: enough for 16-bit files and half floats only.
        wide = np.float32 if block.dtype.itemsize <= 2 else np.float64
        if self.steps:
            values = applied(self.steps, block, np.float64)
        else:
            values = self._scaled(block, wide)
        if block.dtype.kind == "f":
            for channel, pixels in enumerate(values):
                lost = ~np.isfinite(block[channel])
                pixels[lost] = self.neutral[channel] if self.neutral else 0
        return values.astype(np.float32, copy=False)

    def _scaled(self, block: npt.NDArray[Any], wide: npt.DTypeLike) -> npt.NDArray[Any]:
        """Bring ``low`` and ``high`` to 0 and 1."""
        scale = [
            1 / (top - bottom) if top > bottom else 0.0
            for bottom, top in zip(self.low, self.high, strict=True)
        ]
        values: npt.NDArray[Any] = block.astype(wide)
        shape = (-1, *(1,) * (block.ndim - 1))
        with np.errstate(invalid="ignore", over="ignore"):
            values -= np.asarray(self.low, dtype=wide).reshape(shape)
            values *= np.asarray(scale, dtype=wide).reshape(shape)
        return np.clip(values, *_RANGE, out=values)

    def undo(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Bring the output of a network back to the range of the image.

        Parameters
        ----------
        block
            ``(C, ...)`` float32, in which 0 and 1 stand for ``low`` and ``high``.

        Returns
        -------
        ndarray
            ``(C, ...)`` float32 in the unit of the image.
        """
        shape = (-1, *(1,) * (block.ndim - 1))
        low = np.asarray(self.low).reshape(shape)
        high = np.asarray(self.high).reshape(shape)
        restored: npt.NDArray[np.float32] = (low + block * (high - low)).astype("f4")
        return restored


def _recorded(sample: Sample) -> npt.NDArray[Any]:
    """Return the pixels ``(C, n)`` that are finite numbers in all channels, no fill."""
    kept = np.ones(sample.values.shape[1], bool)
    for lost in sample.filled:
        if lost is not None:
            kept &= ~lost
    if sample.values.dtype.kind == "f":
        kept &= np.isfinite(sample.values).all(axis=0)
    # Where each pixel lacks one channel, those that are there are all that is known.
    return sample.values[:, kept] if kept.any() else np.nan_to_num(sample.values)


def _finite(
    image: Image,
    sample: Sample,
    number: int,
    samples: npt.NDArray[Any],
    notes: list[str],
) -> npt.NDArray[Any]:
    """Return the values ``(n,)`` that were recorded, and note how many were not."""
    group = samples.reshape(-1)
    if (lost := sample.filled[number]) is not None:
        kept = ~lost
        # Sample by sample: numpy takes ten times as long for all at once.
        rows = [values[kept] for values in samples]
        group = rows[0] if len(rows) == 1 else np.concatenate(rows)
        notes.append(_describe_fill(lost, sample.fills[number]))
    finite = group
    if group.dtype.kind == "f" and not (mask := np.isfinite(group)).all():
        finite = group[mask]
        notes.append(_describe_missing(group.size - finite.size, group.size))
    if finite.size == 0:
        raise DataError(
            f"channel {number} of the image {image.name!r} has no finite "
            "pixel: all are NaN or infinite; check how it was exported"
        )
    return finite


def _neutral(values: npt.NDArray[Any], low: float, high: float) -> float:
    """Return the median on the scale of the network, from a part of the values."""
    if low == high:
        return 0.0
    part = values[:: max(1, values.size // _MEDIAN_OF)].astype(np.float64)
    return float(np.clip((np.median(part) - low) / (high - low), *_RANGE))


def _limits(values: npt.NDArray[Any], low: float, high: float) -> tuple[float, float]:
    if values.dtype.kind == "b":
        # Not ``view``: the bits of a 1-bit PNG are decoded as bytes of 255.
        values = values.astype(np.uint8)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        bottom, top = _percentiles(values, (low, high))
    else:
        bottom, top = np.percentile(values, (low, high))
    if bottom == top:
        # Sparse bright structures on a flat background are still an image.
        bottom, top = values.min(), values.max()
    return float(bottom), float(top)


def _percentiles(values: npt.NDArray[Any], wanted: tuple[float, ...]) -> list[float]:
    """Return what ``np.percentile`` does of integers of 8 or 16 bits, 20 times faster.

    They are counted; sorting 16 million of them would take most of the waiting time.
    """
    counts, least = _counts(values), int(np.iinfo(values.dtype).min)
    upto = np.cumsum(counts)
    found = []
    for percentile in wanted:
        place = percentile / 100 * (values.size - 1)
        whole = int(place)
        below, above = (
            int(np.searchsorted(upto, min(n, values.size - 1), side="right")) + least
            for n in (whole, whole + 1)
        )
        share = place - whole
        # The two ways round as numpy has it, so that not even the last bit differs.
        value = below + (above - below) * share
        if share >= 0.5:
            value = above - (above - below) * (1 - share)
        found.append(float(value))
    return found


def _counts(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Count each integer that a type of 8 or 16 bits has, from the least on."""
    if values.dtype.itemsize == 1 and values.size > 1:
        # Two bytes at a time, then each of the two apart.
        even = values.size // 2 * 2
        both = _counts(values[:even].view(np.uint16)).reshape(256, 256)
        counts = both.sum(axis=0) + both.sum(axis=1)
        counts += np.bincount(values[even:].view(np.uint8), minlength=256)
    else:
        unsigned = values.view(f"u{values.dtype.itemsize}")
        counts = np.zeros(256**values.dtype.itemsize, np.int64)
        for start in range(0, values.size, _COUNTED):
            part = unsigned[start : start + _COUNTED]
            counts += np.bincount(part, minlength=counts.size)
    return np.roll(counts, len(counts) // 2) if values.dtype.kind == "i" else counts


def _describe_sample(count: int, total: int) -> str:
    return (
        f"the image is large; its brightness was measured on {count / 1e6:.0f} of "
        f"{total / 1e6:.0f} million pixels, in blocks that are spread evenly"
    )


def _describe_colour(stain: Stain | None) -> str:
    if stain is None:
        one = setting(
            command="--channel 2", window="Split RGB in the menu of the layer"
        )
        return (
            "the colours are no bright-field stain, so their luminance is read; where "
            f"one of them alone shows the objects, choose it ({one})"
        )
    if stain.dye == "violet":
        return "a bright-field stain: read as the optical density of a violet dye"
    return "a bright-field stain: read as the optical density of haematoxylin"


def _describe_missing(count: int, total: int) -> str:
    return f"{count} of {total} pixels are NaN or infinite: no data, so background"


def _describe_fill(lost: npt.NDArray[np.bool_], fill: Fill) -> str:
    values = " and ".join(f"{value[0]:g}" for value in fill)
    share = np.count_nonzero(lost) / lost.size
    return (
        f"{share:.1%} of the pixels fill a border with {values}: no data, so background"
    )


def _describe_constant(channel: int, channels: int, value: float) -> str:
    what = "the image" if channels == 1 else f"channel {channel} of the image"
    return f"{what} is constant (every pixel is {value:g}), so nothing can be found"
