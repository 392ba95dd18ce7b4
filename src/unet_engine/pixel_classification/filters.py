"""Filters of pixel classifiers: intensity, edges and texture at several scales.

They are those of Sommer et al. 2011, ilastik.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

OCTAVES = 5
"""Scales of the filters: standard deviations of 1, 2, 4, 8 and 16 pixels."""

RESPONSES = 1 + 6 * OCTAVES
"""Number of responses for each channel."""

_FIRST = 1.0
"""Standard deviation of the finest smoothing, in pixels."""

_NEXT = 3.0**0.5
"""Smoothing in pixels of the own grid, from 1 to 2: after it every second remains."""

_RADIUS = 4
"""Pixels of a kernel on each side: two standard deviations of the widest."""


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
        responses += [enlarge(r, size) for r in _derivatives(smooth, 2.0)]
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


def enlarge(values: Tensor, size: torch.Size) -> Tensor:
    """Interpolate ``(N, C, h, w)`` to another height and width."""
    if values.shape[2:] == size:
        return values
    return functional.interpolate(
        values, size=size, mode="bilinear", align_corners=False
    )
