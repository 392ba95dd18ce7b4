"""What the fields of a ``ModelSpec`` can be."""

from __future__ import annotations

from math import inf
from typing import Any, cast, get_args

from unet_engine.errors import SpecError
from unet_engine.images.brightness.preparation import Brightness, Colour
from unet_engine.labels import IGNORE
from unet_engine.models.architectures import (
    ARCHITECTURES,
    IMPORTED,
    IMPORTED_NAME,
    Architecture,
)
from unet_engine.models.imported_network import ImportedNetwork

OBJECT_MAPS = ("distance", "boundary")
"""What a network can give beside the classes to separate objects."""


def row_of(architecture: str) -> Architecture:
    """Return the row of an architecture.

    Raises
    ------
    SpecError
        When there is no such network.
    """
    if architecture == IMPORTED_NAME:
        return IMPORTED
    if architecture not in ARCHITECTURES:
        raise SpecError(
            f"there is no architecture {architecture!r}; "
            f"choose one of {', '.join(sorted(ARCHITECTURES))}"
        )
    return ARCHITECTURES[architecture]


def check_spec(spec: Any) -> None:
    """Check that a model can be built as its spec states.

    Raises
    ------
    SpecError
        Names the field, its value and what it can be.
    """
    row = row_of(spec.architecture)
    if spec.ndim not in row.ndims:
        raise SpecError(
            f"{spec.architecture} is made for {' or '.join(map(str, row.ndims))} "
            f"dimensions, not {spec.ndim!r}; "
            f"use ndim {row.ndims[0]}{_made_for(spec.ndim)}"
        )
    for name, least, most in (
        ("in_channels", 1, 1024),
        ("depth", 1, 8),
        ("width", 1, 512),
        ("dense_width", 1, 8192),
    ):
        _check_whole(name, getattr(spec, name), least, most)
    if row.fixed_depth and spec.depth != row.depth:
        raise SpecError(
            f"{spec.architecture} has {row.depth} halvings, as its paper; "
            f"use depth {row.depth} instead of {spec.depth}"
        )
    _check_imported(spec)
    _check_z_poolings(spec)
    _check_size(spec)
    if spec.classes != () or not row.reconstructs:
        _check_classes(spec.classes)
    _check_restoring(spec)
    _check_object_maps(spec)
    _check_input_scale(spec)
    _check_measured_halo(spec)


def _check_imported(spec: Any) -> None:
    imported = spec.imported
    if (spec.architecture == IMPORTED_NAME) != (imported is not None):
        raise SpecError(
            f"architecture is {spec.architecture!r} and imported is {imported!r:.50}; "
            "an imported network has both, any other none"
        )
    if imported is None:
        return
    if not isinstance(imported, ImportedNetwork) or imported.ndim != spec.ndim:
        raise SpecError(
            f"imported is no network of {spec.ndim} dimensions; import it again"
        )
    given = len(spec.classes) - (0 if imported.exclusive else 1)
    if imported.background >= max(1, given):
        raise SpecError(f"there is no channel {imported.background} for background")


def _made_for(ndim: Any) -> str:
    names = sorted(n for n, row in ARCHITECTURES.items() if ndim in row.ndims)
    return f", or one of {', '.join(names)}" if names else ""


