"""Variations of training crops: shape by one resampling, then intensity.

A batch is resampled once, so flips, turns, zoom and elastic deformation together cost
one interpolation and blur the image once.

Volumes are resampled slice by slice. Çiçek et al. 2016, section 3.2, turn, scale and
deform along all axes; here a slice stays a slice. The slices of most stacks lie farther
apart than pixels, so a value between two of them would be invented, and of a stack that
is annotated on a few slices each label would be spread over slices or lost between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from unet_engine.labels import IGNORE

_COARSE = 3
"""Points per axis of the random displacements (Ronneberger et al. 2015, sec. 3.1), in a
volume along Z too (Çiçek et al. 2016, section 3.2)."""


class Varied(NamedTuple):
    """A batch that was varied; of volumes with their Z.

    Attributes
    ----------
    images
        ``(N, C, crop, crop)`` float32, mirrored where they leave the source.
    targets
        ``(N, crop, crop)`` int64, ``IGNORE`` there.
    weights
        ``(N, crop, crop)`` float32, or None.
    soft_targets
        ``(N, classes, crop, crop)`` float32, or None.
    object_maps
        ``(N, maps, crop, crop)`` float32, NaN where they are not known, or None.
    """

    images: Tensor
    targets: Tensor
    weights: Tensor | None
    soft_targets: Tensor | None
    object_maps: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How strongly crops are varied.

    Parameters
    ----------
    elastic
        Standard deviation of the displacements on the coarse grid, in pixels.
    flips
        Mirror, turn in the plane by multiples of 90 degrees and, in a part of the
        crops, by any angle.
    scaling
        Largest zoom in or out, at least 1.
    intensity
        Strength of blur, gamma, contrast, brightness and noise, in [0, 1].
    """

    elastic: float = 10.0
    flips: bool = True
    scaling: float = 1.15
    intensity: float = 0.5

    def source_size(self, crop: int) -> int:
        """Return the edge of the region that crops of ``crop`` pixels are cut from."""
        reach = crop * (math.sqrt(2) if self.flips else 1.0) * self.scaling
        reach += 2 * self.elastic
        # Of the parity of the crop, so that both have their centre on one point and a
        # flip or quarter turn maps pixels onto pixels.
        return crop + 2 * math.ceil((reach - crop) / 2)

    def __call__(
        self,
        images: Tensor,
        targets: Tensor,
        crop: int,
        generator: torch.Generator,
        weights: Tensor | None = None,
        soft_targets: Tensor | None = None,
    ) -> Varied:
        """Vary a batch.

        Parameters
        ----------
        images
            ``(N, C, S, S)`` or ``(N, C, Z, S, S)`` float32 with
            ``S = source_size(crop)``.
        targets
            ``(N, S, S)`` or ``(N, Z, S, S)`` uint8.
        crop
            Edge of the result in the plane; the slices are as many as before.
        generator
            Random numbers, on the CPU.
        weights
            float32 of the pixels in the shape of the targets, or None.
        soft_targets
            float32 in the shape of the images but for the channels, or None; they
            move with the images and keep their values.
        """
        batch, channels = targets.shape[:-2], images.shape[1]
        if soft_targets is not None:
            images = torch.cat((images, soft_targets), dim=1)
        grid = self._grid(crop, generator, *batch)
        if len(batch) == 2:
            order = self._slice_order(*batch, generator).to(images.device)
            images = images.movedim(2, 1).flatten(0, 1)[order]
            targets = targets.flatten(0, 1)[order]
            weights = None if weights is None else weights.flatten(0, 1)[order]
        images, targets, weights = self._resample(images, targets, weights, grid)
        if len(batch) == 2:
            images = images.reshape(*batch, *images.shape[1:]).movedim(1, 2)
            targets = targets.reshape(*batch, crop, crop)
            weights = None if weights is None else weights.reshape(targets.shape)
        return Varied(
            perturb(images[:, :channels], self.intensity, generator),
            targets,
            weights,
            None if soft_targets is None else images[:, channels:],
        )

    def _slice_order(
        self, count: int, depth: int, generator: torch.Generator
    ) -> Tensor:
        """Number the slices of all volumes of a batch, some volumes upside down."""
        order = torch.arange(count * depth).reshape(count, depth)
        if self.flips:
            turned = torch.rand(count, 1, generator=generator) < 0.5
            order = torch.where(turned, order.flip(1), order)
        return order.flatten()

    def _resample(
        self, images: Tensor, targets: Tensor, weights: Tensor | None, grid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Read planes at the points of ``_grid``."""
        grid = grid.to(images.device) * (2 / (images.shape[-1] - 1))
        images = functional.grid_sample(
            images, grid, mode="bilinear", padding_mode="reflection", align_corners=True
        )
        # Beyond the source grid_sample gives 0, which is IGNORE in this offset.
        shifted = functional.grid_sample(
            targets.unsqueeze(1).float() - IGNORE,
            grid,
            mode="nearest",
            padding_mode="zeros",
            align_corners=True,
        )
        targets = (shifted.squeeze(1) + IGNORE).round().long()
        if weights is not None:
            weights = functional.grid_sample(
                weights.unsqueeze(1), grid, mode="bilinear", align_corners=True
            ).squeeze(1)
        return images, targets, weights

    def _grid(
        self, crop: int, generator: torch.Generator, count: int, depth: int = 1
    ) -> Tensor:
        """Return where to sample, x and y from the centre.

        ``(count * depth, crop, crop, 2)``: the slices of one volume after the other.
        """
        axis = torch.arange(crop, dtype=torch.float32) - (crop - 1) / 2
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        points = torch.stack((x, y), dim=-1).expand(count * depth, -1, -1, -1)
        if self.elastic:
            points = points + self._displacements(crop, generator, count, depth)
        matrices = self._matrices(count, generator).repeat_interleave(depth, dim=0)
        grid: Tensor = torch.einsum("nyxi,nij->nyxj", points, matrices)
        return grid

    def _displacements(
        self, crop: int, generator: torch.Generator, count: int, depth: int
    ) -> Tensor:
        size = (_COARSE,) * (2 if depth == 1 else 3)
        coarse = self.elastic * torch.randn(count, 2, *size, generator=generator)
        if depth > 1:
            # Bicubic along Z first, and then in every slice as in a plane.
            along = coarse.flatten(3).movedim(2, -1)
            along = _enlarge(along, (_COARSE**2, depth)).permute(0, 3, 1, 2)
            coarse = along.reshape(count * depth, 2, _COARSE, _COARSE)
        return _enlarge(coarse, (crop, crop)).movedim(1, -1)

    def _matrices(self, count: int, generator: torch.Generator) -> Tensor:
        """Return a turn, a flip and a zoom per crop, ``(N, 2, 2)``."""
        quarter, mirror, free, angle, zoom = torch.rand(5, count, generator=generator)
        scale = torch.exp(math.log(self.scaling) * (2 * zoom - 1))
        if not self.flips:
            return scale[:, None, None] * torch.eye(2)
        turns = torch.floor(4 * quarter) * (math.pi / 2)
        turns = turns + (free < 0.5) * (angle - 0.5) * (math.pi / 2)
        cos, sin = torch.cos(turns), torch.sin(turns)
        sign = torch.where(mirror < 0.5, -1.0, 1.0)
        rows = torch.stack((cos * sign, -sin * sign, sin, cos), dim=-1)
        return scale[:, None, None] * rows.reshape(count, 2, 2)


def _enlarge(coarse: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True)


def perturb(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Change blur, gamma, contrast, brightness and noise of a batch.

    A volume is changed alike on all its slices, and blurred within them.

    Parameters
    ----------
    images
        ``(N, C, Y, X)`` or ``(N, C, Z, Y, X)`` float32, about [0, 1].
    strength
        0 changes nothing, 1 much.
    generator
        Source of chance, on the CPU.
    """
    if not strength:
        return images
    count, channels = images.shape[:2]

    def uniform(low: float, high: float, channels: int = channels) -> Tensor:
        flat = (1,) * (images.ndim - 2)
        values = torch.rand(count, channels, *flat, generator=generator)
        return (low + (high - low) * values).to(images.device)

    # Only a part of the crops is blurred: sharp detail must stay known as well.
    sigma = strength * (uniform(-2.0, 2.0, 1)).clamp(min=0.0)
    planes = images.flatten(1, -3)
    images = _blur(planes, sigma.flatten()).reshape(images.shape)
    gamma = torch.exp(strength * uniform(-0.5, 0.5))
    images = images.sign() * images.abs().pow(gamma)
    contrast = torch.exp(strength * uniform(-0.6, 0.6))
    brightness = strength * uniform(-0.3, 0.3)
    images = (images - 0.5) * contrast + 0.5 + brightness
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    return images + strength * uniform(0.0, 0.1, 1) * noise


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image with its own Gaussian of ``sigma`` pixels; 0 leaves it as is."""
    blurred = torch.nonzero(sigma > 0.2).flatten()
    if not len(blurred):
        return images
    chosen = images[blurred]
    channels = chosen.shape[1]
    offsets = torch.arange(-3, 4, device=images.device, dtype=images.dtype)
    kernels = torch.exp(-0.5 * (offsets / sigma[blurred, None]) ** 2)
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(
        channels, dim=0
    )
    flat = functional.pad(chosen.flatten(0, 1)[None], (3, 3, 3, 3), mode="reflect")
    flat = functional.conv2d(flat, kernels[:, None, None, :], groups=len(kernels))
    flat = functional.conv2d(flat, kernels[:, None, :, None], groups=len(kernels))
    result = images.clone()
    result[blurred] = flat.reshape(chosen.shape)
    return result
