"""TorchScript that is trusted, as ONNX.

TorchScript is a program. Loading it can run functions of it, among its operators are
some that open files, and they were not made for input of strangers. So it is loaded
once, when somebody trusts it, and what is kept of it is ONNX.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unet_engine.compute.onnx_network import open_session
from unet_engine.compute.onnx_runner import laid_out
from unet_engine.errors import CheckpointError, DataError
from unet_engine.llvm import keep_triton_out
from unet_engine.model_packages.weights import ONNX_OPSET

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.model_packages.tensor_axes import TensorAxes

_CLOSE = 1e-4
"""By which the two may differ, relative and absolute."""


def onnx_of_torchscript(
    content: bytes, image: npt.NDArray[np.float32], taken: TensorAxes
) -> bytes:
    """Load a program of TorchScript, and return ONNX that computes the same.

    Parameters
    ----------
    content
        Of the file; somebody trusts it.
    image
        ``(C, *spatial)``, an input that it takes.
    taken
        The axes of its input.

    Raises
    ------
    CheckpointError
        When it is no TorchScript.
    DataError
        When there is no ONNX for it.
    """
    keep_triton_out()
    example = torch.from_numpy(laid_out(image, taken.letters))
    with warnings.catch_warnings(), torch.inference_mode():
        # Loading it is deprecated, and so is the exporter that takes it.
        warnings.simplefilter("ignore")
        try:
            network = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except Exception as error:
            raise CheckpointError(
                f"its TorchScript cannot be loaded ({_line(error)}); get it again, or "
                "update PyTorch"
            ) from error
        try:
            made = _exported(network, example, taken)
        except Exception as error:
            raise DataError(
                f"its TorchScript cannot be turned into ONNX ({_line(error)}); ask its "
                "author for ONNX"
            ) from error
        for one in (example, *_of_another_size(image, taken)):
            _compare(network, made, one)
    return made


def _line(error: Exception) -> str:
    # The last line of PyTorch's errors states what went wrong.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]


def _exported(network: Any, example: torch.Tensor, taken: TensorAxes) -> bytes:
    sizes = {
        number: letter
        for number, letter in enumerate(taken.letters)
        if letter in "zyx" and taken.step["zyx"[-len(taken.step) :].index(letter)]
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=["input"],
            dynamic_axes={"input": sizes} if sizes else None,
            opset_version=ONNX_OPSET,
            dynamo=False,
        )
        return path.read_bytes()


def _of_another_size(
    image: npt.NDArray[np.float32], taken: TensorAxes
) -> list[torch.Tensor]:
    """Return an input of another size: a trace may hold that of the example."""
    if not any(taken.step):
        return []
    wider = np.pad(image, [(0, 0), *((0, step) for step in taken.step)], mode="wrap")
    return [torch.from_numpy(laid_out(wider, taken.letters))]


def _compare(network: Any, made: bytes, example: torch.Tensor) -> None:
    """Make sure that both compute the same.

    Raises
    ------
    DataError
        When they do not.
    """
    expected = network(example)
    first = expected[0] if isinstance(expected, (tuple, list)) else expected
    session = open_session(made, "cpu", torch.get_num_threads())
    try:
        found = session.run(None, {session.get_inputs()[0].name: example.numpy()})[0]
        same = np.allclose(found, first.numpy(), rtol=_CLOSE, atol=_CLOSE)
    except Exception as error:
        raise DataError(
            f"the ONNX made of its TorchScript takes no other sizes ({_line(error)}); "
            "ask its author for ONNX"
        ) from error
    if not same:
        raise DataError(
            "the ONNX made of its TorchScript computes something else; ask its author "
            "for ONNX"
        )
