"""Evaluation of a model on the pixels that were held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from unet_engine.labels import HELD_OUT
from unet_engine.metrics import Confusion
from unet_engine.models.spec import ARCHITECTURES
from unet_engine.tiling.tiles import Tile, TilePlan, read_reflected
from unet_engine.training.candidates import Candidates, ChosenMask
from unet_engine.training.data.crops import crop_shape
from unet_engine.training.data.pairs import (
    TrainingPair,
    class_counts,
    far_from_labels,
    near_labels,
)
from unet_engine.training.losses import masked_map_entropy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from unet_engine.interactive.cross_validation import StrokeCheck
    from unet_engine.training.data.soft_targets import StrokeClassifier
    from unet_engine.training.mask_score import MaskScore

    Floats = npt.NDArray[np.float32]

    from unet_engine.models.spec import ModelSpec
    from unet_engine.training.config import FineTuneConfig

_TILE = 256
"""Edge of a tile in pixels."""

_VOLUME_TILE = 320
"""Edge of a square of as many pixels as a tile of a volume has voxels."""

_HALO = {2: 32, 3: 8}
"""Context on each side, in pixels: enough to compare weights by, a third of what is
exact or, in 3-D, where context is most of the cost, less."""

_EVALUATED_SHARE = 0.02
"""Pixels of an evaluation, in those of all steps of the run."""

_PIXELS_A_MINUTE = 250_000
"""Pixels of an evaluation for each minute of the run: about an eighth of its time on a
CPU in all evaluations."""

# Pixels of an evaluation at least, by dimensions, and at most.
_FEWEST_PIXELS, _MOST_PIXELS = {2: 300_000, 3: 800_000}, 8_000_000

_MOST_CHECKED = 1_000_000
"""Labelled pixels of a pair above which its mistakes are not looked up: that would take
many seconds before the first step."""

_MOST_VOXELS = 2_000_000
"""Voxels of a volume that are checked for mistakes: some seconds on a CPU."""

_LEAST_PROBABILITY = 1e-7
"""Of a class, so that its logarithm is a number."""

# By the number of spatial dimensions.
_FORMAT = {2: torch.channels_last, 3: torch.channels_last_3d}


def affordable_pixels(config: FineTuneConfig, ndim: int = 2) -> int:
    """Return how many pixels or voxels an evaluation may take: more in a longer run.

    The more there are, the less the choice of the best weights depends on chance. A
    pixel in a step costs about three of an evaluation, so twenty evaluations take an
    eighth of a run.
    """
    steps = config.steps * config.batch * config.crop**2 * _EVALUATED_SHARE
    time = config.minutes * _PIXELS_A_MINUTE
    wanted = min(limit for limit in (steps, time) if limit)
    return int(min(max(wanted, _FEWEST_PIXELS[ndim]), _MOST_PIXELS))


@dataclass(frozen=True, slots=True)
class _View:
    pair: TrainingPair
    tile: Tile


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutScores:
    """The scores of a network on the held-out pixels.

    Attributes
    ----------
    loss
        On what was held out: the mean cross entropy of its pixels, and ``map_loss``.
    iou
        Mean IoU over the classes; NaN without classes.
    map_loss
        Mean binary cross entropy of the object maps on pixels of corrected objects,
        added over the maps; 0 where none was corrected.
    changed
        Share of the unlabelled pixels, away from labels, whose class is another one
        than at the first evaluation; 0 where nothing is watched.
    missed
        Classes that are there and were predicted nowhere.
    share
        Of the network beside the pixel classifier in the mask that is scored; 1 where
        there is no classifier.
    overtakes
        Whether this mask is better than the one that there was before the training, by
        the held-out strokes; None where no classifier takes part.
    mask
        The score of this mask to be shown; None where no classifier takes part.
    """

    loss: float
    iou: float
    map_loss: float = 0.0
    changed: float = 0.0
    missed: tuple[int, ...] = ()
    share: float = 1.0
    overtakes: bool | None = None
    mask: MaskScore | None = None

    @property
    def score(self) -> float:
        """What weights are compared by: the higher, the better.

        The maps of corrected objects decide where this is equal, as part of the loss:
        maps that are learned at the cost of the mask help no object.
        """
        return self.iou

    @property
    def expected_iou(self) -> float | None:
        """As of a ``Validation``."""
        if self.mask is None:
            return None
        return self.mask.mean if self.mask.is_known else float("nan")


class HeldOut:
    """The held-out pixels of a run, in tiles.

    Parameters
    ----------
    pairs
        Targets are ``IGNORE`` but for the held-out pixels.
    spec
        Of the model to be evaluated.
    pixels
        About the most that an evaluation may take.
    seed
        Chooses the tiles when there are more.
    watched
        All that is labelled, the same images: what changes away from it is counted.
    classifier
        Was fitted to the strokes that are not held out. With it the mask is a mean of
        its probabilities and those of the network.
    check
        As of `Candidates`.
    trained
        The network had learned these classes before the training.
    """

    def __init__(
        self,
        pairs: Sequence[TrainingPair],
        spec: ModelSpec,
        *,
        pixels: int,
        seed: int,
        watched: Sequence[TrainingPair] = (),
        classifier: StrokeClassifier | None = None,
        check: StrokeCheck | None = None,
        trained: bool = False,
    ) -> None:
        self._classes = len(spec.classes)
        views = [view for pair in pairs for view in _views(pair, spec)]
        self._views = _affordable(views, pixels, np.random.default_rng(seed))
        near = near_labels(spec)
        far = {id(pair.image): far_from_labels(pair.target, near) for pair in watched}
        none = np.zeros((1,) * spec.ndim, dtype=bool)
        self._rest = [
            far.get(id(view.pair.image), none)[view.tile.inner_slices]
            for view in self._views
        ]
        self._first: list[npt.NDArray[np.uint8]] = []
        self._candidates: Candidates | None = None
        if classifier is not None and classifier.classifier is not None and views:
            regions = [(view.pair, view.tile.inner_slices) for view in self._views]
            self._candidates = Candidates(
                regions, classifier, check=check, trained=trained
            )

    def evaluate(
        self, network: nn.Module, device: str, *, step: int = 0
    ) -> HeldOutScores:
        """Evaluate a network in evaluation mode, after a step of its training."""
        maps = _MapLoss()
        probabilities = [
            self._probabilities(network, v, device, maps) for v in self._views
        ]
        choice: ChosenMask | None = None
        if self._candidates is not None:
            choice = self._candidates.choose(probabilities, step=step)
            probabilities = choice.probabilities
        confusion = Confusion(self._classes)
        total, changed = 0.0, 0
        found = []
        for view, known in zip(self._views, probabilities, strict=True):
            target = view.pair.target[view.tile.inner_slices]
            labelled = target < HELD_OUT
            right = known[:, labelled][target[labelled], np.arange(labelled.sum())]
            total -= float(np.log(np.maximum(right, _LEAST_PROBABILITY)).sum())
            found.append(known.argmax(axis=0).astype(np.uint8))
            confusion.add(target, found[-1])
        self._first = self._first or found
        for first, labels, rest in zip(self._first, found, self._rest, strict=True):
            if rest.any():
                changed += int(np.count_nonzero((first != labels) & rest))
        return HeldOutScores(
            loss=total / max(1, confusion.pixels) + maps.mean,
            iou=confusion.mean_iou,
            map_loss=maps.mean,
            changed=changed / max(1, sum(int(rest.sum()) for rest in self._rest)),
            missed=confusion.missed,
            share=choice.share if choice else 1.0,
            overtakes=choice.overtakes if choice else None,
            mask=choice.score if choice else None,
        )

    def _probabilities(
        self, network: nn.Module, view: _View, device: str, maps: _MapLoss
    ) -> Floats:
        with torch.inference_mode():
            logits = _predict(network, view, device)
            maps.add(logits[:, self._classes :], view)
            # A diverged network has no probabilities, and must not be chosen.
            probable = logits[0, : self._classes].softmax(dim=0)
            return torch.nan_to_num(probable).numpy()


class _MapLoss:
    """The loss of the object maps on the labelled pixels of corrected objects."""

    def __init__(self) -> None:
        self._total, self._pixels = 0.0, 0

    def add(self, logits: Tensor, view: _View) -> None:
        """Take in a view: ``(1, maps, *inner)`` logits."""
        pair, inner = view.pair, view.tile.inner_slices
        if pair.object_maps is None or not pair.corrects_objects:
            return
        maps = torch.from_numpy(pair.object_maps[:, *inner].astype(np.float32))[None]
        labelled = torch.from_numpy(pair.target[inner] < HELD_OUT)[None]
        count = int((labelled & ~torch.isnan(maps[:, 0])).sum())
        loss = float(masked_map_entropy(logits, maps, labelled))
        self._total += count * loss
        self._pixels += count

    @property
    def mean(self) -> float:
        """Mean over the pixels; 0 where none is known."""
        return self._total / max(1, self._pixels)


def find_mistakes(
    pairs: Sequence[TrainingPair], network: nn.Module, spec: ModelSpec, device: str
) -> list[npt.NDArray[np.bool_]]:
    """Find the labelled pixels that a network in evaluation mode predicts wrongly.

    Parameters
    ----------
    pairs
        Those with more than a million labelled pixels are left out; of a volume only
        some tiles are checked when there are many.
    network, spec, device
        The network, what it is, and where it is.

    Returns
    -------
    list of ndarray
        bool in the shape of the target for each pair.
    """
    found = []
    for pair in pairs:
        wrong = np.zeros(pair.target.shape, dtype=bool)
        found.append(wrong)
        if class_counts(pair.target).sum() > _MOST_CHECKED:
            continue
        views: Sequence[_View] = _views(pair, spec)
        if spec.ndim == 3:
            # With a stroke in each of many tiles this would take minutes.
            views = _affordable(views, _MOST_VOXELS, np.random.default_rng(0))
        for view in views:
            inner = view.tile.inner_slices
            with torch.inference_mode():
                logits = _predict(network, view, device)[0, : len(spec.classes)]
                labels = logits.argmax(dim=0).numpy()
            target = pair.target[inner]
            wrong[inner] = (labels != target) & (target < HELD_OUT)
    return found


def _views(pair: TrainingPair, spec: ModelSpec) -> list[_View]:
    """List the tiles of a pair that hold labelled pixels."""
    footprint = spec.footprint
    # What a network without padding leaves out is its halo, no more and no less.
    padded = ARCHITECTURES[spec.architecture].padded
    most = _HALO[spec.ndim] if padded else max(footprint.halo)
    halo = tuple(min(h, most) for h in footprint.halo)
    shape = pair.target.shape
    tile: int | tuple[int, ...] = _TILE
    if spec.ndim == 3:
        tile = crop_shape(spec, [shape], _VOLUME_TILE).learned
    plan = TilePlan.for_shape(shape, tile=tile, footprint=replace(footprint, halo=halo))
    return [
        _View(pair, tile)
        for tile in plan
        if (pair.target[tile.inner_slices] < HELD_OUT).any()
    ]


def _predict(network: nn.Module, view: _View, device: str) -> Tensor:
    """Return the logits of a view's inner region, ``(1, out_channels, *inner)``."""
    image = view.pair.image
    block = read_reflected(lambda at: image[:, *at], view.tile.outer, image.shape[1:])
    batch = torch.from_numpy(np.ascontiguousarray(block)[None]).to(device)
    batch = batch.contiguous(memory_format=_FORMAT[batch.ndim - 2])
    logits: Tensor = network(batch).float().cpu()
    batch_of_all = (slice(None),) * 2
    return logits[batch_of_all + view.tile.local_slices(logits.shape[2:])]


def _affordable(
    views: Sequence[_View], most: int, generator: np.random.Generator
) -> tuple[_View, ...]:
    """Choose views at random up to the pixel limit, those with a new class first."""
    shuffled = [views[i] for i in generator.permutation(len(views))]
    covered = np.zeros(HELD_OUT, dtype=bool)
    first: list[_View] = []
    rest: list[_View] = []
    for view in shuffled:
        present = class_counts(view.pair.target[view.tile.inner_slices]) > 0
        (first if np.any(present & ~covered) else rest).append(view)
        covered |= present
    chosen: list[_View] = []
    pixels = 0
    for view in (*first, *rest):
        pixels += prod(view.tile.outer_shape)
        if chosen and pixels > most:
            break
        chosen.append(view)
    return tuple(chosen)
