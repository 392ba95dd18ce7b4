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

if TYPE_CHECKING:
    from collections.abc import Sequence

    Floats = npt.NDArray[np.float32]
    Labels = npt.NDArray[np.uint8]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the network in the mean that are compared; more of them than a quarter
apart cannot be distinguished on some strokes."""

_PRIOR_GROUPS = 6.0
"""Held-out strokes that the prior counts as much as."""

_PRIOR_GAIN = {0.0: 0.0, 0.25: 0.012, 0.5: 0.016, 0.75: 0.008, 1.0: -0.02}
"""By how much the mean with that share of the network has a smaller squared error than
the classifier alone, before any evidence: see "The share of the network" in
benchmarks/RESULTS.md."""

_PRIOR_GAIN_TRAINED = {0.0: 0.0, 0.25: 0.02, 0.5: 0.03, 0.75: 0.03, 1.0: 0.03}
"""The same for a network that had learned these classes before: a classifier of some
strokes knows less than it does."""

_LEAST_AGREEMENT = 0.6
"""Mean IoU between the masks of network and classifier from which on the prior holds: a
network that has hardly begun to learn agrees with nothing. Two random masks of halves
have a third, and on DIC cells one that took the mean of both from 0.71 to 0.59 had less
than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How classifier and network are combined.

    Attributes
    ----------
    share
        Of the network in the mean; 0 leaves the classifier alone.
    gain
        Expected decrease of the squared error against the classifier alone, 0 for
        ``share`` 0.
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
    before = _errors(classifier, labels, groups)
    count = len(before)
    best = Choice(share=0.0, gain=0.0)
    for share in SHARES[1:]:
        mixed = (1 - share) * classifier + share * network
        found = float(np.sum(before - _errors(mixed, labels, groups)))
        if trained:
            prior = _PRIOR_GAIN_TRAINED[share]
        else:
            prior = _PRIOR_GAIN[share] if agreement >= _LEAST_AGREEMENT else -1.0
        gain = (found + _PRIOR_GROUPS * prior) / (count + _PRIOR_GROUPS)
        if gain > best.gain:
            best = Choice(share=share, gain=gain)
    return best


def _errors(
    probabilities: Floats, labels: Labels, groups: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Return the mean squared error (Brier 1950) of each group of each class.

    A group of one class is a stroke; every class has the same weight, however many
    strokes it has.
    """
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    counts = np.bincount(groups)
    sums = np.bincount(groups, (1 - right) ** 2)
    found: npt.NDArray[np.float64] = sums[counts > 0] / counts[counts > 0]
    return found


def number_strokes(targets: Sequence[Labels], ignore: int) -> npt.NDArray[np.intp]:
    """Number the strokes of some targets: connected pixels of a class.

    Parameters
    ----------
    targets
        Class ids, ``ignore`` or more where nothing counts.
    ignore
        Least value that is no class.

    Returns
    -------
    ndarray
        ``(n,)`` the number of the stroke of each pixel that counts, from 0, in the
        order of the targets and of their rows.
    """
    from scipy import ndimage

    found, first = [], 0
    for target in targets:
        numbers = np.zeros(target.shape, np.intp)
        for label in np.unique(target[target < ignore]):
            parts, count = ndimage.label(target == label, np.ones((3,) * target.ndim))
            numbers[parts > 0] = parts[parts > 0] + first
            first += count
        found.append(numbers[target < ignore] - 1)
    return np.concatenate(found) if found else np.empty(0, np.intp)
