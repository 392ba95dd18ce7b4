"""An example for a package: an image, and what the model makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from unet_engine.images import Image, Normalisation
from unet_engine.models.architectures import ARCHITECTURES
from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.model_packages.network import ProbabilityNetwork
    from unet_engine.models.spec import ModelSpec

    Floats = npt.NDArray[np.float32]

_LEAST = 64
"""Pixels that an edge of the example has at least where the network allows fewer: a few
nuclei, which a person recognises on the cover."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """An image and what the model makes of it.

    Attributes
    ----------
    image
        ``(1, C, *spatial)`` float32, as a package takes it: with percentiles as the
        camera counts, else on the scale of the network.
    prepared
        The same on the scale of the network.
    output
        ``(1, out_channels, *spatial)`` float32.
    """

    image: Floats
    prepared: Floats
    output: Floats


def states_brightness(spec: ModelSpec) -> bool:
    """Whether the terms of bioimage.io state how a model reads brightness."""
    return spec.brightness == "percentiles" and spec.colour == "luminance"


def least_input(spec: ModelSpec) -> tuple[int, ...]:
    """Return the least spatial shape of which something is left without the halo."""
    footprint = spec.footprint
    return tuple(
        footprint.allowed_size(2 * halo + 1, axis)
        for axis, halo in enumerate(footprint.halo)
    )


def example_shape(spec: ModelSpec) -> tuple[int, ...]:
    """Return the spatial shape of the example."""
    least = least_input(spec)
    if spec.ndim == 3:
        return least
    footprint = spec.footprint
    return tuple(
        footprint.allowed_size(max(size, _LEAST), axis)
        for axis, size in enumerate(least)
    )


def make_example(network: ProbabilityNetwork, spec: ModelSpec) -> Example:
    """Generate an image and run the network on it.

    Parameters
    ----------
    network
        In evaluation mode, with its weights.
    spec
        Of it.
    """
    shape = example_shape(spec)
    diameter = spec.object_size_px or 26.0
    channels = [
        nuclei(shape, seed=seed, diameter=diameter)[0]
        for seed in range(spec.in_channels)
    ]
    counts = np.stack(channels).astype(np.float32)
    prepared = _normalised(counts, spec)
    with torch.inference_mode():
        output = network(torch.from_numpy(prepared[None])).numpy()
    raw = counts if states_brightness(spec) else prepared
    return Example(image=raw[None], prepared=prepared[None], output=output)


def joined_channels(spec: ModelSpec) -> bool:
    """Whether brightness is measured on all channels together, as of a colour image."""
    return spec.in_channels == 3


def _normalised(counts: Floats, spec: ModelSpec) -> Floats:
    axes = "CZYX" if spec.ndim == 3 else "CYX"
    image = Image.from_array(counts, axes, name="example", rgb=False)
    if joined_channels(spec):
        limits = np.percentile(counts, (spec.low_percentile, spec.high_percentile))
        low, high = (tuple([float(limit)] * len(counts)) for limit in limits)
        return Normalisation(low=low, high=high).apply(counts)
    return Normalisation.measure(image, spec.preparation).apply(counts)


def cropped(values: npt.NDArray[np.float32], spec: ModelSpec) -> Floats:
    """Return the middle plane of an example, of which padding knows the whole context.

    Parameters
    ----------
    values
        ``(1, C, *spatial)``.
    spec
        Of the network.

    Returns
    -------
    ndarray
        ``(C, Y, X)``.
    """
    plane: Floats = values[0]
    if spec.ndim == 3:
        plane = plane[:, plane.shape[1] // 2]
    return plane


def fits_together(spec: ModelSpec) -> Sequence[int]:
    """Return by how many pixels the output is smaller on each side, per axis."""
    padded = ARCHITECTURES[spec.architecture].padded
    return [0] * spec.ndim if padded else list(spec.footprint.halo)
