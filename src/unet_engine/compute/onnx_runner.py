"""``OnnxRunner``: a network of another program, as a ``Runner`` is one of ours."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unet_engine.compute.devices import choose_device
from unet_engine.compute.onnx_network import open_session, providers_for
from unet_engine.errors import CheckpointError, OutOfMemoryError
from unet_engine.images.brightness.steps import applied
from unet_engine.models.imported_network import WEIGHTS
from unet_engine.tiling.tiles import read_reflected

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.devices import Device
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.imported_network import ImportedNetwork
    from unet_engine.places import Interval

    Floats = npt.NDArray[np.float32]


class OnnxRunner:
    """A network that came as ONNX, ready to predict.

    Where onnxruntime has no support for the device, the CPU computes.

    Parameters
    ----------
    checkpoint
        With ``spec.imported``.
    device
        As in ``choose_device``.

    Raises
    ------
    CheckpointError
        When the file cannot be run.
    EngineError
        When the device or the library is absent.
    """

    in_blocks = False
    block_edge = 0

    def __init__(self, checkpoint: Checkpoint, device: Device = "auto") -> None:
        assert checkpoint.spec.imported is not None
        self.spec = checkpoint.spec
        self._network: ImportedNetwork = checkpoint.spec.imported
        self._title = checkpoint.title
        content = checkpoint.weights.get(WEIGHTS)
        if content is None or content.dtype != np.uint8:
            raise CheckpointError(f"{self._title} holds no network; get it again")
        chosen = choose_device(device)
        self.device = chosen if len(providers_for(chosen)) > 1 else "cpu"
        try:
            self._session = open_session(
                content.tobytes(), self.device, torch.get_num_threads()
            )
        except CheckpointError as error:
            raise CheckpointError(f"{self._title}: {error}") from error
        outputs = self._session.get_outputs()
        if len(self._session.get_inputs()) != 1 or len(outputs) <= self._network.output:
            raise CheckpointError(
                f"{self._title}: its ONNX file has other inputs and outputs than it "
                "describes; get it again"
            )
        self._input = self._session.get_inputs()[0]

    def __call__(
        self, block: Floats, wanted: Sequence[Interval] | None = None
    ) -> Floats:
        """Predict the class probabilities of one block.

        Parameters
        ----------
        block
            ``(C, *spatial)`` float32, as the preprocessing made it.
        wanted
            Interval of the block per spatial axis; without it all of it.

        Returns
        -------
        ndarray
            ``(classes, *spatial)`` float32 in [0, 1] of the size of ``wanted``.

        Raises
        ------
        CheckpointError
            When the network cannot take the block, or gives no probabilities.
        OutOfMemoryError
            When the block does not fit the memory.
        """
        shape = block.shape[1:]
        whole = tuple(wanted or ((0, size) for size in shape))
        sizes = [stop - start for start, stop in whole]
        found = np.empty((len(self.spec.classes), *sizes), np.float32)
        for part in self._parts(whole):
            there = tuple(
                slice(start - low, stop - low)
                for (start, stop), (low, _) in zip(part, whole, strict=True)
            )
            found[(slice(None), *there)] = self._part(block, part)
        return found

    def output(self, piece: Floats) -> Floats:
        """Return the output of one input, with its postprocessing, as it is.

        Parameters
        ----------
        piece
            ``(C, *spatial)`` float32, of a size that the network takes.

        Returns
        -------
        ndarray
            ``(channels of the output, *spatial)`` float32.

        Raises
        ------
        CheckpointError
            When the network cannot take it.
        OutOfMemoryError
            When it does not fit the memory.
        """
        return applied(self._network.postprocessing, self._run(piece))

    def release_memory(self) -> None:
        """Nothing is kept from block to block."""

    def _parts(self, whole: tuple[Interval, ...]) -> list[tuple[Interval, ...]]:
        """Split an inner region where inputs have one size only."""
        network, per_axis = self._network, []
        for axis, (start, stop) in enumerate(whole):
            edge = stop - start
            if not network.step[axis]:
                edge = network.least[axis] - 2 * network.context[axis]
            per_axis.append(
                [(low, min(low + edge, stop)) for low in range(start, stop, edge)]
            )
        return list(product(*per_axis))

    def _part(self, block: Floats, inner: tuple[Interval, ...]) -> Floats:
        network, outer = self._network, []
        for axis, (start, stop) in enumerate(inner):
            context = network.context[axis]
            size = network.allowed_size(stop - start + 2 * context, axis)
            outer.append((start - context, start - context + size))
        piece = read_reflected(
            lambda region: block[(slice(None), *region)], outer, block.shape[1:]
        )
        output = self._probabilities(self._run(np.asarray(piece, np.float32)), outer)
        local = tuple(
            slice(network.halo[axis], network.halo[axis] + stop - start)
            for axis, (start, stop) in enumerate(inner)
        )
        return output[(slice(None), *local)]

    def _run(self, piece: Floats) -> npt.NDArray[Any]:
        """Return the output ``(C, *spatial)`` of one input ``(C, *spatial)``."""
        values = laid_out(piece, self._network.input_axes)
        kind = _DTYPES.get(self._input.type)
        if kind is None:
            raise CheckpointError(
                f"{self._title} takes {self._input.type}, which images are not"
            )
        try:
            outputs = self._session.run(None, {self._input.name: values.astype(kind)})
        except Exception as error:
            # The errors of the library are of classes of its own.
            reason = " ".join(str(error).split())[:200]
            if "alloc" in reason.lower() or isinstance(error, MemoryError):
                raise OutOfMemoryError(f"{self._title}: {reason}") from error
            raise CheckpointError(
                f"{self._title} cannot take a tile of "
                f"{' x '.join(map(str, piece.shape[1:]))} pixels: {reason}"
            ) from error
        return from_layout(
            np.asarray(outputs[self._network.output]), self._network.output_axes
        )

    def _probabilities(
        self, output: npt.NDArray[Any], outer: Sequence[Interval]
    ) -> Floats:
        network, spec = self._network, self.spec
        expected = tuple(
            stop - start - 2 * crop
            for (start, stop), crop in zip(outer, network.crop, strict=True)
        )
        channels = len(spec.classes) - (0 if network.exclusive else 1)
        if output.shape != (channels, *expected):
            raise CheckpointError(
                f"{self._title} gives {output.shape} in place of "
                f"{(channels, *expected)}, as its package states; ask its author"
            )
        values = applied(network.postprocessing, output)
        if not np.isfinite(values).all():
            raise CheckpointError(
                f"{self._title} gives NaN or infinite numbers on this image; choose "
                "another model"
            )
        return class_probabilities(values, network)


def class_probabilities(values: Floats, network: ImportedNetwork) -> Floats:
    """Return probabilities of background and classes, whose sum is 1.

    Parameters
    ----------
    values
        ``(C, *spatial)``, the output with its postprocessing.
    network
        What the channels mean.

    Returns
    -------
    ndarray
        ``(classes, *spatial)`` float32, background first.
    """
    values = np.clip(values, 0, 1)
    if network.exclusive:
        first = network.background
        order = [first, *(n for n in range(len(values)) if n != first)]
        found = values[order]
    else:
        left = 1 - values.max(axis=0, keepdims=True)
        found = np.concatenate([left, values])
    total = found.sum(axis=0, keepdims=True)
    return np.asarray(found / np.where(total > 0, total, 1), np.float32)


_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
"""Of an input, as the library names them."""


def laid_out(piece: Floats, axes: str) -> npt.NDArray[Any]:
    """Bring ``(C, *spatial)`` to the axes of a tensor of an ``ImportedNetwork``."""
    here = "c" + "zyx"[-(piece.ndim - 1) :]
    if "c" not in axes:
        piece, here = piece[0], here[1:]
    values = piece.transpose([here.index(axis) for axis in axes if axis != "b"])
    return np.ascontiguousarray(values[None] if "b" in axes else values)


def from_layout(values: npt.NDArray[Any], axes: str) -> npt.NDArray[Any]:
    """Bring a tensor to ``(C, *spatial)``; one of other axes comes back as it is.

    Of a batch the first is taken.
    """
    if values.ndim != len(axes):
        return values
    if "b" in axes:
        values, axes = values[0], axes[1:]
    if "c" not in axes:
        values, axes = values[None], "c" + axes
    order = [axes.index(axis) for axis in "czyx" if axis in axes]
    return values.transpose(order)
