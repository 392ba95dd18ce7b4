"""The files of the network of a package: weights, TorchScript and ONNX."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from unet_engine.compute.loading import load_network
from unet_engine.model_packages.network import ProbabilityNetwork

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from unet_engine.models.checkpoint import Checkpoint

ONNX_OPSET = 17
"""Of the operators of ONNX: read by every runtime since 2023."""


def network_of(checkpoint: Checkpoint) -> ProbabilityNetwork:
    """Build what is exported of a model, in evaluation mode on the CPU."""
    network = ProbabilityNetwork(load_network(checkpoint), checkpoint.spec).eval()
    return network.requires_grad_(False)


def write_state(network: ProbabilityNetwork, path: Path) -> None:
    """Write the weights as PyTorch keeps them: names and tensors, and nothing else."""
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.save(state, path)


def write_torchscript(
    network: ProbabilityNetwork, example: npt.NDArray[np.float32], path: Path
) -> None:
    """Write the network as TorchScript, which needs PyTorch and no other code."""
    with warnings.catch_warnings(), torch.inference_mode():
        # It is deprecated and the only one of its kind that the specification knows.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            network, torch.from_numpy(example), check_trace=False
        )
        torch.jit.save(traced, str(path))


def has_onnx() -> bool:
    """Whether the library that writes ONNX is installed."""
    return find_spec("onnx") is not None


def write_onnx(
    network: ProbabilityNetwork, example: npt.NDArray[np.float32], path: Path
) -> None:
    """Write the network as ONNX, for images of any allowed size."""
    spatial = dict(
        zip(range(2, example.ndim), "zyx"[-(example.ndim - 2) :], strict=True)
    )
    axes = {0: "batch", **spatial}
    with warnings.catch_warnings(), torch.inference_mode():
        # The new exporter loads PyTorch's compiler and with it triton; see llvm.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.from_numpy(example),),
            str(path),
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": axes, "output": axes},
            opset_version=ONNX_OPSET,
            dynamo=False,
        )
