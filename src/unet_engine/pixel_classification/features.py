"""Features of pixels for a classifier: filters, and maps of a trained network.

The filters are those of the pixel classifiers (intensity, edges, texture at several
scales: Sommer et al. 2011, ilastik); the network adds the maps of its decoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from unet_engine.compute.block_size import tune
from unet_engine.compute.interruption import poll_before_layers
from unet_engine.compute.loading import fold_normalisation, load_network
from unet_engine.compute.runner import Runner, full_precision
from unet_engine.errors import CheckpointError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.classifier_part import FeatureNetwork
from unet_engine.models.networks.unet import UNet
from unet_engine.pixel_classification.filters import (
    OCTAVES,
    RESPONSES,
    filter_responses,
)
from unet_engine.pixel_classification.network_maps import decoded_maps, enlarged_inner
from unet_engine.tiling.tiles import read_reflected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from torch import Tensor

    from unet_engine.models.classifier_part import ClassifierPart

LEVELS = 3
"""Levels of a network's decoder that are used, the finest first. Coarser ones separate
the strokes by where they lie, not by what they show."""

HALVED = 2
"""The finest map of the image at half its size is used as well, for structures that are
larger than those of the training."""

MARGIN = 64
"""Context that a block needs on each side, in pixels."""

GRID = 2**OCTAVES
"""Corners and edges of blocks lie on multiples of it, in pixels, so that all share one
coarse grid, and the image at half its size, too."""

_SYMMETRIES = ((0, False), (2, False), (1, True), (3, True))
"""Quarter turns and whether a flip follows: the half turn, and Y and X exchanged. A
network's maps differ a little for each; their mean depends less on how the image
lies."""


class FeatureExtractor:
    """Turns blocks of an image into features of their pixels.

    Parameters
    ----------
    checkpoint
        A model of planes whose maps are used as well, if it is a padded U-Net that was
        trained; None for filters alone.
    device
        As ``choose_device`` names it.
    tuned
        A model of planes that was tuned on the strokes: its probabilities come last
        among the features. Its own maps are no use, as they were fitted to the strokes.
    average
        Over symmetries of the image: better maps, for four times the work.

    Attributes
    ----------
    device
        See above.
    averaged
        Whether the mean over symmetries is taken.
    network
        Whose maps are used, None for filters alone.
    tuned
        Whose probabilities are used, or None.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None = None,
        device: str = "cpu",
        *,
        tuned: Checkpoint | None = None,
        average: bool = True,
    ) -> None:
        self.device = device
        self.averaged = average
        self._symmetries = _SYMMETRIES if average else _SYMMETRIES[:1]
        model = checkpoint or tuned
        self._title = model.title if model else "the model"
        self._unet = _usable(checkpoint, device)
        self.network: FeatureNetwork | None = None
        if checkpoint is not None and self._unet is not None:
            self.network = FeatureNetwork(
                spec=checkpoint.spec, weights=checkpoint.weights
            )
        self.tuned = tuned if tuned is not None and _gives_classes(tuned) else None
        self._runner: Runner | None = None

    @property
    def n_tuned_channels(self) -> int:
        """Number of the last features, which are probabilities of a tuned model."""
        return len(self.tuned.spec.classes) if self.tuned else 0

    @property
    def channels(self) -> int:
        """Channels that the networks take; 0 without one: any."""
        model = self.network or self.tuned
        return model.spec.in_channels if model else 0

    def gives_same_as(self, other: FeatureExtractor) -> bool:
        """Return whether the features of two are the same, but for tuned ones."""
        if self.averaged != other.averaged:
            return False
        ours, theirs = self.network, other.network
        if ours is None or theirs is None:
            return ours is theirs
        # The last layer gives classes and no features.
        names = [name for name in ours.weights if not name.startswith("head.")]
        return all(
            name in theirs.weights
            and np.array_equal(ours.weights[name], theirs.weights[name])
            for name in names
        )

    def count_fine(self, channels: int) -> int:
        """Return how many of the first features are as fine as the pixels.

        They are the filters and the finest maps of the network.
        """
        finest = self.network.spec.width if self.network else 0
        return channels * RESPONSES + finest

    def count(self, channels: int) -> int:
        """Return how many features there are, without probabilities of a tuned model.

        Parameters
        ----------
        channels
            Of the image.
        """
        if self.network is None:
            return self.count_fine(channels)
        spec = self.network.spec
        levels = range(1, min(LEVELS, spec.depth))
        coarser = sum(spec.width << level for level in levels)
        return self.count_fine(channels) + coarser + spec.width

    @torch.no_grad()
    def __call__(self, block: npt.NDArray[np.float32]) -> Tensor:
        """Return the features of a block without its margin.

        Parameters
        ----------
        block
            ``(C, h, w)`` float32, normalised as for prediction, with ``MARGIN`` pixels
            of context on each side; height and width are multiples of ``GRID``.

        Returns
        -------
        Tensor
            ``(h - 2 MARGIN, w - 2 MARGIN, features)`` float32 on the CPU, without
            probabilities of a tuned model.
        """
        image = torch.from_numpy(block)[None].to(self.device)
        inner = slice(MARGIN, -MARGIN)
        filtered = [r[..., inner, inner] for r in filter_responses(image)]
        joined = torch.cat([*filtered, *self._network_maps(image)], dim=1)[0]
        return joined.permute(1, 2, 0).cpu().contiguous()

    def read(
        self,
        read: Callable[[tuple[slice, ...]], npt.NDArray[np.float32]],
        part: tuple[slice, slice],
        shape: Sequence[int],
    ) -> Tensor:
        """Return the features of a part of a plane, ``(h, w, features)`` float32.

        Parameters
        ----------
        read
            Returns the normalised pixels of slices inside the plane, ``(C, h, w)``
            float32.
        part
            Rows and columns; they begin on multiples of ``GRID``.
        shape
            Height and width of the plane, which is mirrored beyond its border.

        Raises
        ------
        CheckpointError
            When a feature is NaN or infinite.
        """
        height, width = (p.stop - p.start for p in part)
        outer = [
            (p.start - MARGIN, p.start + -(-size // GRID) * GRID + MARGIN)
            for p, size in zip(part, (height, width), strict=True)
        ]
        block = read_reflected(read, outer, shape)
        found = self(np.ascontiguousarray(block, dtype=np.float32))
        found = found[:height, :width]
        if self.tuned is not None:
            known = torch.from_numpy(self._tuned_probabilities(read, part, shape))
            found = torch.cat([found, known.permute(1, 2, 0)], dim=-1)
        if not found.isfinite().all():
            raise CheckpointError(
                f"{self._title} gives NaN or infinite numbers on this image: its "
                "weights are too large; choose another model"
            )
        return found

    def _tuned_probabilities(
        self,
        read: Callable[[tuple[slice, ...]], npt.NDArray[np.float32]],
        part: tuple[slice, slice],
        shape: Sequence[int],
    ) -> npt.NDArray[np.float32]:
        """Return what a prediction of the whole plane gives there, ``(classes, h, w)``.

        It is no mean over symmetries: Live shows what the model will predict.
        """
        assert self.tuned is not None
        if self._runner is None:
            self._runner = Runner(self.tuned, self.device)
            tune(self._runner, measure=False)
        inner = tuple((p.start, p.stop) for p in part)
        outer = self.tuned.spec.footprint.around(inner, shape)
        wanted = [
            (low - start, high - start)
            for (low, high), (start, _) in zip(inner, outer, strict=True)
        ]
        block = np.asarray(read_reflected(read, outer, shape), np.float32)
        return self._runner(block, wanted)

    def _network_maps(self, image: Tensor) -> list[Tensor]:
        """Return the maps of the network, without the margin of the image."""
        if self._unet is None:
            return []
        network = self._unet
        maps = self._mean(lambda i: decoded_maps(network, i, MARGIN)[:LEVELS], image)
        small = functional.avg_pool2d(image, HALVED)
        coarse = self._mean(
            lambda i: decoded_maps(network, i, MARGIN // HALVED)[:1], small
        )
        return [
            *(enlarged_inner(m, level, 2**level) for level, m in enumerate(maps)),
            enlarged_inner(coarse[0], 0, HALVED),
        ]

    def _mean(
        self, function: Callable[[Tensor], list[Tensor]], image: Tensor
    ) -> list[Tensor]:
        """Return the mean over the symmetries of what a function makes of an image."""
        total: list[Tensor] = []
        for turns, flip in self._symmetries:
            turned = torch.rot90(image, turns, (2, 3))
            turned = turned.flip(3) if flip else turned
            # A GPU in 16 bits would give another mask than Live on a CPU.
            with full_precision(self.device):
                found = function(turned.contiguous(memory_format=torch.channels_last))
            back = [
                torch.rot90(m.flip(3) if flip else m, -turns, (2, 3)).float()
                for m in found
            ]
            total = [a + b for a, b in zip(total, back, strict=True)] if total else back
        return [m / len(self._symmetries) for m in total]


def _usable(checkpoint: Checkpoint | None, device: str) -> UNet | None:
    """Return the network of a trained model that fits the blocks, or None."""
    if checkpoint is None or not checkpoint.history or not checkpoint.has_network:
        return None
    spec = checkpoint.spec
    if spec.ndim != 2 or any(GRID // HALVED % step for step in spec.footprint.divisor):
        return None
    network = load_network(checkpoint).eval().requires_grad_(False)
    if not isinstance(network, UNet):
        return None
    fold_normalisation(network)
    network.to(device)
    poll_before_layers(network)
    return network


def _gives_classes(checkpoint: Checkpoint) -> bool:
    """Whether a prediction of planes by a model is what its network gives once."""
    spec = checkpoint.spec
    averages = spec.row.averages_flips
    planes = spec.ndim == 2 and spec.classes and not averages
    return bool(planes and checkpoint.history and checkpoint.has_network)


def feature_extractor(
    part: ClassifierPart,
    title: str,
    device: str,
    *,
    tuned: Checkpoint | None = None,
) -> FeatureExtractor:
    """Return what computes the features that the classifiers of a model take.

    Parameters
    ----------
    part
        Of the model.
    title
        What to call the model in messages.
    device
        As ``choose_device`` names it.
    tuned
        As of a ``FeatureExtractor``.

    Raises
    ------
    CheckpointError
        When the network of the features cannot be used for them.
    """
    if part.network is None:
        return FeatureExtractor(None, device, tuned=tuned, average=part.averaged)
    known = Checkpoint(part.network.spec, part.network.weights, ({"name": title},))
    extractor = FeatureExtractor(known, device, tuned=tuned, average=part.averaged)
    if extractor.network is None:
        raise CheckpointError(
            f"{title} has a network of features that is no U-Net of planes; choose "
            "another model"
        )
    return extractor
