"""Where a network runs: the device, the loaded network, and torch's errors in words."""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from unet_engine.config import Device
from unet_engine.errors import CheckpointError, EngineError, OutOfMemoryError
from unet_engine.spec import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from unet_engine.spec import ModelSpec
    from unet_engine.store import Checkpoint

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def choose_device(device: Device = "auto") -> str:
    """Choose where to run.

    Parameters
    ----------
    device
        ``"auto"`` takes a CUDA GPU that works, else Apple's GPU if it passes a probe,
        else the CPU. Any other name must be there.

    Returns
    -------
    str
        ``"cuda"``, ``"mps"`` or ``"cpu"``.

    Raises
    ------
    EngineError
        When the device that was asked for is absent, with those there are.
    """
    if device not in get_args(Device):
        raise EngineError(
            f"there is no device {device!r}; use {', '.join(get_args(Device))}"
        )
    if device == "cpu":
        return "cpu"
    if device == "auto":
        return next((gpu for gpu in ("cuda", "mps") if _works(gpu)), "cpu")
    if not _works(device):
        present = [gpu for gpu in ("cuda", "mps") if _works(gpu)]
        raise EngineError(
            f"the device {device!r} is not usable on this machine; "
            f"use {' or '.join(['auto', 'cpu', *present])}"
        )
    return device


@cache
def _works(device: str) -> bool:
    """Compute one small block of a network on a GPU and compare it with the CPU.

    A GPU may be listed and yet be too old for this torch, or lack an operation.
    """
    with warnings.catch_warnings():
        # torch warns when a driver is too old, and then says that there is no GPU.
        warnings.simplefilter("ignore")
        if not getattr(torch, device).is_available():
            return False
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
        except (RuntimeError, NotImplementedError):
            return False
    return bool(torch.allclose(expected, found, atol=1e-2))


