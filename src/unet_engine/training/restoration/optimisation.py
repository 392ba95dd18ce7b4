"""A network while it learns to restore images from their own pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from unet_engine.labels import HELD_OUT
from unet_engine.training.data.augmentation import Varied
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.restoration.blind_spots import (
    Blinding,
    blind_middle,
    middle_slice,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.networks.restoring import RestoringUNet
    from unet_engine.training.config import FineTuneConfig
    from unet_engine.training.data.pairs import TrainingPair

_SHARE = 0.12
"""Of the pixels that become blind spots: a U-Net still sees enough around them."""

_FITTED_SPOTS = 30_000
"""Blind spots that the mix of Gaussians is fitted to: a hundred for each weight."""

_MOST_DRAWS = 64
"""Batches that are drawn for it where few pixels are known."""

_RIDGE = 1e-4
"""Penalty on the weights of the mix, in squared pixel values for each blind spot: some
Gaussians are nearly equal, and only their sum is determined."""

_LEAST_NOISE = 0.05
"""Least variance of the noise of a pixel in that of the mean one, so that no few dark
pixels decide alone."""


class DenoisingOptimisation(Optimisation):
    """A network that learns to fill in blind spots.

    Crops are flipped and turned by right angles only: any resampling would mix
    neighbouring pixels, and with them their noise.
    """

    blinding = Blinding()

    def __init__(
        self,
        checkpoint: Checkpoint,
        pairs: Sequence[TrainingPair],
        config: FineTuneConfig,
        device: str,
    ) -> None:
        super().__init__(checkpoint, pairs, config, device)
        self._middle = middle_slice(checkpoint.spec)

    def _draw(self) -> Varied:
        images, targets, *_ = super()._draw()
        turns, flip = torch.randint(4, (2,), generator=self._generator).tolist()
        images, targets = (
            torch.rot90(t.flip(-1) if flip % 2 else t, turns, (-2, -1))
            for t in (images, targets)
        )
        known = targets < HELD_OUT
        blinded, spots = blind_middle(
            images, known, self._generator, self._middle, self.blinding
        )
        batch = blinded.contiguous(memory_format=torch.channels_last)
        truth = torch.cat((images[:, self._middle], spots), dim=1)
        return Varied(batch, truth, None, None)

    def _loss(self, logits: Tensor, batch: Varied) -> Tensor:
        spots = batch.targets[:, -1:]
        squares = (logits - batch.targets[:, :-1]) ** 2 * spots
        return squares.sum() / (spots.sum() * logits.shape[1]).clamp(min=1)


class RestoringOptimisation(DenoisingOptimisation):
    """A U-Net of images that learns to fill in blind spots.

    Before the first step its mix of Gaussians is fitted by least squares. Noise of
    light grows with brightness; each spot then counts by how precise it is.

    Parameters
    ----------
    checkpoint, pairs, config, device
        As of an `Optimisation`.
    margin
        Pixels around a blind spot that are hidden too.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        pairs: Sequence[TrainingPair],
        config: FineTuneConfig,
        device: str,
        margin: int = 0,
    ) -> None:
        super().__init__(checkpoint, pairs, config, device)
        self.blinding = Blinding(share=_SHARE, margin=margin)
        self._fresh = not checkpoint.history
        self._noise: tuple[Tensor, Tensor] | None = None

    def _step(self, learning_rate: float) -> float:
        if self._noise is None:
            self._noise = self._fit()
        return super()._step(learning_rate)

    def _loss(self, logits: Tensor, batch: Varied) -> Tensor:
        spots = batch.targets[:, -1:]
        weights = spots / self._variance(logits.detach())
        weights = weights * (spots.sum() * logits.shape[1] / weights.sum().clamp(1e-9))
        squares = (logits - batch.targets[:, :-1]) ** 2 * weights
        return squares.sum() / (spots.sum() * logits.shape[1]).clamp(min=1)

    def _variance(self, images: Tensor) -> Tensor:
        """Return that of the noise of ``(N, C, Y, X)`` pixels, by their brightness."""
        if self._noise is None:
            return torch.ones_like(images)
        slope, floor = (part[:, None, None] for part in self._noise)
        return slope * images.clamp(min=0) + floor

    def _fit(self) -> tuple[Tensor, Tensor]:
        """Fit the mix of a fresh network, and how the noise depends on brightness.

        Returns
        -------
        slope, floor
            ``(C,)`` float32: the variance of the noise of a pixel of 1 beyond that of
            one of 0, and that one.
        """
        features, truth = self._spots()
        mix = cast("RestoringUNet", self.network).mix
        if self._fresh:
            weights = _least_squares(features, truth)
            averaged = cast("RestoringUNet", self.average.network).mix
            with torch.no_grad():
                for layer in (mix, averaged):
                    kernel, bias = layer.parameters()
                    kernel.copy_(weights[:-1].T[:, :, None, None])
                    bias.copy_(weights[-1])
        fitted, offset = (part.detach().to(features) for part in mix.parameters())
        found = features[:, :-1] @ fitted[:, :, 0, 0].T + offset
        return _noise_by_brightness(found, (found - truth) ** 2, self.device)

    def _spots(self) -> tuple[Tensor, Tensor]:
        """Return the Gaussians at blind spots with a column of 1, and the pixels."""
        smooth = cast("RestoringUNet", self.network).smooth
        features, truth, count = [], [], 0
        for _ in range(_MOST_DRAWS):
            batch = self._draw()
            with torch.no_grad():
                smoothed = smooth(batch.images).cpu()
            targets = batch.targets.cpu()
            where = targets[:, -1] > 0
            features.append(smoothed.permute(0, 2, 3, 1)[where])
            truth.append(targets[:, :-1].permute(0, 2, 3, 1)[where])
            count += len(truth[-1])
            if count >= _FITTED_SPOTS:
                break
        values = torch.cat(features).double()
        ones = torch.ones(len(values), 1, dtype=values.dtype)
        return torch.cat((values, ones), dim=1), torch.cat(truth).double()


def _least_squares(features: Tensor, truth: Tensor) -> Tensor:
    """Return weights ``(n, C)`` that make ``(spots, C)`` of ``(spots, n)`` features."""
    size = features.shape[1]
    penalty = _RIDGE * max(1, len(features)) * torch.eye(size, dtype=features.dtype)
    squares = features.T @ features + penalty
    weights: Tensor = torch.linalg.solve(squares, features.T @ truth)
    return weights.float()


def _noise_by_brightness(
    found: Tensor, squares: Tensor, device: str
) -> tuple[Tensor, Tensor]:
    """Fit a line through the squared errors of ``(spots, C)`` restored pixels."""
    bright = found.clamp(min=0)
    mean, middle = squares.mean(dim=0), bright.mean(dim=0)
    spread = ((bright - middle) ** 2).mean(dim=0).clamp(min=1e-12)
    slope = (((bright - middle) * (squares - mean)).mean(dim=0) / spread).clamp(min=0)
    floor = torch.maximum(mean - slope * middle, _LEAST_NOISE * mean).clamp(min=1e-12)
    return slope.float().to(device), floor.float().to(device)
