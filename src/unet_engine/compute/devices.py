"""Which device works, and in which precision it trains."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import nn

from unet_engine.compute.torch_errors import first_line
from unet_engine.devices import Device, Precision, checked_device, is_remote
from unet_engine.errors import DeviceError


def choose_device(device: Device = "auto") -> str:
    """Choose where to run.

    Parameters
    ----------
    device
        ``"auto"`` takes a CUDA GPU that works, else Apple's GPU if it passes a probe,
        else the CPU; so does a device that is other processes, for what is computed
        here all the same. Any other name must be there.

    Returns
    -------
    str
        ``"cuda"``, ``"cuda:1"``, ``"mps"`` or ``"cpu"``.

    Raises
    ------
    DeviceError
        When the requested device is absent; names those there are.
    """
    device = checked_device(device)
    if device == "cpu":
        return "cpu"
    if device == "auto" or is_remote(device):
        return next((gpu for gpu in ("cuda", "mps") if _works(gpu)), "cpu")
    if not _works(device):
        present = [gpu for gpu in ("cuda", "mps") if _works(gpu)]
        raise DeviceError(
            f"the device {device!r} is not usable on this machine; "
            f"use {' or '.join(['auto', 'cpu', *present])}"
        )
    return device


def kind_of(device: str) -> str:
    """Return ``"cuda"`` for ``"cuda:1"``, and other names as they are."""
    return device.partition(":")[0]


@cache
def _works(device: str) -> bool:
    return not why_unusable(device)


def why_unusable(device: str) -> str:
    """Compute one small block of a network on a GPU and compare it with the CPU.

    A GPU may be listed and yet be too old for this torch, or lack an operation.

    Parameters
    ----------
    device
        ``"cuda"``, ``"cuda:1"`` or ``"mps"``.

    Returns
    -------
    str
        Why it cannot be used, as a clause; empty when it can.
    """
    with warnings.catch_warnings(record=True) as warned:
        # torch warns when a driver is too old, and then reports that there is no GPU.
        warnings.simplefilter("always")
        if not getattr(torch, kind_of(device)).is_available():
            reasons = [str(warning.message) for warning in warned]
            return reasons[-1] if reasons else "PyTorch finds no such GPU"
        probe = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.ConvTranspose2d(4, 2, 2, stride=2),
        ).eval()
        block = torch.linspace(-1, 1, 256).reshape(1, 1, 16, 16)
        try:
            with torch.inference_mode():
                expected = probe(block).softmax(dim=1)
                found = probe.to(device)(block.to(device)).softmax(dim=1).cpu()
        except (RuntimeError, NotImplementedError, AssertionError) as error:
            return first_line(error)
    if not torch.allclose(expected, found, atol=1e-2):
        return "it computes something else than the CPU"
    return ""


def training_precision(device: str) -> torch.dtype:
    """Return what to multiply in while training: half of the bits where that is faster.

    Sums, losses and weights stay float32. Processors and GPUs without instructions for
    bfloat16 emulate it, slower than float32.

    Parameters
    ----------
    device
        As ``choose_device`` names it.
    """
    if kind_of(device) == "cuda":
        # Before 8.0 it is emulated, slower than float32.
        native = bool(torch.version.hip) or _compute_capability(device) >= (8, 0)
    else:
        native = device == "cpu" and any(
            getattr(torch.cpu, name, bool)()
            for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
    return torch.bfloat16 if native else torch.float32


def prediction_precision(device: str, precision: Precision) -> torch.dtype:
    """Return what to compute in while predicting.

    Parameters
    ----------
    device
        As ``choose_device`` names it.
    precision
        As in ``PredictConfig``: half only where the device is made for it.
    """
    if precision == "full":
        return torch.float32
    native = training_precision(device)
    if kind_of(device) == "cuda" and native == torch.float32:
        # From 7.0 on GPUs multiply float16, whose range is too small for gradients;
        # what leaves it while predicting is an error that names the setting.
        return torch.float16 if _compute_capability(device) >= (7, 0) else native
    return native


def _compute_capability(device: str) -> tuple[int, int]:
    if not torch.cuda.is_available():
        return 0, 0
    return torch.cuda.get_device_capability(torch.device(device))
