"""The scores of the ISBI 2012 challenge: cells behind a map of membranes.

The truth is ``(..., Y, X)`` with 0 inside cells, `IGNORE` where nobody labelled and
any other value for membrane. Cells are the 4-connected regions that membrane leaves in
a plane. The challenge defines its scores, those of 2012 as "dismissed metrics", at
http://brainiac2.mit.edu/isbi_challenge/evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from unet_engine.errors import DataError
from unet_engine.labels import IGNORE
from unet_engine.metrics.contingency import count_overlaps
from unet_engine.metrics.rand import information_score, rand_error, rand_score
from unet_engine.metrics.warping import warp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Mask = npt.NDArray[np.bool_]
Truth = npt.NDArray[np.integer[Any]]

THRESHOLDS = tuple(step / 10 for step in range(1, 11))
"""Of the membrane probability; the challenge takes 0.0 to 0.9 of its complement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MembraneScores:
    """What the challenge measured: errors, best at 0, and two scores, best at 1.

    Attributes
    ----------
    pixel_error
        Fraction of wrong pixels.
    pixel_f_error
        1 - F-score of the pixels inside cells: the "pixel error" of the leader board.
    rand_error
        1 - F-score of pairs of pixels, borders as predicted; the "Rand error" of 2012.
    warping_error
        Fraction of pixels that warping leaves wrong (Jain et al. 2010).
    split_merge_error
        Those among them that split or merge cells: the "warping error" of 2012.
    v_rand, v_info
        Rand and information scores after thinning (Arganda-Carreras et al. 2015).
    """

    pixel_error: float
    pixel_f_error: float
    rand_error: float
    warping_error: float
    split_merge_error: float
    v_rand: float
    v_info: float


def measure_membranes(truth: Truth, membrane: Mask) -> MembraneScores:
    """Measure a predicted membrane mask.

    Pixels, pairs of pixels and warped pixels are pooled over the planes of a stack;
    ``v_info`` is the mean over the planes that have cells, as in the challenge.

    Parameters
    ----------
    truth
        ``(..., Y, X)`` integer: 0 inside cells, `IGNORE` unknown, else membrane.
    membrane
        The same shape, True on predicted membrane.

    Raises
    ------
    DataError
        When the shapes differ, there are fewer than two axes, or no pixel is known.
    """
    known = _check(truth, membrane)
    planes = list(zip(*map(_split_planes, (truth, membrane)), strict=True))
    as_predicted = [_tabulate(t, ndimage.label(~m)[0]) for t, m in planes]
    thinned = [_tabulate(t, thin(m)) for t, m in planes]
    # Where nobody labelled, the prediction is taken for the truth, and costs nothing.
    warpings = [warp(np.where(t == IGNORE, ~m, t == 0), ~m) for t, m in planes]
    pixels = int(known.sum())
    wrong = int(((truth != 0) != membrane)[known].sum())
    inside = int((known & (truth == 0) & ~membrane).sum())
    return MembraneScores(
        pixel_error=wrong / pixels,
        pixel_f_error=wrong / (2 * inside + wrong) if inside + wrong else 0.0,
        rand_error=rand_error(_pool(as_predicted)),
        warping_error=sum(w.errors for w in warpings) / pixels,
        split_merge_error=sum(w.merges + w.splits for w in warpings) / pixels,
        v_rand=rand_score(_pool(thinned)),
        v_info=_mean(information_score(t) for t in thinned if t.shape[0] > 1),
    )


def measure_membrane_probability(
    truth: Truth,
    probability: npt.NDArray[np.floating[Any]],
    thresholds: Sequence[float] = THRESHOLDS,
) -> MembraneScores:
    """Measure a membrane probability at the threshold that is best for each score.

    The challenge ranks by these figures; as the threshold is chosen on the pixels that
    are scored, they are optimistic.

    Parameters
    ----------
    truth
        ``(..., Y, X)`` integer: 0 inside cells, `IGNORE` unknown, else membrane.
    probability
        The same shape, floating; membrane is where it is at least the threshold.
    thresholds
        To choose from.
    """
    scores = [measure_membranes(truth, probability >= t) for t in thresholds]
    best = {
        field.name: (max if field.name.startswith("v_") else min)(
            getattr(score, field.name) for score in scores
        )
        for field in fields(MembraneScores)
    }
    return MembraneScores(**best)


def thin(membrane: Mask) -> npt.NDArray[np.int32]:
    """Label the cells of a plane after thinning membrane to lines of one pixel.

    A watershed floods the membrane from the 4-connected cells on either side
    ("border thinning" in Arganda-Carreras et al. 2015). Membrane everywhere separates
    nothing: it leaves one cell.

    Parameters
    ----------
    membrane
        ``(Y, X)`` bool.

    Returns
    -------
    ndarray
        ``(Y, X)`` int32: cells from 1, lines 0.
    """
    from skimage.segmentation import watershed

    cells, count = ndimage.label(~membrane)
    if not count:
        return np.ones(membrane.shape, np.int32)
    lines: npt.NDArray[np.int32] = watershed(
        membrane.astype(np.uint8), cells, connectivity=1, watershed_line=True
    )
    return lines


def _check(truth: Truth, membrane: Mask) -> Mask:
    """Return where the truth is known; refuse what cannot be compared."""
    if truth.shape != membrane.shape or truth.ndim < 2:
        raise DataError(
            f"truth {truth.shape} and prediction {membrane.shape} must have one shape "
            "(..., Y, X)"
        )
    known: Mask = truth != IGNORE
    if not known.any():
        raise DataError("no pixel of the truth is labelled; label some first")
    return known


def _split_planes(stack: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return stack.reshape(-1, *stack.shape[-2:])


def _tabulate(truth: Truth, predicted: npt.NDArray[np.int32]) -> sparse.csr_array:
    return count_overlaps(ndimage.label(truth == 0)[0], predicted)


def _pool(tables: Sequence[sparse.csr_array]) -> sparse.csr_array:
    """Put the objects of several planes into one table; each plane keeps its own."""
    pooled = sparse.block_diag([t[1:, 1:] for t in tables], format="csr")
    left = sparse.vstack([t[1:, [0]] for t in tables])
    top = sparse.hstack([t[[0], 1:] for t in tables])
    corner = sparse.csr_array([[sum(int(t[0, 0]) for t in tables)]])
    return sparse.csr_array(sparse.block_array([[corner, top], [left, pooled]]))


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else 1.0
