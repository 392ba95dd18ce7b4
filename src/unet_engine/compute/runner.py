"""``Runner``: a loaded network on a device."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from unet_engine.compute.activation import activated
from unet_engine.compute.blockwise import StagedNetwork
from unet_engine.compute.devices import (
    choose_device,
    kind_of,
    prediction_precision,
)
from unet_engine.compute.interruption import poll_before_layers
from unet_engine.compute.loading import folded_network
from unet_engine.compute.onnx_runner import OnnxRunner
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.errors import CheckpointError, EngineError
from unet_engine.models.object_maps import without_object_maps
from unet_engine.tiling.tiles import Tile
from unet_engine.wording import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from torch import Tensor

    from unet_engine.devices import Device, Precision
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.places import Interval


class AnyRunner(Protocol):
    """A network on a device: one of ours, or of another program."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def device(self) -> str: ...

    @property
    def in_blocks(self) -> bool: ...

    block_edge: int

    def __call__(
        self,
        block: npt.NDArray[np.float32],
        wanted: Sequence[Interval] | None = None,
    ) -> npt.NDArray[np.float32]: ...

    def release_memory(self) -> None: ...


class Runner:
    """A network that is ready to predict on one device.

    Parameters
    ----------
    checkpoint
        Spec and weights.
    device
        As in ``choose_device``.
    precision
        As in ``PredictConfig``.
    object_maps
        Whether it gives the object maps of the model after the classes.

    Attributes
    ----------
    spec
        Of what it gives: without object maps that are not wanted.

    Raises
    ------
    CheckpointError
        When the weights are not those of the spec.
    EngineError
        When the device is absent.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: Device = "auto",
        precision: Precision = "full",
        *,
        object_maps: bool = False,
    ) -> None:
        if not object_maps:
            checkpoint = without_object_maps(checkpoint)
        self.spec = checkpoint.spec
        self._title = checkpoint.title
        self.device = choose_device(device)
        self._dtype = prediction_precision(self.device, precision)
        network = folded_network(checkpoint, object_maps=True)
        self._format = (
            torch.channels_last if self.spec.ndim == 2 else torch.channels_last_3d
        )
        with translated_errors():
            self._network = network.to(self.device, self._dtype)
            # ``Module.to`` would refuse the format for weights of another rank.
            for weights in self._network.parameters():
                if weights.ndim == self.spec.ndim + 2:
                    weights.data = weights.data.contiguous(memory_format=self._format)
        poll_before_layers(self._network)
        self._staged = StagedNetwork.of(self._network, self.device)

    @property
    def in_blocks(self) -> bool:
        """Whether regions are computed stage by stage in blocks."""
        return self._staged is not None and self.device == "cpu"

    @property
    def block_edge(self) -> int:
        """Edge of a block in pixels of its map; 0 where there are no blocks."""
        return self._staged.block_edge if self._staged is not None else 0

    @block_edge.setter
    def block_edge(self, block_edge: int) -> None:
        if self._staged is not None:
            self._staged.block_edge = block_edge

    def __call__(
        self,
        block: npt.NDArray[np.float32],
        wanted: Sequence[Interval] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Predict the class probabilities of one block or of a batch.

        Parameters
        ----------
        block
            ``(C, *spatial)`` or ``(N, C, *spatial)`` float32, normalised; spatial sizes
            as ``spec.footprint`` allows.
        wanted
            Interval of the block per spatial axis; without it all that the network
            returns. What of the network does not bear on it is not computed.

        Returns
        -------
        ndarray
            ``(classes, *spatial)`` or ``(N, classes, *spatial)`` float32 in [0, 1],
            followed by the object maps; of a model without classes the image. Spatial
            sizes are those of ``wanted``.

        Raises
        ------
        OutOfMemoryError
            When the block does not fit the device.
        CheckpointError
            When a result is NaN or infinite: the weights are too large.
        EngineError
            When the block does not fit the network, or torch fails.
        """
        batched = block.ndim == self.spec.ndim + 2
        batch = np.require(block if batched else block[None], np.float32, ("C", "W"))
        if batch.ndim != self.spec.ndim + 2 or batch.shape[1] != self.spec.input_maps:
            raise EngineError(
                f"a block of shape {block.shape} does not fit a network for "
                f"{self.spec.input_maps} channels and {self.spec.ndim} dimensions"
            )
        with translated_errors(), torch.inference_mode(), full_precision(self.device):
            images = self._placed(batch)
            if wanted is not None and self._staged is not None:
                output = self._staged(images, tuple(wanted))
            else:
                output = self._whole(images, wanted)
            found: npt.NDArray[np.float32] = output.cpu().numpy()
        # The least and the greatest of numbers are NaN if any of them is.
        if found.size and not np.isfinite([found.min(), found.max()]).all():
            raise CheckpointError(self._describe_overflow())
        return found if batched else found[0]

    def _describe_overflow(self) -> str:
        if self._dtype != torch.float32:
            how = setting(
                command="--precision full", window="precision in Advanced settings"
            )
            return (
                f"{self._title} gives numbers beyond the range of 16 bits on this "
                f"image; predict it with the precision full ({how})"
            )
        return (
            f"{self._title} gives NaN or infinite numbers on this image: its weights "
            "are too large; choose another model, or train it again from its "
            "parent with a lower learning rate"
        )

    def _placed(self, batch: npt.NDArray[np.float32]) -> Tensor:
        """Bring a batch to the device, channels last."""
        images = torch.from_numpy(batch).to(self.device, non_blocking=True)
        # Copied even if there is one channel only, whose place in memory is the same
        # either way: by its strides torch chooses the format of all later maps.
        placed = torch.empty(
            images.shape,
            dtype=self._dtype,
            device=self.device,
            memory_format=self._format,
        )
        return placed.copy_(images)

    def _whole(self, images: Tensor, wanted: Sequence[Interval] | None) -> Tensor:
        logits: Tensor = self._network(images)
        if wanted is not None:
            tile = Tile(tuple(wanted), tuple((0, size) for size in images.shape[2:]))
            every = (slice(None), slice(None))
            logits = logits[every + tile.local_slices(logits.shape[2:])]
        return activated(logits.float(), self.spec)

    def release_memory(self) -> None:
        """Free what is kept from block to block: a smaller one may fit then."""
        if self._staged is not None:
            self._staged.release_memory()
        if self.device != "cpu":
            getattr(torch, kind_of(self.device)).empty_cache()


