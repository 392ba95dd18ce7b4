"""``Candidates``: what may draw the mask, compared on strokes held out for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.interactive.cross_validation import StrokeCheck, balanced
from unet_engine.interactive.stroke_numbers import mean_of_strokes, number_strokes
from unet_engine.labels import HELD_OUT
from unet_engine.metrics import Confusion
from unet_engine.training.combination import choose_share
from unet_engine.training.data.soft_targets import parts_of
from unet_engine.training.mask_score import MaskScore, score_mask, sharpened

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.training.data.soft_targets import StrokeClassifier

    Floats = npt.NDArray[np.float32]

_MOST_DISPUTED = 0.05
"""Share of the pixels that a better model may change without the classifier's having
the same class there: about as many as both are wrong on."""

FEWEST_STEPS = 60
"""Steps before which a network that begins with a new last layer is no candidate. In
the courses of "The share of the network" in benchmarks/RESULTS.md one of 7 to 30 steps
took the mask from 0.68 to 0.58, where held-out strokes preferred it; after 80 the mean
with it was above the classifier alone."""

_LEAST_PROBABILITY = 1e-7
"""Sum of probabilities below which a pixel was not predicted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChosenMask:
    """The mask of an evaluation.

    Attributes
    ----------
    probabilities
        ``(classes, *spatial)`` float32 of each region.
    share
        Of the network in it.
    overtakes
        Whether it is better than what there was before the training; None where the
        IoU on the held-out strokes decides.
    score
        To be shown.
    """

    probabilities: list[Floats]
    share: float
    overtakes: bool | None
    score: MaskScore


class Candidates:
    """Compares classifier, network and their means on held-out strokes.

    Parameters
    ----------
    regions
        Pairs whose labels were held out, and the part of each that is predicted.
    classifier
        Did not learn from these labels.
    check
        How the classifier does on strokes in a cross-validation, of which there are
        more than held-out ones; None: each mask is checked on the held-out ones.
    trained
        The network had learned these classes before the training.
    """

    def __init__(
        self,
        regions: Sequence[tuple[TrainingPair, tuple[slice, ...]]],
        classifier: StrokeClassifier,
        *,
        check: StrokeCheck | None,
        trained: bool,
    ) -> None:
        self._trained = trained
        self._check = check
        self._classifier = [_map(*region, classifier) for region in regions]
        # For the score the classifier is as sure as it is right; see ``mask_score``.
        self._sharpened = [sharpened(one) for one in self._classifier]
        targets = [pair.target[inner] for pair, inner in regions]
        self._held = [target < HELD_OUT for target in targets]
        self._labels = np.concatenate(
            [t[h] for t, h in zip(targets, self._held, strict=True)]
        )
        self._groups = number_strokes(targets, HELD_OUT)
        self._images = len({id(pair.image) for pair, _ in regions})
        self._before: list[Floats] | None = None

    def choose(self, network: Sequence[Floats], *, step: int) -> ChosenMask:
        """Choose the share of the network; at first what there is before a training.

        Parameters
        ----------
        network
            Its probabilities, ``(classes, *spatial)`` float32 of each region.
        step
            How many it was trained for.
        """
        if self._before is None and self._trained:
            # The model before is a network, which predicts alone.
            self._before = list(network)
            return self._chosen(network, 1.0, overtakes=False)
        if self._before is None or (step < FEWEST_STEPS and not self._trained):
            self._before = self._before or self._classifier
            return self._chosen(network, 0.0, overtakes=False)
        choice = choose_share(
            self._at_strokes(self._classifier),
            self._at_strokes(network),
            self._labels,
            self._groups,
            agreement=self._agreement(network),
            trained=self._trained,
        )
        overtakes: bool | None
        if self._trained:
            # By IoU on the held-out strokes, which corrections are among.
            maps = _means(self._classifier, network, choice.share)
            overtakes = None if self._keeps_the_rest(maps) else False
        else:
            overtakes = choice.gain > 0
        return self._chosen(network, choice.share, overtakes=overtakes)

    def _keeps_the_rest(self, maps: Sequence[Floats]) -> bool:
        """Return whether the changes away from strokes are plausible.

        Strokes lie where the model before was wrong. Whoever changes everything is
        right there, too; but then the model before and the classifier disagree with
        most of the changes.
        """
        assert self._before is not None
        disputed = []
        for found, before, ours in zip(
            maps, self._before, self._classifier, strict=True
        ):
            new, old, other = (one.argmax(axis=0) for one in (found, before, ours))
            disputed.append(((new != old) & (new != other)).ravel())
        return bool(np.concatenate(disputed).mean() <= _MOST_DISPUTED)

    def _chosen(
        self, network: Sequence[Floats], share: float, *, overtakes: bool | None
    ) -> ChosenMask:
        maps = _means(self._classifier, network, share)
        sure = _means(self._sharpened, network, share)
        return ChosenMask(
            probabilities=maps,
            share=share,
            overtakes=overtakes,
            score=score_mask(
                [one.reshape(len(one), -1) for one in maps],
                [one.reshape(len(one), -1) for one in sure],
                check=self._check or self._held_out_check(maps),
            ),
        )

    def _held_out_check(self, maps: Sequence[Floats]) -> StrokeCheck:
        """Return how a mask does on the held-out strokes."""
        right = self._at_strokes(maps).argmax(axis=1) == self._labels
        firsts, rights = mean_of_strokes(right, self._groups)
        labels = self._labels[firsts].tolist()
        return StrokeCheck(
            strokes=len(labels),
            images=self._images,
            classes=tuple(sorted(set(labels))),
            right=balanced(labels, rights.tolist()),
        )

    def _at_strokes(self, maps: Sequence[Floats]) -> Floats:
        return np.concatenate(
            [one[:, held].T for one, held in zip(maps, self._held, strict=True)]
        )

    def _agreement(self, network: Sequence[Floats]) -> float:
        """Return the mean IoU over the classes between both masks."""
        confusion = Confusion(len(self._classifier[0]))
        for ours, theirs in zip(self._classifier, network, strict=True):
            masks = (one.argmax(axis=0).astype(np.uint8) for one in (ours, theirs))
            confusion.add(*masks)
        return confusion.mean_iou


def _means(
    classifier: Sequence[Floats], network: Sequence[Floats], share: float
) -> list[Floats]:
    return [
        ((1 - share) * ours + share * theirs).astype(np.float32)
        for ours, theirs in zip(classifier, network, strict=True)
    ]


def _map(
    pair: TrainingPair, inner: tuple[slice, ...], classifier: StrokeClassifier
) -> Floats:
    """Return the probabilities of the classifier within a region."""
    parts = [part for part in parts_of(pair) if _meets(part, inner)]
    found = classifier.predict(pair, parts)[:, *inner].astype(np.float32)
    # Where the time was over before it was predicted, no class is more probable.
    unknown = found.sum(axis=0) < _LEAST_PROBABILITY
    found[:, unknown] = 1 / len(found)
    return found


def _meets(part: Sequence[int | slice], inner: Sequence[slice]) -> bool:
    return all(
        where.start <= one < where.stop
        if isinstance(one, int)
        else one.start < where.stop and where.start < one.stop
        for one, where in zip(part, inner, strict=True)
    )
