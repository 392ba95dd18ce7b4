"""Rand and information scores: a segmentation as a partition of the pixels.

Every function takes the table of `count_overlaps` and is restricted to the foreground
of the truth: what lies on its background is left out, and a foreground pixel that is
background in the prediction is an object of its own (Arganda-Carreras et al. 2015,
"Crowdsourcing the creation of image segmentation algorithms for connectomics",
Frontiers in Neuroanatomy 9:142).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.special import entr
from skimage.metrics import adapted_rand_error


def rand_score(table: sparse.csr_array) -> float:
    """Measure V_Rand: how often two pixels are rightly together or apart.

    ``2 * sum p_ij**2 / (sum s_i**2 + sum t_j**2)``: the harmonic mean of Rand split
    and Rand merge scores (the Rand F-score of Arganda-Carreras et al. 2015). ``p_ij``
    is the fraction of the pixels in predicted object ``i`` and true object ``j``, ``s``
    and ``t`` are its sums.

    Returns
    -------
    float
        1 is perfect, 0 worst; 1 when the truth has no foreground.
    """
    restricted = _restrict(table)
    parts = _square_sum(restricted.sum(axis=0)) + _square_sum(restricted.sum(axis=1))
    return 2 * _square_sum(restricted.data) / parts if parts else 1.0


def information_score(table: sparse.csr_array) -> float:
    """Measure V_Info: the mutual information of prediction and truth, normalised.

    ``2 * I(S; T) / (H(S) + H(T))``: the harmonic mean of the information theoretic
    split and merge scores (the information theoretic F-score of Arganda-Carreras et al.
    2015).

    Returns
    -------
    float
        1 is perfect, 0 worst; 1 when each has one object, or the truth has no
        foreground.
    """
    restricted = _restrict(table)
    if not restricted.nnz:
        return 1.0
    predicted = _entropy(restricted.sum(axis=0))
    truth = _entropy(restricted.sum(axis=1))
    if predicted + truth == 0:
        return 1.0
    shared = predicted + truth - _entropy(restricted.data)
    return min(max(2 * shared / (predicted + truth), 0.0), 1.0)


def rand_error(table: sparse.csr_array) -> float:
    """Measure the Rand error of the ISBI 2012 challenge: 1 - F-score of pixel pairs.

    A pair of pixels is positive when both are in one object; precision and recall are
    over all pairs of different pixels. It differs from 1 - V_Rand in leaving out the
    pair of a pixel with itself, and in the challenge also in that borders were not
    thinned.

    Returns
    -------
    float
        0 is perfect, 1 worst; 0 when neither has two pixels in one object.
    """
    restricted = _restrict(table)
    pixels = restricted.sum()
    pairs = _square_sum(restricted.sum(axis=0)) + _square_sum(restricted.sum(axis=1))
    if pairs == 2 * pixels:
        return 0.0
    # Precision or recall alone may be 0/0, which their combination never is here.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(adapted_rand_error(table=restricted)[0])


def _restrict(table: sparse.csr_array) -> sparse.csr_array:
    """Return true objects by predicted objects, lost pixels as objects of one pixel."""
    foreground = table[1:]
    lost = foreground[:, [0]].toarray().ravel()
    rows = np.repeat(np.arange(len(lost)), lost)
    single = sparse.csr_array(
        (np.ones(rows.size), (rows, np.arange(rows.size))), (len(lost), rows.size)
    )
    return sparse.csr_array(
        sparse.hstack([foreground[:, 1:].astype(float), single], format="csr")
    )


def _square_sum(values: np.ndarray) -> float:
    return float(np.square(values).sum())


def _entropy(counts: np.ndarray) -> float:
    return float(entr(counts / counts.sum()).sum())
