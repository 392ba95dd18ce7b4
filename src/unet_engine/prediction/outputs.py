"""Where the tiles of a prediction go: into arrays, or as a protocol anywhere else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from unet_engine.models.classifier_file import ClassifierSummary, part_tensors
from unet_engine.prediction.directions import in_three_directions

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    import numpy.typing as npt

    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.empty_tiles import EmptyTiles
    from unet_engine.prediction.plan import PredictionPlan
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile

_SAME_NUMBERS_SINCE = "0.1.0"
"""The version that last changed what a tile holds: runs begun since then can resume."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PredictionRun:
    """All that decides what a prediction gives.

    Attributes
    ----------
    image
        As the model takes it.
    fingerprint
        Of its files when the run began; empty for an array.
    device
        Where the network runs: devices differ in the last bits.
    block_edge
        Edge of the blocks in which a CPU computes: so do these.
    empty
        Tiles that are not predicted, if there may be any.
    """

    image: Image
    fingerprint: str
    checkpoint: Checkpoint
    config: PredictConfig
    plan: PredictionPlan
    normalisation: Normalisation
    device: str
    block_edge: int
    empty: EmptyTiles | None = None

    def identity(self) -> dict[str, Any]:
        """Return it as JSON types, by names that messages use.

        Runs of the same identity give the same results, tile by tile.
        """
        image, plan = self.image, self.plan
        return {
            "image": {
                "name": image.name,
                "axes": image.axes,
                "shape": [int(n) for n in image.data.shape],
                "dtype": str(image.dtype),
                "channels": list(image.selection),
                "grey": image.grey,
                "files": self.fingerprint,
            },
            "model": digest_of_model(self.checkpoint),
            "brightness": {
                "low": list(self.normalisation.low),
                "high": list(self.normalisation.high),
                **_described_steps(self.normalisation),
                **_described_fills(self.normalisation),
                **_described_stain(self.normalisation),
            },
            "tiles": list(plan.tiles.tile),
            "planes": _digest([list(index) for index in plan.planes]),
            "average_flips": self.config.average_flips,
            "halo": self.config.halo,
            "precision": self.config.precision,
            "probabilities": self.config.probabilities,
            "device": self.device,
            "blocks": self.block_edge,
            "program": _SAME_NUMBERS_SINCE,
            **({"object maps": True} if self.config.object_maps else {}),
            **self._described_effort(),
            **self._described_directions(),
            **self._described_scale(),
            **({"skipped": self.empty.identity()} if self.empty else {}),
        }

    def _described_effort(self) -> dict[str, Any]:
        """Return the effort where there is a choice: most models are a network."""
        if self.checkpoint.classifier is None:
            return {}
        return {"effort": self.config.effort}

    def _described_directions(self) -> dict[str, Any]:
        """Return the directions unless they are as in runs that know no others."""
        if not in_three_directions(self.checkpoint.spec, self.config):
            return {}
        return {"directions": self.config.directions}

    def _described_scale(self) -> dict[str, Any]:
        """Return the factors unless the grid is the image's own."""
        return {"scale": list(self.plan.factors)} if self.plan.is_scaled else {}


