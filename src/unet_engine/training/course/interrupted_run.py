"""A file from which a training goes on whose process ended before it.

Safetensors: weights, their average, the best ones, what the optimiser remembers, the
state of both random generators; the course of the run as text. Nothing in it is ever
executed, and it is restored only where it belongs to the same start, data and settings.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError

from unet_engine.errors import DataError, EngineError
from unet_engine.files.atomic import whole_file
from unet_engine.training.course.interfaces import Keeper
from unet_engine.training.course.run_state import RunState
from unet_engine.training.events import Note

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.training.config import FineTuneConfig
    from unet_engine.training.course.interfaces import Resumable
    from unet_engine.training.data.pairs import TrainingPair

FORMAT = "napari-unet-finetune training"
"""Names the kind of file in its header."""
_VERSION = "1"

_DAMAGED = EngineError, OSError, SafetensorError, ValueError, TypeError, KeyError
"""Met where a file is not what was written."""

_INTERVAL_S = 30.0
"""What is lost at most when the process is killed. Writing the forty megabytes of a
usual network takes some tenths of a second."""


class InterruptedRun(Keeper):
    """Keeps a training in a file, and goes on from there.

    Parameters
    ----------
    path
        Of the file; its folder must be there when it is written.
    resume
        Whether to go on from a file that is there.
    """

    def __init__(self, path: str | os.PathLike[str], *, resume: bool) -> None:
        self._path, self._resume = Path(path), resume
        self._of_start = self._of_data = ""
        self._kept_at = time.monotonic()
        self._failed = False

    def begins(
        self, checkpoint: Checkpoint, config: FineTuneConfig, device: str
    ) -> None:
        """Take note of what the run starts from and how it learns."""
        digest = hashlib.blake2b(digest_size=16)
        versions = [version("napari-unet-finetune"), torch.__version__]
        settings = {**asdict(config), "device": device}
        for part in (repr(checkpoint.spec), settings, versions):
            digest.update(json.dumps(part, sort_keys=True).encode())
        for name, weights in sorted(checkpoint.weights.items()):
            digest.update(name.encode())
            digest.update(weights.tobytes())
        self._of_start = digest.hexdigest()

    def belongs_to(self, training: Sequence[TrainingPair]) -> None:
        """Take note of what the run learns from; soft targets follow from it."""
        digest = hashlib.blake2b(digest_size=16)
        for pair in training:
            digest.update(repr((pair.name, pair.weight, pair.image.shape)).encode())
            for array in (
                pair.image,
                pair.target,
                pair.pixel_weights,
                pair.object_maps,
            ):
                if array is not None:
                    digest.update(array.tobytes())
        self._of_data = digest.hexdigest()

    def resume(self, run: Resumable) -> Iterator[Note]:
        """Restore the run in the file, if it is one of the same start and data."""
        if not self._resume:
            return
        if not self._path.is_file():
            yield Note("There is no interrupted training to go on with; it starts now.")
            return
        try:
            header, tensors = _read(self._path)
            self._check(header)
            state = RunState.from_json(header["state"])
            best = _part("best", tensors)
            if (state.best is None) != (not best):
                raise ValueError("its best weights are missing")
            run.restore(state, best, _part("optimisation", tensors), header)
        except DataError as error:
            yield Note(f"The training starts anew: {error}.")
        except _DAMAGED as error:
            yield Note(
                f"The training starts anew: the file {self._path} of the interrupted "
                f"one is damaged ({error})."
            )
        else:
            yield Note(f"The interrupted training goes on after step {state.step}.")

    def _check(self, header: Mapping[str, str]) -> None:
        if (header.get("format"), header.get("version")) != (FORMAT, _VERSION):
            raise DataError(
                f"{self._path} holds no interrupted training of this version"
            )
        if header.get("start") != self._of_start:
            raise DataError("the interrupted one had another start or other settings")
        if header.get("data") != self._of_data:
            raise DataError("images, labels or what is held out of them have changed")

    def keep(self, run: Resumable) -> Iterator[Note]:
        """Write where the run is, every 30 seconds."""
        if time.monotonic() - self._kept_at < _INTERVAL_S:
            return
        header = {
            "format": FORMAT,
            "version": _VERSION,
            "start": self._of_start,
            "data": self._of_data,
        }
        try:
            tensors, more = run.kept()
            # The first model of a store comes after this.
            with suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path) as temporary:
                temporary.write_bytes(
                    safetensors.torch.save(tensors, {**header, **more})
                )
        except DataError as error:
            if not self._failed:
                yield Note(f"The training is not kept in case it is killed: {error}")
            self._failed = True
        self._kept_at = time.monotonic()

    def remove(self) -> None:
        """Delete the file: what was learned is saved, or nothing was."""
        # A file that stays behind must not cost the model.
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    with safetensors.safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _part(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the tensors of a part by their names in it."""
    prefix = f"{name}."
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
