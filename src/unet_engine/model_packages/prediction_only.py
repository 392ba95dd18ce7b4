"""A package of any network, as a model that predicts and no more.

Its ONNX file is data and is run by onnxruntime. TorchScript is a program: it is loaded
only when somebody trusts it, once, to make ONNX of it. The example of the package has
to come out as it states; from it follows what the output means.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.compute.onnx_network import read_onnx
from unet_engine.compute.onnx_runner import OnnxRunner, from_layout
from unet_engine.errors import DataError, SpecError, UntrustedError
from unet_engine.failures import quoted
from unet_engine.images.brightness.steps import applied, measured
from unet_engine.model_packages.processing import steps_of
from unet_engine.model_packages.tensor_axes import TensorAxes, input_axes, output_axes
from unet_engine.models.architectures import IMPORTED, IMPORTED_NAME
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.imported_network import WEIGHTS, ImportedNetwork
from unet_engine.models.spec import ModelSpec
from unet_engine.wording import setting

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.model_packages.reading import Package

    Floats = npt.NDArray[np.float32]

_TOLERANCE = 1e-3
"""Relative and absolute, by which the example may come out otherwise; the default of
bioimage.io."""

_MISMATCHED = 1e-4
"""Share of the values of the example that may differ by more; its default, too."""

_SUM = 1e-3
"""By which the sum of probabilities that exclude each other may differ from 1."""

_BACKGROUND = ("background", "bg", "back")
"""What a channel of the background is called, in small letters."""

_GENERIC = re.compile(r"(channel|output|mask)[ _-]?\d*")
"""Names of channels, in small letters, that name nothing."""

_LONGEST_SOURCE = 200
"""Letters of the line on who made it."""


def prediction_only(package: Package, *, trust: bool) -> Checkpoint:
    """Return the network of a package as a model that cannot be fine-tuned.

    Parameters
    ----------
    package
        With ONNX or TorchScript.
    trust
        Whether its TorchScript may be run.

    Raises
    ------
    DataError
        When it cannot be run as it is described, or its output is no mask.
    UntrustedError
        When it has nothing but TorchScript and is not trusted.
    CheckpointError
        When its network is damaged, or names other files.
    EngineError
        When a library for it is not installed.
    """
    try:
        return _prediction_only(package, trust=trust)
    except (DataError, SpecError) as error:
        if isinstance(error, UntrustedError) or str(package.path) in str(error):
            raise
        raise DataError(f"{package.path}: {quoted(error, 500)}") from error


def _prediction_only(package: Package, *, trust: bool) -> Checkpoint:
    described = package.description
    if len(described.inputs) != 1:
        raise DataError(
            f"its network takes {len(described.inputs)} inputs, and here there is one "
            "image; run it in a program of bioimage.io"
        )
    taken = input_axes(described.inputs[0])
    before = steps_of(described.inputs[0].preprocessing, described.inputs[0].axes)
    number, given = _output(described, taken)
    output = described.outputs[number]
    after = steps_of(output.postprocessing, output.axes, of_output=True)
    image, expected = (
        from_layout(_example(package, one), axes.letters)
        for one, axes in ((described.inputs[0], taken), (output, given))
    )
    names = given.channels
    if package.is_earlier and len(names) != len(expected):
        # Its description has no channels, and the conversion assumes one.
        names = tuple(f"channel{number}" for number in range(len(expected)))
    image = applied(measured(before, image.reshape(len(image), -1)), image)
    network = ImportedNetwork(
        input_axes=taken.letters,
        output_axes=given.letters,
        output=number,
        least=taken.least,
        step=taken.step,
        halo=given.halo or taken.assumed_halo(given.crop),
        halo_is_stated=given.halo is not None,
        crop=given.crop,
        preprocessing=before,
        postprocessing=after,
        source=_source(package),
        **_meaning(expected, names, after),
    )
    content = _onnx(package, image, taken, trust=trust)
    made = Checkpoint(
        _spec(network, names, len(image), taken),
        {WEIGHTS: np.frombuffer(content, np.uint8)},
        ({"name": "", "imported": network.source},),
    )
    _check_example(made, image, expected)
    return made


def _output(described: Any, taken: TensorAxes) -> tuple[int, TensorAxes]:
    """Return the first output that has the pixels of the image."""
    reasons = []
    for number, output in enumerate(described.outputs):
        try:
            return number, output_axes(output, described.inputs[0], taken)
        except DataError as error:
            reasons.append(str(error))
    raise DataError(
        f"none of its outputs is a mask of the image: {'; '.join(reasons)}"[:500]
    )


def _example(package: Package, tensor: Any) -> npt.NDArray[Any]:
    """Return the example of a tensor; of an array file nothing but numbers is read."""
    if tensor.test_tensor is None:
        raise DataError(
            f"it has no example of {tensor.id}, by which the network is checked; ask "
            "its author"
        )
    try:
        values: Any = np.load(
            io.BytesIO(package.read(tensor.test_tensor)), allow_pickle=False
        )
    except (ValueError, OSError, EOFError, TypeError, MemoryError) as error:
        raise DataError(
            f"its example of {tensor.id} is no array of numbers; ask its author"
        ) from error
    numbers = isinstance(values, np.ndarray) and values.dtype.kind in "biuf"
    if not numbers or values.ndim != len(tensor.axes) or not values.size:
        raise DataError(
            f"its example of {tensor.id} is no array of numbers with "
            f"{len(tensor.axes)} axes; ask its author"
        )
    return np.asarray(values)


def _meaning(
    expected: npt.NDArray[Any], names: tuple[str, ...], after: tuple[Any, ...]
) -> dict[str, Any]:
    """Return what the channels of the output mean, by the example and their names."""
    if len(expected) != len(names):
        raise DataError(
            f"its example has {len(expected)} channels and its description "
            f"{len(names)}; ask its author"
        )
    low, high = float(np.min(expected)), float(np.max(expected))
    if not (low >= -_SUM and high <= 1 + _SUM):
        raise DataError(
            f"its output is no probability (from {low:.3g} to {high:.3g} in its "
            "example), so it is no mask; run it in a program of bioimage.io"
        )
    named = [n for n, name in enumerate(names) if name.lower() in _BACKGROUND]
    sums = expected.astype(np.float64).sum(axis=0)
    softened = any(step.kind == "softmax" for step in after)
    exclusive = len(names) > 1 and (
        softened or bool(named) or bool(np.allclose(sums, 1, atol=_SUM))
    )
    return {
        "exclusive": exclusive,
        "background": named[0] if named and exclusive else 0,
    }


def _spec(
    network: ImportedNetwork, names: tuple[str, ...], channels: int, taken: TensorAxes
) -> ModelSpec:
    others = [
        name
        for number, name in enumerate(names)
        if not (network.exclusive and number == network.background)
    ]
    classes = ["background"]
    for number, name in enumerate(others, start=1):
        plain = " ".join(name.split())[:60]
        if not plain or plain in classes or _GENERIC.fullmatch(plain.lower()):
            plain = f"class {number}" if len(others) > 1 else "foreground"
        classes.append(plain)
    return ModelSpec(
        architecture=IMPORTED_NAME,
        ndim=network.ndim,
        in_channels=channels,
        classes=tuple(classes),
        depth=1,
        width=IMPORTED.width,
        pixel_size_um=taken.pixel_size_um,
        elongation=taken.elongation,
        imported=network,
    )


def _onnx(package: Package, image: Floats, taken: TensorAxes, *, trust: bool) -> bytes:
    """Return the network as ONNX: that of the package, or made of its TorchScript."""
    weights = package.description.weights
    if weights.onnx is not None:
        other = getattr(weights.onnx, "external_data", None)
        return read_onnx(
            package.read(weights.onnx), None if other is None else package.read(other)
        )
    if weights.torchscript is None:
        kinds = [kind for kind, one in weights if one is not None]
        raise DataError(
            f"it has weights as {', '.join(kinds)} only, and run here are ONNX and "
            "TorchScript; ask its author for ONNX"
        )
    if not trust:
        how = setting(
            command="add --trust", window="add it again and answer the question"
        )
        raise UntrustedError(
            f"{package.path} ({_source(package)}) has its network as TorchScript, "
            "which is a program that could read and change your files; if you trust "
            f"who made it, {how}; or ask its author for ONNX, which is data",
            _source(package),
        )
    from unet_engine.model_packages.torchscript import onnx_of_torchscript

    return read_onnx(
        onnx_of_torchscript(package.read(weights.torchscript), image, taken)
    )


def _check_example(made: Checkpoint, image: Floats, expected: npt.NDArray[Any]) -> None:
    """Make sure that the example comes out as the package states.

    Raises
    ------
    DataError
        When it does not.
    """
    found = OnnxRunner(made, "cpu").output(image)
    if found.shape != expected.shape:
        raise DataError(
            f"its example comes out as {found.shape} in place of {expected.shape}; ask "
            "its author"
        )
    off = np.abs(found - expected)
    # What is no number is beyond, too.
    within = off <= _TOLERANCE + _TOLERANCE * np.abs(expected)
    if (~within).mean() > _MISMATCHED:
        most = float(np.nan_to_num(off, nan=np.inf).max())
        raise DataError(
            f"its example comes out otherwise than it states (by up to {most:.2g}), so "
            "its masks would be others; ask its author"
        )


def _source(package: Package) -> str:
    """Return who states to have made a package, and the file, in one line."""
    described = package.description
    names = ", ".join(str(author.name) for author in described.authors or ())
    line = f"{described.name} by {names or 'nobody named'}, {package.path.name}"
    return " ".join(line.split())[:_LONGEST_SOURCE]
