"""Packages of small networks that are none of this program, for its tests."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import bioimageio.spec as library
import numpy as np
import torch
from bioimageio.spec.model import v0_5 as models
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Steps = list[dict[str, Any]]


class Small(nn.Module):
    """Two convolutions that see three pixels around; padded, or smaller by three."""

    def __init__(self, ndim: int, taken: int, given: int, *, padded: bool) -> None:
        super().__init__()
        conv = nn.Conv2d if ndim == 2 else nn.Conv3d
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first = conv(taken, 4, 5, padding=2 if padded else 0)
            self.last = conv(4, given, 3, padding=1 if padded else 0)
            for layer in self.first, self.last:
                layer.weight.data *= 4

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(torch.relu(self.first(image)))
        return result


class Guarded(Small):
    """One that TorchScript has to keep as a program: it decides by its input."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = self.first(image)
        if bool(found.mean() > -1000):
            found = torch.relu(found)
        result: torch.Tensor = self.last(found)
        return result


@dataclass(kw_only=True)
class OtherNetwork:
    """What is packed; the fields are those that the tests change."""

    ndim: int = 2
    taken: int = 1
    names: tuple[str, ...] = ("cells",)
    padded: bool = True
    halo: int = 3
    least: int = 24
    step: int = 1
    """0: inputs have one size."""
    before: Steps = field(default_factory=list)
    after: Steps = field(default_factory=lambda: [{"id": "sigmoid"}])
    formats: tuple[str, ...] = ("onnx",)
    network: Callable[..., nn.Module] = Small
    program: bytes = b""
    """In place of its TorchScript."""
    file: Callable[[bytes], bytes] = lambda content: content
    """What becomes of its ONNX file."""

    def made(self) -> nn.Module:
        network = self.network(
            self.ndim, self.taken, len(self.names), padded=self.padded
        )
        return network.eval().requires_grad_(False)


def pack(
    other: OtherNetwork,
    folder: Path,
    image: np.ndarray,
    prepared: np.ndarray,
    finished: Callable[[np.ndarray], np.ndarray],
) -> Path:
    """Write a package, and return its path.

    Parameters
    ----------
    other
        What it holds.
    folder
        Where it goes.
    image, prepared
        An example ``(C, *spatial)``, and what its preprocessing makes of it.
    finished
        Makes of an output what its postprocessing does.
    """
    folder.mkdir(exist_ok=True, parents=True)
    network = other.made()
    example = torch.from_numpy(prepared[None].astype(np.float32))
    output = finished(network(example).numpy())
    np.save(folder / "in.npy", image[None])
    np.save(folder / "out.npy", output.astype(np.float32))
    (folder / "README.md").write_text("# Validation\n\nnone\n" * 4)
    axes = list("zyx"[-other.ndim :])
    weights = _weights(other, network, example, folder)
    description = models.ModelDescr(
        name="a small network",
        description="finds what is bright",
        authors=[models.Author(name="Grace Hopper")],
        license="MIT",
        cite=[models.CiteEntry(text="Hopper 1952", url="https://example.com")],
        documentation=models.FileDescr(source=folder / "README.md"),
        covers=[],
        inputs=[
            models.InputTensorDescr(
                id="raw",
                axes=[
                    models.BatchAxis(),
                    models.ChannelAxis(
                        channel_names=[f"channel{n}" for n in range(other.taken)]
                    ),
                    *(_input_axis(other, name) for name in axes),
                ],
                # Images of integers become these first.
                data=models.IntervalOrRatioDataDescr(type="float32"),
                test_tensor=models.FileDescr(source=folder / "in.npy"),
                preprocessing=other.before,
            )
        ],
        outputs=[
            models.OutputTensorDescr(
                id="mask",
                axes=[
                    models.BatchAxis(),
                    models.ChannelAxis(channel_names=list(other.names)),
                    *(_output_axis(other, name) for name in axes),
                ],
                test_tensor=models.FileDescr(source=folder / "out.npy"),
                postprocessing=other.after,
            )
        ],
        weights=models.WeightsDescr(**weights),
    )
    path = folder / "other.zip"
    library.save_bioimageio_package(description, output_path=path)
    return path


def _input_axis(other: OtherNetwork, name: str) -> Any:
    size: Any = other.least
    if other.step:
        size = models.ParameterizedSize(min=other.least, step=other.step)
    return models.SpaceInputAxis(id=name, size=size)


def _output_axis(other: OtherNetwork, name: str) -> Any:
    less = 0 if other.padded else 6
    size: Any = models.SizeReference(tensor_id="raw", axis_id=name, offset=-less)
    if not other.step:
        size = other.least - less
    if other.halo:
        reference = models.SizeReference(tensor_id="raw", axis_id=name, offset=-less)
        return models.SpaceOutputAxisWithHalo(id=name, size=reference, halo=other.halo)
    return models.SpaceOutputAxis(id=name, size=size)


def _weights(
    other: OtherNetwork, network: nn.Module, example: torch.Tensor, folder: Path
) -> dict[str, Any]:
    weights: dict[str, Any] = {}
    version = torch.__version__.partition("+")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "onnx" in other.formats:
            sizes = {0: "batch"}
            if other.step:
                sizes |= {2 + n: "zyx"[-other.ndim :][n] for n in range(other.ndim)}
            torch.onnx.export(
                network,
                (example,),
                str(folder / "weights.onnx"),
                input_names=["raw"],
                dynamic_axes={"raw": sizes, "mask": sizes},
                output_names=["mask"],
                opset_version=17,
                dynamo=False,
            )
            file = folder / "weights.onnx"
            file.write_bytes(other.file(file.read_bytes()))
            weights["onnx"] = models.OnnxWeightsDescr(
                source=folder / "weights.onnx", opset_version=17
            )
        if "torchscript" in other.formats:
            scripted = torch.jit.script(network)
            torch.jit.save(scripted, str(folder / "weights.pt"))
            if other.program:
                (folder / "weights.pt").write_bytes(other.program)
            weights["torchscript"] = models.TorchscriptWeightsDescr(
                source=folder / "weights.pt", pytorch_version=version
            )
    return weights