def training_precision(device: str) -> torch.dtype:
    """Return what to multiply in while training: half of the bits where that is faster.

    Sums, losses and weights stay float32. Processors without instructions for
    bfloat16 emulate it, slower than float32.

    Parameters
    ----------
    device
        As ``choose_device`` names it.
    """
    if device == "cuda":
        native = torch.cuda.is_bf16_supported()
    else:
        native = device == "cpu" and any(
            getattr(torch.cpu, name, bool)()
            for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
    return torch.bfloat16 if native else torch.float32


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn torch's ``RuntimeError`` and numpy's ``MemoryError`` into the engine's own.

    Raises
    ------
    OutOfMemoryError
        When a device or the machine ran out of memory.
    EngineError
        For everything else that torch reports.
    """
    try:
        yield
    except MemoryError as error:
        raise OutOfMemoryError(_memory_advice("memory", error)) from error
    except RuntimeError as error:
        if _is_out_of_memory(error):
            place = "CPU memory" if "CPU" in str(error) else "GPU memory"
            raise OutOfMemoryError(_memory_advice(place, error)) from error
        raise EngineError(
            f"torch could not compute this: {_first_line(error)}; "
            "if it ran on a GPU, choose the device cpu"
        ) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(
        phrase in str(error) for phrase in _OUT_OF_MEMORY
    )


def _memory_advice(place: str, error: BaseException) -> str:
    return (
        f"not enough {place}; use smaller tiles or crops, a smaller batch, "
        f"or close other programs ({_first_line(error)})"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def load_network(checkpoint: Checkpoint) -> nn.Module:
    """Build the network of a checkpoint with its weights, on the CPU.

    Raises
    ------
    CheckpointError
        When the weights are not those of the spec; names the first tensor that differs.
    """
    # Compared without memory first: a changed spec may ask for terabytes.
    with torch.device("meta"):
        _check_weights(checkpoint, build(checkpoint.spec).state_dict())
    # The fresh weights are thrown away and must not move the caller's random numbers.
    with torch.random.fork_rng(devices=[]), translated_errors():
        network = build(checkpoint.spec)
    network.load_state_dict(
        {name: torch.tensor(weights) for name, weights in checkpoint.weights.items()}
    )
    return network


def _check_weights(checkpoint: Checkpoint, expected: dict[str, Any]) -> None:
    found = checkpoint.weights
    for name, tensor in expected.items():
        if name not in found:
            problem = f"has no tensor {name!r}"
        elif tuple(found[name].shape) != tuple(tensor.shape):
            problem = (
                f"has {name!r} of shape {tuple(found[name].shape)} "
                f"instead of {tuple(tensor.shape)}"
            )
        else:
            continue
        raise CheckpointError(_misfit(checkpoint.spec, problem))
    if extra := sorted(set(found) - set(expected)):
        raise CheckpointError(_misfit(checkpoint.spec, f"has a tensor {extra[0]!r}"))


def _misfit(spec: ModelSpec, problem: str) -> str:
    return (
        f"the model {problem}, which does not fit its own spec ({spec.architecture}, "
        f"depth {spec.depth}, width {spec.width}, {spec.in_channels} channels, "
        f"{len(spec.classes)} classes); the file was changed, get it again"
    )


def fold_normalisation(network: nn.Module) -> None:
    """Fold every BatchNorm into the convolution before it, in place.

    Only neighbours in a ``Sequential`` are folded; the network must be in eval mode
    and computes the same function with fewer passes over memory.
    """
    for block in network.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for index, (conv, norm) in enumerate(pairwise(list(block))):
            if isinstance(conv, (nn.Conv2d, nn.Conv3d)) and isinstance(
                norm, (nn.BatchNorm2d, nn.BatchNorm3d)
            ):
                block[index] = fuse_conv_bn_eval(conv, norm)
                block[index + 1] = nn.Identity()


class Runner:
    """A network that is ready to predict on one device.

    Parameters
    ----------
    checkpoint
        Spec and weights.
    device
        As in ``choose_device``.

    Raises
    ------
    CheckpointError
        When the weights are not those of the spec.
    EngineError
        When the device is absent.
    """

    def __init__(self, checkpoint: Checkpoint, device: Device = "auto") -> None:
        self.spec = checkpoint.spec
        self.device = choose_device(device)
        network = load_network(checkpoint).eval()
        fold_normalisation(network)
        self._format = (
            torch.channels_last if self.spec.ndim == 2 else torch.channels_last_3d
        )
        with translated_errors():
            self._network = network.to(self.device)
            # ``Module.to`` would refuse the format for weights of another rank.
            for weights in self._network.parameters():
                if weights.ndim == self.spec.ndim + 2:
                    weights.data = weights.data.contiguous(memory_format=self._format)

    def __call__(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Predict the class probabilities of one block or of a batch.

        Parameters
        ----------
        block
            ``(C, *spatial)`` or ``(N, C, *spatial)`` float32, normalised; spatial sizes
            as ``spec.footprint`` allows.

        Returns
        -------
        ndarray
            ``(classes, *spatial)`` or ``(N, classes, *spatial)`` float32 in [0, 1]; of
            a model without classes the image.

        Raises
        ------
        OutOfMemoryError
            When the block does not fit the device.
        EngineError
            When the block does not fit the network, or torch fails.
        """
        batched = block.ndim == self.spec.ndim + 2
        batch = np.require(block if batched else block[None], np.float32, ("C", "W"))
        if batch.ndim != self.spec.ndim + 2 or batch.shape[1] != self.spec.in_channels:
            raise EngineError(
                f"a block of shape {block.shape} does not fit a network for "
                f"{self.spec.in_channels} channels and {self.spec.ndim} dimensions"
            )
        with translated_errors(), torch.inference_mode(), _full_precision(self.device):
            images = torch.from_numpy(batch).to(self.device, non_blocking=True)
            logits = self._network(images.contiguous(memory_format=self._format))
            output = logits.float()
            if self.spec.classes:
                output = output.softmax(dim=1)
            found: npt.NDArray[np.float32] = output.cpu().numpy()
        return found if batched else found[0]

    def release_memory(self) -> None:
        """Give back what the device keeps for later: a smaller block may fit then."""
        if self.device != "cpu":
            getattr(torch, self.device).empty_cache()


@contextmanager
def _full_precision(device: str) -> Iterator[None]:
    # TF32 keeps 10 bits of the mantissa: tiles would differ from the whole by more
    # than rounding.
    if device != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


_last: tuple[Checkpoint, str, Runner] | None = None
_last_lock = threading.Lock()


def runner_for(checkpoint: Checkpoint, device: Device = "auto") -> Runner:
    """Return a runner, the last one again when nothing changed since.

    One runner is kept, so that predicting again does not build the network again.
    """
    global _last
    chosen = choose_device(device)
    with _last_lock:
        if _last is not None and _last[0] is checkpoint and _last[1] == chosen:
            return _last[2]
        # Released first: a GPU may not hold two networks.
        _last = None
        runner = Runner(checkpoint, device)
        _last = (checkpoint, chosen, runner)
        return runner
