"""How far a pixel's influence reaches in a trained network, by measurement.

The halo of a network's geometry holds every pixel that could change a result. Most of
them do not: influence falls off steeply from the middle of a receptive field (Luo et
al. 2016, "Understanding the effective receptive field"). A smaller halo is found by
trying, and its error is known.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.compute.runner import RUNNERS
from unet_engine.stopping import never
from unet_engine.tiling.tiles import read_reflected

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.compute.runner import AnyRunner
    from unet_engine.devices import Device
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.stopping import Stop

    Array = npt.NDArray[np.float32]

ALLOWED = 1e-3
"""Largest difference in probability that a measured halo may make."""

_SAMPLES = 4
"""Regions that are tried: with each of them a measurement takes longer."""

_EDGES = {2: 128, 3: 32}
"""Edge of a region in pixels, by dimensions: some 16 to 32 thousand pixels each, in all
of which the difference must stay below ``ALLOWED``."""


def measure_halo(
    checkpoint: Checkpoint,
    images: Sequence[Array],
    *,
    device: Device = "auto",
    stop: Stop = never,
    seed: int = 0,
) -> Checkpoint:
    """Find the smallest halo that changes no probability by more than ``ALLOWED``.

    Parameters
    ----------
    checkpoint
        The model; it stays as it is.
    images
        ``(C, *spatial)`` float32, normalised as for prediction, of the kind that it
        will predict. A few regions of them are tried.
    device
        Where to try.
    stop
        Polled before every try.
    seed
        Of the places.

    Returns
    -------
    Checkpoint
        The model with ``measured_halo`` and ``measured_error`` in its spec; the very
        object that came in if it was stopped.
    """
    spec = checkpoint.spec
    runner = RUNNERS.get(checkpoint, device)
    samples = list(_places(images, _EDGES[spec.ndim], seed))
    *smaller, exact = spec.halo_choices
    known: list[Array] = []
    for halo in (exact, *smaller):
        errors = [0.0]
        for number, (image, corner) in enumerate(samples):
            if stop():
                return checkpoint
            found = _predict(runner, image, corner, halo)
            if halo is exact:
                known.append(found)
                continue
            errors.append(float(np.abs(found - known[number]).max()))
            if errors[-1] > ALLOWED:
                break
        if max(errors) <= ALLOWED and (halo is not exact or not smaller):
            return _with(checkpoint, halo, max(errors))
    return _with(checkpoint, exact, 0.0)


def _with(checkpoint: Checkpoint, halo: tuple[int, ...], error: float) -> Checkpoint:
    # Two figures suffice, and are the same on machines that round differently.
    spec = dataclasses.replace(
        checkpoint.spec, measured_halo=halo, measured_error=float(f"{error:.1e}")
    )
    return dataclasses.replace(checkpoint, spec=spec)


def _places(
    images: Sequence[Array], edge: int, seed: int
) -> list[tuple[Array, tuple[int, ...]]]:
    """Choose images and corners of the regions to try."""
    generator = np.random.default_rng(seed)
    chosen = [images[n] for n in generator.integers(len(images), size=_SAMPLES)]
    return [
        (
            image,
            tuple(
                int(generator.integers(max(1, size - edge))) for size in image.shape[1:]
            ),
        )
        for image in chosen
    ]


def _predict(
    runner: AnyRunner, image: Array, corner: tuple[int, ...], halo: tuple[int, ...]
) -> Array:
    """Predict a region with a halo, the rest of the image being unknown."""
    edge = _EDGES[runner.spec.ndim]
    footprint = runner.spec.footprint_with(halo)
    outer = footprint.around([(start, start + edge) for start in corner])
    block = read_reflected(
        lambda region: image[(slice(None), *region)], outer, image.shape[1:]
    )
    wanted = [
        (start - low, start - low + edge)
        for start, (low, _) in zip(corner, outer, strict=True)
    ]
    return runner(block.astype(np.float32, copy=False), wanted)
