"""The scale of a prediction: how the grid of the model compares with the image's.

A model knows objects of one size, and perhaps its pixels in micrometres. An image whose
objects or pixels have another size is predicted on a grid on which they have that of
the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, log
from typing import TYPE_CHECKING

from unet_engine.errors import DataError, SpecError
from unet_engine.images.axes import title_of
from unet_engine.prediction.config import SMALLEST_OBJECT
from unet_engine.prediction.directions import in_three_directions
from unet_engine.tiling.tiles import Footprint
from unet_engine.wording import setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec
    from unet_engine.prediction.config import PredictConfig

_ALIKE = 1.2
"""Ratio of two sizes up to which a network need not distinguish them: the image is
predicted on its own grid, which costs no interpolation."""

_CONTRADICTION = 1.5
"""Ratio of two sizes from which on they contradict each other."""

_TILE_STEP = {2: 32, 3: 8}
"""Pixels of the image, by dimensions, of which edges of tiles are multiples, so that
chunks on disk divide them."""

_OBLONG = 3.0
"""Ratio of the edges of a pixel from which on one of them is doubtful: cameras and most
scanners have square ones."""

_FARTHEST = 32.0
"""Ratio of two sizes of pixels from which on one of them must be in another unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeEstimate:
    """What was found of the size of the objects in an image.

    Attributes
    ----------
    diameter_px
        Median diameter in pixels of the image, of disks of the same area; None where no
        objects were found.
    sure
        Whether predictions at several scales agree on it and on no other.
    """

    diameter_px: float | None = None
    sure: bool = False


def scale_of(image: Image, spec: ModelSpec, config: PredictConfig) -> tuple[float, ...]:
    """Return how many pixels of the model one of the image becomes, per axis.

    Parameters
    ----------
    image, spec, config
        What is predicted, by which model, and how. With ``object_size`` auto that has
        not been estimated the grid is the image's own.

    Returns
    -------
    tuple
        ``(Y, X)``, or ``(Z, Y, X)`` for a model of volumes and for planes in three
        directions. 1 throughout for a prediction on the image's own grid.

    Raises
    ------
    DataError
        When no object of the size fits the image, a size of pixels is not known, or
        those of image and model contradict each other.
    SpecError
        When the model does not know the size of its objects.
    """
    three = in_three_directions(spec, config)
    own = (1.0,) * (3 if three else spec.ndim)
    if config.object_size in ("auto", "off"):
        return own
    if config.object_size == "pixel-size":
        across = _by_pixel_size(image, spec, config)
    else:
        across = (_by_object_size(image, spec, float(config.object_size)),) * 2
    factors: tuple[float, ...] = across
    if len(own) == 3:
        depth = (across[0] * across[1]) ** 0.5
        factors = (depth * _flatness(image, spec, three=three), *across)
    if all(abs(log(factor)) < log(_ALIKE) for factor in factors):
        return own
    return factors


def is_estimated(spec: ModelSpec, config: PredictConfig) -> bool:
    """Whether the size of objects is to be estimated from the image.

    Of volumes it is not: their parts are too small, or take too long.
    """
    knows = spec.ndim == 2 and bool(spec.classes) and spec.object_size_px is not None
    return config.object_size == "auto" and knows


def config_for(
    image: Image, spec: ModelSpec, config: PredictConfig, found: SizeEstimate
) -> PredictConfig:
    """Return the configuration in which an estimate decides the size of objects."""
    if found.sure and found.diameter_px is not None:
        # Two digits are more than it is good for, and the same on every computer.
        size = max(SMALLEST_OBJECT, float(f"{found.diameter_px:.2g}"))
        if size <= max(image.plane_shape):
            return replace(config, object_size=size)
    known = spec.pixel_size_um is not None and edge_of_pixel(image, config) is not None
    return replace(config, object_size="pixel-size" if known else "off")


def describe_scale(
    image: Image,
    spec: ModelSpec,
    config: PredictConfig,
    found: SizeEstimate | None = None,
) -> str:
    """Return at which scale an image is predicted, and why; empty for its own.

    Parameters
    ----------
    image, spec, config
        As of `scale_of`.
    found
        What was estimated, if anything was.
    """
    factor = scale_of(image, spec, config)[-1]
    at = f"predicted at {factor:.2f}x" if factor != 1 else "predicted at 1x"
    notes = []
    if isinstance(config.object_size, float | int):
        if factor != 1 or found is not None:
            notes.append(f"objects about {config.object_size:.3g} px, {at}")
    elif found is not None:
        notes.append(
            "the size of the objects cannot be estimated, so the image is "
            f"{at}; if that is wrong, {_state_size()}"
        )
    elif factor != 1:
        notes.append(f"by the size of pixels, {at}")
    return "; ".join((*notes, *_contradictions(image, spec, config)))