@contextmanager
def full_precision(device: str) -> Iterator[None]:
    """Multiply with all 32 bits, on a GPU too."""
    # TF32 keeps 10 bits of the mantissa: tiles would differ from the whole by more
    # than rounding.
    if kind_of(device) != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


class RunnerCache:
    """Keeps the last runner, so that predicting again does not build its network again.

    One only: a GPU may not hold two networks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._checkpoint: Checkpoint | None = None
        self._place: tuple[str, Precision, bool] | None = None
        self._runner: AnyRunner | None = None

    def get(
        self,
        checkpoint: Checkpoint,
        device: Device = "auto",
        precision: Precision = "full",
        *,
        object_maps: bool = False,
    ) -> AnyRunner:
        """Return a runner, the last one again when nothing changed since."""
        object_maps = object_maps and bool(checkpoint.spec.object_maps)
        place = choose_device(device), precision, object_maps
        with self._lock:
            known = self._checkpoint is checkpoint and self._place == place
            if known and self._runner is not None:
                return self._runner
            self._runner = self._checkpoint = self._place = None
            if checkpoint.spec.imported is not None:
                self._runner = OnnxRunner(checkpoint, device)
            else:
                self._runner = Runner(
                    checkpoint, device, precision, object_maps=object_maps
                )
            self._checkpoint, self._place = checkpoint, place
            return self._runner

    def clear(self) -> None:
        """Drop the runner, whose memory is freed with the last reference to it."""
        with self._lock:
            self._runner = self._checkpoint = self._place = None


RUNNERS = RunnerCache()
"""That of this process: predictions one after the other share it."""
