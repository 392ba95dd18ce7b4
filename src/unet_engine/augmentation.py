"""Variations of training crops: shape by one resampling, then intensity.

A batch is resampled once, so flips, turns, zoom and elastic deformation together cost
one interpolation and blur the image once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from unet_engine.spec import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

_COARSE = 3
"""Points per axis of the random displacements (Ronneberger et al. 2015, sec. 3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How strongly crops are varied.

    Parameters
    ----------
    elastic
        Standard deviation of the displacements on the coarse grid, in pixels.
    flips
        Mirror, turn by multiples of 90 degrees and, in a part of the crops, by any
        angle.
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
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Vary a batch.

        Parameters
        ----------
        images
            ``(N, C, S, S)`` float32 with ``S = source_size(crop)``.
        targets
            ``(N, S, S)`` uint8.
        crop
            Edge of the result.
        generator
            Source of chance, on the CPU.
        weights
            ``(N, S, S)`` float32 of the pixels, or None.

        Returns
        -------
        images, targets, weights
            ``(N, C, crop, crop)`` float32, mirrored where it leaves the source,
            ``(N, crop, crop)`` int64, ``IGNORE`` there, and ``(N, crop, crop)``
            float32 or None.
        """
        grid = self._grid(len(images), crop, generator).to(images.device)
        grid = grid * (2 / (images.shape[-1] - 1))
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
        return perturb(images, self.intensity, generator), targets, weights

    def _grid(self, count: int, crop: int, generator: torch.Generator) -> Tensor:
        """Return where to sample, ``(N, crop, crop, 2)`` as x, y from the centre."""
        axis = torch.arange(crop, dtype=torch.float32) - (crop - 1) / 2
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        points = torch.stack((x, y), dim=-1).expand(count, -1, -1, -1)
        if self.elastic:
            points = points + self._displacements(count, crop, generator)
        matrices = self._matrices(count, generator)
        grid: Tensor = torch.einsum("nyxi,nij->nyxj", points, matrices)
        return grid

    def _displacements(
        self, count: int, crop: int, generator: torch.Generator
    ) -> Tensor:
        coarse = self.elastic * torch.randn(
            count, 2, _COARSE, _COARSE, generator=generator
        )
        fine = functional.interpolate(
            coarse, size=(crop, crop), mode="bicubic", align_corners=True
        )
        return fine.movedim(1, -1)

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


def perturb(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Change blur, gamma, contrast, brightness and noise of a batch.

    Parameters
    ----------
    images
        ``(N, C, Y, X)`` float32, about [0, 1].
    strength
        0 changes nothing, 1 much.
    generator
        Source of chance, on the CPU.
    """
    if not strength:
        return images
    count, channels = images.shape[:2]

    def uniform(low: float, high: float, channels: int = channels) -> Tensor:
        values = torch.rand(count, channels, 1, 1, generator=generator)
        return (low + (high - low) * values).to(images.device)

    # Only a part of the crops is blurred: sharp detail must stay known as well.
    sigma = strength * (uniform(-2.0, 2.0, 1)).clamp(min=0.0)
    images = _blur(images, sigma.flatten())
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