def _check_whole(name: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise SpecError(
            f"{name} is {value!r}; use a whole number from {least} to {most}"
        )


def _check_z_poolings(spec: Any) -> None:
    if spec.z_poolings is None:
        return
    if spec.ndim != 3:
        raise SpecError(
            f"z_poolings is {spec.z_poolings!r} but a network of planes does not pool "
            "along Z; leave it out, or use ndim 3"
        )
    _check_whole("z_poolings", spec.z_poolings, 0, spec.depth)


_MOST_SLICES = 15
"""Slices that an image is restored from: those far away have little in common."""


def _check_restoring(spec: Any) -> None:
    _check_whole("slices", spec.slices, 1, _MOST_SLICES)
    if spec.slices % 2 == 0:
        raise SpecError(
            f"slices is {spec.slices}; use an odd number, as many above as below"
        )
    row = spec.row
    restores = bool(row.image_network) and not spec.classes
    if spec.slices > 1 and not restores:
        able = [name for name, other in ARCHITECTURES.items() if other.image_network]
        raise SpecError(
            f"{spec.architecture} with {len(spec.classes)} classes takes one slice at "
            f"a time; leave slices out, or use {' or '.join(able)} without classes"
        )
    if restores and spec.ndim != 2:
        raise SpecError(
            f"{spec.architecture} restores an image slice by slice; use ndim 2, with "
            "slices for its neighbours"
        )


_LARGEST_LAYER = 2**28
"""Weights of one convolution: 1 GiB in float32, twice the largest one published."""


def _check_size(spec: Any) -> None:
    row = spec.row
    if row.largest_layer(spec) <= _LARGEST_LAYER:
        return
    raise SpecError(
        f"{spec.architecture} with width {spec.width} and depth {spec.depth} has a "
        f"layer of {row.largest_layer(spec):.1e} weights, which fits no computer; "
        f"use width {row.width} or less and depth {row.depth}"
    )


_SIZES = {
    "pixel_size_um": "micrometres",
    "elongation": "a ratio",
    "object_size_px": "pixels",
}
"""Fields that are a number above 0, where they are known, and what it counts."""


def _check_input_scale(spec: Any) -> None:
    low, high = spec.low_percentile, spec.high_percentile
    if not (_is_number(low) and _is_number(high) and 0 <= low < high <= 100):
        raise SpecError(
            f"percentiles {low!r} and {high!r} do not satisfy 0 <= low < high <= 100"
        )
    _check_choice("brightness", spec.brightness, Brightness)
    _check_choice("colour", spec.colour, Colour)
    for name, unit in _SIZES.items():
        size = getattr(spec, name)
        if size is not None and not (_is_number(size) and 0 < size < inf):
            raise SpecError(f"{name} is {size!r}; use {unit} above 0, or None")
    _check_range("object_size_range", spec.object_size_range, "diameters in pixels", 0)
    depth = spec.map_depth
    if depth is not None and not (_is_number(depth) and 0 <= depth <= 1):
        raise SpecError(f"map_depth is {depth!r}; use 0 to 1, or None")
    _check_range("background_range", spec.background_range, "brightnesses", -inf)


def _check_range(name: str, limits: Any, unit: str, above: float) -> None:
    if limits is not None and not (
        len(limits) == 2
        and all(map(_is_number, limits))
        and above < limits[0] <= limits[1] < inf
    ):
        raise SpecError(
            f"{name} is {limits!r}; use two {unit}, the smaller one first, or None"
        )


def _check_choice(name: str, value: Any, choices: Any) -> None:
    if value not in get_args(choices):
        raise SpecError(
            f"{name} is {value!r}; use one of {', '.join(get_args(choices))}"
        )


def _check_measured_halo(spec: Any) -> None:
    halo, error = spec.measured_halo, spec.measured_error
    if halo is None and error is None:
        return
    if halo not in spec.halo_choices:
        raise SpecError(
            f"measured_halo is {halo!r}; for this network it can be one of "
            f"{', '.join(map(str, spec.halo_choices))}"
        )
    if not (_is_number(error) and 0 <= cast("float", error) <= 1):
        raise SpecError(f"measured_error is {error!r}; use a number from 0 to 1")


def _check_classes(classes: Any) -> None:
    if not isinstance(classes, tuple) or not all(isinstance(c, str) for c in classes):
        raise SpecError(f"classes must be names, got {classes!r}")
    if not 2 <= len(classes) < IGNORE:
        raise SpecError(
            f"a model needs 2 to {IGNORE - 1} classes, background included, "
            f"got {len(classes)}"
        )
    if not all(name.strip() for name in classes):
        raise SpecError("a class has no name; give each class one")
    if len(set(classes)) < len(classes):
        raise SpecError(f"two classes share a name: {', '.join(classes)}")


def _check_object_maps(spec: Any) -> None:
    maps: Any = spec.object_maps
    if not isinstance(maps, tuple) or not set(maps) <= set(OBJECT_MAPS):
        raise SpecError(
            f"object_maps is {maps!r}; use any of {', '.join(OBJECT_MAPS)}, or none"
        )
    if len(set(maps)) < len(maps):
        raise SpecError(f"object_maps names one twice: {', '.join(maps)}")
    if maps and not (spec.row.object_maps and spec.classes):
        able = [name for name, row in ARCHITECTURES.items() if row.object_maps]
        raise SpecError(
            f"{spec.architecture} with {len(spec.classes)} classes gives no object "
            f"maps; use {' or '.join(able)} with classes, or leave object_maps out"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
