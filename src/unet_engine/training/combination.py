"""Which of the candidates draws the mask: classifier, network, both, or none of them.

What a training makes is compared with what draws the mask so far on strokes that none
of them learned from. These are few, and lie where the mask was wrong; a difference
between two candidates is therefore an estimate with a prior, and one that is not better
than that leaves the mask as it is. Pure: arrays of probabilities in, numbers out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.interactive.stroke_numbers import mean_of_strokes

if TYPE_CHECKING:
    Floats = npt.NDArray[np.float32]
    Labels = npt.NDArray[np.uint8]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the network in the mean that are compared; more of them than a quarter
apart cannot be distinguished on some strokes."""

_PRIOR_GROUPS = 6.0
"""Held-out strokes that the prior counts as much as."""

_PRIOR_GAIN = {0.0: 0.0, 0.25: 0.03, 0.5: 0.05}
"""By how much of a stroke the mean with that share of the network is right on more than
the classifier alone, before any evidence: see "The share of the network" in
benchmarks/RESULTS.md. Larger shares are not compared, because strokes that preferred
one were wrong more often than right: see "What is on screen after the click" there."""

_PRIOR_GAIN_TRAINED = {0.0: 0.0, 0.25: 0.04, 0.5: 0.06, 0.75: 0.07, 1.0: 0.07}
"""The same for a network that had learned these classes before: a classifier of some
strokes knows less than it does."""

_FULL_AGREEMENT = 0.77
"""Mean IoU of the masks of network and classifier from which on strokes and prior are
taken as they are."""

_DOUBT = 5.0
"""What a gain is less by for each unit of agreement that is missing, and share of the
network: one that disagrees changes most where no stroke is, and on strokes, which lie
on mistakes of a classifier that did not learn from these, it is easily better."""

_FEW_GROUPS = 4
"""Held-out strokes below which they do not show what a new network does on another
image."""

_SHARE_OF_FEW = 0.25
"""Largest share of a network that is new to the classes where so few are held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How classifier and network are combined.

    Attributes
    ----------
    share
        Of the network in the mean; 0 leaves the classifier alone.
    gain
        Expected share of a stroke that it is right on more than the classifier alone, 0
        for ``share`` 0.
    """

    share: float
    gain: float


def choose_share(
    classifier: Floats,
    network: Floats,
    labels: Labels,
    groups: npt.NDArray[np.intp],
    *,
    agreement: float,
    trained: bool = False,
) -> Choice:
    """Choose the share of the network.

    Parameters
    ----------
    classifier, network
        ``(n, classes)`` probabilities of held-out pixels; neither learned from them.
    labels
        ``(n,)`` their class ids.
    groups
        ``(n,)`` number of the stroke that each belongs to, from 0: pixels of a stroke
        are alike, so a stroke counts once.
    agreement
        Mean IoU over the classes between the masks of both.
    trained
        The network had learned these classes before.
    """
    before = _wrong(classifier, labels, groups)
    count = len(before)
    gains = _PRIOR_GAIN_TRAINED if trained else _PRIOR_GAIN
    doubt = 0.0 if trained else _DOUBT * max(0.0, _FULL_AGREEMENT - agreement)
    limit = 1.0 if trained or count >= _FEW_GROUPS else _SHARE_OF_FEW
    best = Choice(share=0.0, gain=0.0)
    for share in SHARES[1:]:
        if share not in gains or share > limit:
            continue
        mixed = (1 - share) * classifier + share * network
        found = float(np.sum(before - _wrong(mixed, labels, groups)))
        gain = (found + _PRIOR_GROUPS * gains[share]) / (count + _PRIOR_GROUPS)
        gain -= share * doubt
        if gain > best.gain:
            best = Choice(share=share, gain=gain)
    return best


def _wrong(
    probabilities: Floats, labels: Labels, groups: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Return the share of the pixels of each stroke that the mask is wrong on.

    Not a squared error: strokes lie where the classifier is wrong, and a network that
    is sure of nothing has a smaller one there without a single pixel more that is
    right.
    """
    wrong = probabilities.argmax(axis=1) != labels
    return mean_of_strokes(wrong, groups)[1]