class Output(Protocol):
    """Takes the tiles of one prediction.

    ``begin`` is called once, ``write`` for every tile, ``finish`` after the last one,
    ``discard`` when no tile can ever come, and ``close`` in any case.
    """

    @property
    def labels(self) -> Any:
        """Array-like ``(*leading, Y, X)`` of class ids."""

    @property
    def probabilities(self) -> Any:
        """Array-like ``(classes, *leading, Y, X)``, or None."""

    @property
    def object_maps(self) -> Any:
        """Array-like ``(maps, *leading, Y, X)``, or None."""

    @property
    def wants_probabilities(self) -> bool:
        """Whether ``write`` needs them."""

    @property
    def quantises_object_maps(self) -> bool:
        """Whether ``write`` takes object maps as uint8, 255 for 1, if they are that.

        Workers then send a tenth of the bytes.
        """

    @property
    def fixed_grid(self) -> bool:
        """Whether the tiles must be the same in every run, wherever the viewport is."""

    @property
    def block_edge(self) -> int:
        """Blocks in which to compute, as in an earlier run; 0: those that suit."""

    def begin(self, run: PredictionRun) -> AbstractSet[int]:
        """Return the numbers of the tiles that are there from an earlier run."""

    def write(
        self,
        index: Index,
        tile: Tile,
        labels: npt.NDArray[np.uint8],
        probabilities: npt.NDArray[np.float32] | None,
        object_maps: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Take ``(*inner)`` uint8 labels and ``(classes, *inner)`` probabilities.

        Object maps, ``(maps, *inner)``, come in a run that gives them. Probabilities
        may be None where neither the run nor the output wants them.
        """

    def finish(self, stop: Stop) -> bool:
        """Do what is left after the last tile; False when ``stop`` returned True."""

    def discard(self) -> None:
        """Delete what ``begin`` made: the model can fill none of it."""

    def close(self) -> None:
        """Close what ``begin`` opened; finished tiles stay."""


class ArrayOutput:
    """Results in arrays: numpy's, or any array-like that takes slices.

    Parameters
    ----------
    labels
        ``(*leading, Y, X)``, for uint8 class ids.
    probabilities
        ``(classes, *leading, Y, X)``, for float32; None to discard them.
    object_maps
        ``(maps, *leading, Y, X)``, likewise.
    """

    def __init__(
        self, labels: Any, probabilities: Any = None, object_maps: Any = None
    ) -> None:
        self.labels: Any = labels
        self.probabilities: Any = probabilities
        self.object_maps: Any = object_maps

    @classmethod
    def in_memory(
        cls, shape: tuple[int, ...], classes: int, maps: int = 0
    ) -> ArrayOutput:
        """Make arrays of zeros; none of probabilities or maps of which there are 0."""
        probabilities, kept = (
            np.zeros((count, *shape), np.float32) if count else None
            for count in (classes, maps)
        )
        return cls(np.zeros(shape, np.uint8), probabilities, kept)

    @property
    def wants_probabilities(self) -> bool:
        """Whether there is an array for them."""
        return self.probabilities is not None

    @property
    def quantises_object_maps(self) -> bool:
        """Take them as they are, unless a subclass keeps uint8."""
        return False

    @property
    def fixed_grid(self) -> bool:
        """Take any tiles."""
        return False

    @property
    def block_edge(self) -> int:
        """Leave the blocks open."""
        return 0

    def begin(self, run: PredictionRun) -> AbstractSet[int]:
        """Start from nothing."""
        return frozenset()

    def write(
        self,
        index: Index,
        tile: Tile,
        labels: npt.NDArray[np.uint8],
        probabilities: npt.NDArray[np.float32] | None,
        object_maps: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Write the ``(*inner)`` labels, probabilities and maps of a tile."""
        where: tuple[int | slice, ...] = (*index, *tile.inner_slices)
        self.labels[where] = labels
        if self.probabilities is not None:
            self.probabilities[(slice(None), *where)] = probabilities
        if self.object_maps is not None:
            self.object_maps[(slice(None), *where)] = object_maps

    def finish(self, stop: Stop) -> bool:
        """Do nothing: arrays are complete."""
        return True

    def discard(self) -> None:
        """Do nothing: no tile was written."""

    def close(self) -> None:
        """Do nothing."""


class DiscardedOutput(ArrayOutput):
    """No output: whoever runs the prediction takes the tiles as they come."""

    def __init__(self) -> None:
        super().__init__(labels=None)

    def write(
        self,
        index: Index,
        tile: Tile,
        labels: npt.NDArray[np.uint8],
        probabilities: npt.NDArray[np.float32] | None,
        object_maps: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Drop a tile."""


def _described_steps(normalisation: Normalisation) -> dict[str, Any]:
    """Return the steps of a network of another program; most have none."""
    steps = [step.to_dict() for step in normalisation.steps]
    return {"steps": steps} if steps else {}


def _described_fills(normalisation: Normalisation) -> dict[str, Any]:
    """Return the fills that are no data, if any: most runs have no such part."""
    if not any(normalisation.fills):
        return {}
    fills = [[list(value) for value in fill] for fill in normalisation.fills]
    return {"no data": fills}


def _described_stain(normalisation: Normalisation) -> dict[str, Any]:
    """Return how a stain is read: most runs have no such part."""
    if normalisation.stain is None:
        return {}
    return {normalisation.stain.dye: normalisation.stain.full_light}


def digest_of_model(checkpoint: Checkpoint) -> str:
    """Return a digest of all in a model that decides what it predicts."""
    digest = hashlib.sha256(_json(checkpoint.spec.to_dict()))
    tensors = dict(checkpoint.weights)
    if (part := checkpoint.classifier) is not None:
        digest.update(_json(ClassifierSummary.of(part).to_dict()))
        tensors |= part_tensors(part)
    for name, weights in sorted(tensors.items()):
        digest.update(_json([name, weights.dtype.str, list(weights.shape)]))
        digest.update(weights.tobytes())
    return digest.hexdigest()


def _digest(values: Any) -> str:
    return hashlib.sha256(_json(values)).hexdigest()


def _json(values: Any) -> bytes:
    return json.dumps(values, sort_keys=True).encode()