def _contradictions(image: Image, spec: ModelSpec, config: PredictConfig) -> list[str]:
    """Describe sizes that do not fit each other."""
    notes = []
    edges, stated = edge_of_pixel(image, config), image.pixel_size.lengths("YX")
    if edges is not None and stated is not None and _differ(edges[1], stated[1]):
        notes.append(
            f"the image states pixels of {stated[1]:.3g} µm, {edges[1]:.3g} µm was "
            "given and counts"
        )
    if config.object_size == "pixel-size" and edges is not None:
        notes += _doubtful_edges(*edges)
    if isinstance(config.object_size, str) or None in (edges, spec.pixel_size_um):
        return notes
    assert edges is not None
    assert spec.pixel_size_um is not None
    factor, by_pixels = scale_of(image, spec, config)[-1], edges[1] / spec.pixel_size_um
    if _differ(factor, by_pixels):
        notes.append(
            f"the sizes of pixels would give {by_pixels:.2f}x ({_from_pixels()})"
        )
    return notes


def _doubtful_edges(y: float, x: float) -> list[str]:
    """Describe pixels that are stated as much longer than wide."""
    if max(y / x, x / y) < _OBLONG:
        return []
    return [
        f"the image states pixels of {y:.3g} x {x:.3g} µm; if they are square, "
        f"{_give_pixels()}"
    ]


def _state_size() -> str:
    how = setting(command="--object-size 30", window="Object size px")
    return f"state the diameter of an object in pixels ({how})"


def _from_pixels() -> str:
    return setting(
        command="--object-size pixel-size", window="Object size from pixel size"
    )


def _give_pixels() -> str:
    """Return how the size of a pixel is given; the window takes that of the layer."""
    return setting(
        command="give it in micrometres (--pixel-size 0.5)",
        window="set scale and units of the layer, as in layer.scale = (0.5, 0.5) and "
        "layer.units = ('um', 'um')",
    )


def _differ(one: float, other: float) -> bool:
    return abs(log(one / other)) > log(_CONTRADICTION)


def footprint_on_image(footprint: Footprint, factors: Sequence[float]) -> Footprint:
    """Return what of an image a network on another grid needs, in pixels of the image.

    Parameters
    ----------
    footprint
        On the grid of the model.
    factors
        As of `scale_of`.
    """
    halo = tuple(
        # A pixel to interpolate from, up to two steps of the pooling grid to begin and
        # end on it, and the pixels of which one of the model's grid is the mean.
        ceil((reach + 2 * divisor + max(1, factor) + 1) / factor + max(1, 1 / factor))
        for reach, divisor, factor in zip(
            footprint.halo, footprint.divisor, factors, strict=True
        )
    )
    count = len(halo)
    return Footprint(
        halo=halo,
        divisor=(_TILE_STEP[count],) * count,
        remainder=(0,) * count,
        padded=True,
    )


def edge_of_pixel(image: Image, config: PredictConfig) -> tuple[float, float] | None:
    """Return the edges of a pixel along Y and X in micrometres, if they are known."""
    if config.pixel_size:
        return config.pixel_size, config.pixel_size
    edges = image.pixel_size.lengths("YX")
    return None if edges is None else (edges[0], edges[1])


def _by_pixel_size(
    image: Image, spec: ModelSpec, config: PredictConfig
) -> tuple[float, float]:
    if spec.pixel_size_um is None:
        raise SpecError(
            f"this model records no size of its pixels; {_state_size()}, or leave it "
            "to auto"
        )
    edges = edge_of_pixel(image, config)
    if edges is None:
        raise DataError(
            f"{title_of(image.name)} states no size of its pixels; {_give_pixels()}, "
            f"or {_state_size()}"
        )
    factors = edges[0] / spec.pixel_size_um, edges[1] / spec.pixel_size_um
    if max(abs(log(factor)) for factor in factors) > log(_FARTHEST):
        raise DataError(
            f"a pixel of {title_of(image.name)} has {edges[1]:.3g} µm and one of the "
            f"model {spec.pixel_size_um:.3g} µm, which cannot both be; "
            f"{_give_pixels()}, or {_state_size()}"
        )
    return factors


def _by_object_size(image: Image, spec: ModelSpec, size: float) -> float:
    if spec.object_size_px is None:
        raise SpecError(
            f"this model does not know the size of its objects; leave it at auto "
            f"({setting(command='--object-size auto', window='Object size auto')}), or "
            "choose a model that was trained on numbered objects"
        )
    if size > max(image.plane_shape):
        raise DataError(
            f"no object of {size:.3g} pixels fits {title_of(image.name)} of "
            f"{' x '.join(map(str, image.plane_shape))}; {_state_size()}"
        )
    return spec.object_size_px / size


def _flatness(image: Image, spec: ModelSpec, *, three: bool) -> float:
    """Return how slices change beside pixels, so that voxels become the model's."""
    if image.elongation is None:
        return 1.0
    # Planes in three directions are all alike where voxels are cubes.
    expected = 1.0 if three else spec.elongation
    return 1.0 if expected is None else image.elongation / expected
