"""Features of pixels for a classifier: filters, and maps of a trained network.

The filters are those of the pixel classifiers (intensity, edges, texture at several
scales: Sommer et al. 2011, ilastik); the network adds the maps of its decoder.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from unet_engine.compute.devices import training_precision
from unet_engine.compute.loading import fold_normalisation, load_network
from unet_engine.errors import CheckpointError
from unet_engine.models.networks.unet import UNet
from unet_engine.tiling.tiles import read_reflected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from torch import Tensor

    from unet_engine.models.checkpoint import Checkpoint

OCTAVES = 5
"""Scales of the filters: standard deviations of 1, 2, 4, 8 and 16 pixels."""

LEVELS = 3
"""Levels of a network's decoder that are used, the finest first. Coarser ones separate
the strokes by where they lie, not by what they show."""

HALVED = 2
"""The finest map of the image at half its size is used as well, for structures that are
larger than those of the training."""

MARGIN = 64
"""Context that a block needs on each side, in pixels."""

GRID = 2 ** (OCTAVES - 1)
"""Corners of blocks lie on multiples of it, so that all share one coarse grid."""

_SYMMETRIES = ((0, False), (2, False), (1, True), (3, True))
"""Quarter turns and whether a flip follows: the half turn, and Y and X exchanged. A
network's maps differ a little for each; their mean depends less on how the image
lies."""

_FIRST = 1.0
"""Standard deviation of the finest smoothing, in pixels."""

_NEXT = 3.0**0.5
"""Smoothing in pixels of the own grid, from 1 to 2: after it every second remains."""

_RADIUS = 4
"""Pixels of a kernel on each side: two standard deviations of the widest."""


class FeatureExtractor:
    """Turns blocks of an image into features of their pixels.

    Parameters
    ----------
    checkpoint
        A model of planes whose maps are used as well, if it is a padded U-Net that was
        trained; None for filters alone.
    device
        As ``choose_device`` names it.
    tuned
        A model that was tuned on the strokes: its probabilities come last among the
        features. Its own maps are no use, as they were fitted to the strokes.
    average
        Over symmetries of the image: better, for four times the work of the networks.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None = None,
        device: str = "cpu",
        *,
        tuned: Checkpoint | None = None,
        average: bool = True,
    ) -> None:
        self._device = device
        self._symmetries = _SYMMETRIES if average else _SYMMETRIES[:1]
        model = checkpoint or tuned
        self._title = model.title if model else "the model"
        self._network = _usable(checkpoint, device)
        self._tuned = _usable(tuned, device)

    @property
    def n_tuned_channels(self) -> int:
        """Number of the last features, which are probabilities of a tuned model."""
        return self._tuned.spec.out_channels if self._tuned else 0

    @property
    def channels(self) -> int:
        """Channels that the network takes; 0 without one: any."""
        return self._network.spec.in_channels if self._network else 0

    def count_fine(self, channels: int) -> int:
        """Return how many of the first features are as fine as the pixels.

        They are the filters and the finest maps of the network.
        """
        finest = self._network.spec.width if self._network else 0
        return channels * (1 + 6 * OCTAVES) + finest

    @torch.no_grad()
    def __call__(self, block: npt.NDArray[np.float32]) -> Tensor:
        """Return the features of a block without its margin.

        Parameters
        ----------
        block
            ``(C, h, w)`` float32, normalised as for prediction, with ``MARGIN`` pixels
            of context on each side; height and width are multiples of ``GRID``.

        Returns
        -------
        Tensor
            ``(h - 2 MARGIN, w - 2 MARGIN, features)`` float32 on the CPU.
        """
        image = torch.from_numpy(block)[None].to(self._device)
        maps = [*filter_responses(image), *self._network_maps(image)]
        if self._tuned:
            maps += self._mean(partial(_tuned_probabilities, self._tuned), image)
        inner = slice(MARGIN, -MARGIN)
        joined = torch.cat([m[0, :, inner, inner] for m in maps])
        return joined.permute(1, 2, 0).cpu().contiguous()

    def read(
        self,
        read: Callable[[tuple[slice, ...]], npt.NDArray[np.float32]],
        part: tuple[slice, slice],
        shape: Sequence[int],
    ) -> Tensor:
        """Return the features of a part of a plane, ``(h, w, features)`` float32.

        Parameters
        ----------
        read
            Returns the normalised pixels of slices inside the plane, ``(C, h, w)``
            float32.
        part
            Rows and columns; they begin on multiples of ``GRID``.
        shape
            Height and width of the plane, which is mirrored beyond its border.

        Raises
        ------
        CheckpointError
            When a feature is NaN or infinite.
        """
        height, width = (p.stop - p.start for p in part)
        outer = [
            (p.start - MARGIN, p.start + -(-size // GRID) * GRID + MARGIN)
            for p, size in zip(part, (height, width), strict=True)
        ]
        block = read_reflected(read, outer, shape)
        found = self(np.ascontiguousarray(block, dtype=np.float32))
        if not found.isfinite().all():
            raise CheckpointError(
                f"{self._title} gives NaN or infinite numbers on this image: its "
                "weights are too large; choose another model"
            )
        return found[:height, :width]

    def _network_maps(self, image: Tensor) -> list[Tensor]:
        if self._network is None:
            return []
        decode = partial(_decoded, self._network)
        small = functional.avg_pool2d(image, HALVED)
        fit_classifier = _padded(small, self._network.spec.footprint.divisor)
        height, width = small.shape[2:]
        coarse = self._mean(decode, fit_classifier)[0][..., :height, :width]
        maps = [*self._mean(decode, image), coarse]
        return [_enlarge(m, image.shape[2:]) for m in maps]

    def _mean(
        self, function: Callable[[Tensor], list[Tensor]], image: Tensor
    ) -> list[Tensor]:
        """Return the mean over the symmetries of what a function makes of an image."""
        dtype = training_precision(self._device)
        kind = torch.device(self._device).type
        total: list[Tensor] = []
        for turns, flip in self._symmetries:
            turned = torch.rot90(image, turns, (2, 3))
            turned = turned.flip(3) if flip else turned
            with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
                found = function(turned.contiguous(memory_format=torch.channels_last))
            back = [
                torch.rot90(m.flip(3) if flip else m, -turns, (2, 3)).float()
                for m in found
            ]
            total = [a + b for a, b in zip(total, back, strict=True)] if total else back
        return [m / len(self._symmetries) for m in total]


def _decoded(network: UNet, image: Tensor) -> list[Tensor]:
    """Return the maps of the decoder, the finest first."""
    below = network.contract(image)
    x, maps = below.pop(), []
    for up, merge in zip(network.up, network.merge, strict=True):
        x = merge(torch.cat((below.pop(), up(x)), dim=1))
        maps.append(x)
    return maps[: -LEVELS - 1 : -1]


def _tuned_probabilities(network: UNet, image: Tensor) -> list[Tensor]:
    return [network(image).float().softmax(dim=1)]


def _padded(image: Tensor, divisor: Sequence[int]) -> Tensor:
    """Mirror an image at its end, up to a size that the network takes."""
    height, width = (
        -size % step for size, step in zip(image.shape[2:], divisor, strict=True)
    )
    return functional.pad(image, (0, width, 0, height), mode="reflect")


def _usable(checkpoint: Checkpoint | None, device: str) -> UNet | None:
    """Return the network of a trained model that fits the blocks, or None."""
    if checkpoint is None or not checkpoint.history:
        return None
    spec = checkpoint.spec
    if spec.ndim != 2 or any(GRID % step for step in spec.footprint.divisor):
        return None
    network = load_network(checkpoint).eval().requires_grad_(False)
    if not isinstance(network, UNet):
        return None
    fold_normalisation(network)
    network.to(device)
    return network


def filter_responses(image: Tensor) -> list[Tensor]:
    """Return the responses of all filters, from fine to coarse.

    Parameters
    ----------
    image
        ``(1, C, h, w)`` float32.

    Returns
    -------
    list of Tensor
        ``(1, C, h, w)`` each: the image, and for each scale the smoothed image, the
        length of its gradient, both eigenvalues of its Hessian matrix and the roots of
        those of its structure tensor. Derivatives are per standard deviation, so that
        scales compare.
    """
    size = image.shape[2:]
    responses = [image]
    smooth = _blur(image, _FIRST)
    responses += _derivatives(smooth, _FIRST)
    for _ in range(OCTAVES - 1):
        smooth = _blur(smooth, _NEXT)
        responses += [_enlarge(r, size) for r in _derivatives(smooth, 2.0)]
        smooth = functional.avg_pool2d(smooth, 2, ceil_mode=True)
    return responses


def _derivatives(smooth: Tensor, sigma: float) -> list[Tensor]:
    along_y, along_x = _slopes(smooth, sigma)
    (yy, yx), (_, xx) = _slopes(along_y, sigma), _slopes(along_x, sigma)
    hessian = _eigenvalues(yy, yx, xx)
    tensor = (along_y**2, along_y * along_x, along_x**2)
    structure = _eigenvalues(*(_blur(part, sigma) for part in tensor))
    return [
        smooth,
        torch.hypot(along_y, along_x),
        *hessian,
        *(value.clamp(min=0).sqrt() for value in structure),
    ]


def _slopes(values: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Return central differences along Y and X."""
    padded = functional.pad(values, (1, 1, 1, 1), mode="replicate")
    along_y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) * (sigma / 2)
    along_x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) * (sigma / 2)
    return along_y, along_x


def _eigenvalues(yy: Tensor, yx: Tensor, xx: Tensor) -> tuple[Tensor, Tensor]:
    """Return the larger and the smaller eigenvalue of symmetric matrices."""
    mean, apart = (yy + xx) / 2, torch.hypot((yy - xx) / 2, yx)
    return mean + apart, mean - apart


def _blur(values: Tensor, sigma: float) -> Tensor:
    """Smooth with a Gaussian, axis by axis, as if the border went on."""
    reach = torch.arange(-_RADIUS, _RADIUS + 1, device=values.device)
    kernel = torch.exp(-(reach**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(values.dtype)
    # A row of planes rather than channels: torch's depthwise convolution is slow.
    planes = values.flatten(0, 1).unsqueeze(1)
    for axis, shape in enumerate(((-1, 1), (1, -1))):
        padding = [0, 0, _RADIUS, _RADIUS] if axis == 0 else [_RADIUS, _RADIUS, 0, 0]
        planes = functional.pad(planes, padding, mode="replicate")
        planes = functional.conv2d(planes, kernel.view(1, 1, *shape))
    return planes.view_as(values)


def _enlarge(values: Tensor, size: torch.Size) -> Tensor:
    if values.shape[2:] == size:
        return values
    return functional.interpolate(
        values, size=size, mode="bilinear", align_corners=False
    )
