"""``PixelClassifier``: learns a few thousand touched pixels in a fraction of a second.

The fit is scikit-learn's. Its prediction is not: that checks, copies and starts threads
for each tree, which takes longer than the trees themselves.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from unet_engine.errors import DataError

if TYPE_CHECKING:
    Floats = npt.NDArray[np.float32]
    Halves = npt.NDArray[np.float16]

_TREES = 25
"""Of each kind: those of a random forest look for the best threshold, extremely
randomised ones (Geurts et al. 2006) draw it, and the two err in different places."""
_DEPTH = 10
_BAG = 0.05
"""Share of the touched pixels that a tree learns from. Neighbours in a stroke tell the
same, so small bags make trees differ; more of them only memorise the strokes."""
_PENALTY = 1e-3
"""Inverse strength of the regression's regularisation: strokes are few and the maps of
a network many."""
_SQUASHED = 2.0
"""Standard deviations beyond which a feature of the regression hardly grows: what is
far from all strokes must not be judged by one extreme feature."""
_MOST_PIXELS = 30_000
_PART = 8192
"""Pixels that are judged at a time: their features stay in the processor's cache."""


class PixelClassifier:
    """Trees on the fine features and a regression on all, averaged.

    The trees follow brightness and texture where the strokes show them; the strongly
    regularised regression carries what the network knows to where nobody painted.

    Parameters
    ----------
    fine
        How many of the first features the trees see.
    seed
        Same seed, same classifier.
    """

    def __init__(self, fine: int, seed: int = 0) -> None:
        self._fine = fine
        self._seed = seed
        self.classes: npt.NDArray[np.intp] = np.empty(0, dtype=np.intp)

    def fit(self, features: Floats, labels: npt.NDArray[np.uint8]) -> None:
        """Learn from pixels: ``(n, features)`` and ``(n,)`` class ids.

        Raises
        ------
        DataError
            When they are all of one class.
        """
        if len(labels) > _MOST_PIXELS:
            random = np.random.default_rng(self._seed)
            chosen = random.choice(len(labels), _MOST_PIXELS, replace=False)
            features, labels = features[chosen], labels[chosen]
        self.classes = np.unique(labels).astype(np.intp)
        if len(self.classes) < 2:
            raise DataError(
                "all strokes are of one class; paint at least one stroke of another"
            )
        self._grow_trees(np.ascontiguousarray(features[:, : self._fine]), labels)
        # So small a problem is solved in less time by one thread than others need to
        # wake up, and beside other work they wait for each other.
        with threadpool_limits(1, user_api="blas"):
            self._draw_line(features, labels)

    def probabilities(self, features: Floats | Halves) -> Floats:
        """Return ``(n, known classes)`` float32, in the order of ``classes``."""
        count = -(-len(features) // _PART)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            parts = pool.map(self._judge, np.array_split(features, max(1, count)))
            return np.concatenate(list(parts))

    def _grow_trees(self, fine: Floats, labels: npt.NDArray[np.uint8]) -> None:
        bag = min(1.0, max(_BAG, 50 / len(labels)))
        self._trees: list[tuple[Any, npt.NDArray[np.float64]]] = []
        for kind in RandomForestClassifier, ExtraTreesClassifier:
            forest = kind(
                _TREES,
                max_depth=_DEPTH,
                max_samples=bag,
                bootstrap=True,
                random_state=self._seed,
            ).fit(fine, labels)
            for grown in forest.estimators_:
                share = grown.tree_.value[:, 0]
                share = share / share.sum(axis=1, keepdims=True) / (2 * _TREES)
                self._trees.append((grown.tree_, share))

    def _draw_line(self, features: Floats, labels: npt.NDArray[np.uint8]) -> None:
        self._middle = features.mean(axis=0)
        self._scale = _SQUASHED * features.std(axis=0) + 1e-6
        line = LogisticRegression(C=_PENALTY * _SQUASHED**2, max_iter=200)
        line.fit(self._squash(features), labels)
        slopes, start = line.coef_, line.intercept_
        if len(self.classes) == 2:
            # The one line that tells two classes apart, as a line for each.
            slopes, start = (
                np.concatenate([0 * part, part]) for part in (slopes, start)
            )
        self._slopes = np.ascontiguousarray(slopes.T, dtype=np.float32)
        self._start = start.astype(np.float32)

    def _squash(self, features: Floats) -> Floats:
        squashed: Floats = np.tanh((features - self._middle) / self._scale)
        return squashed

    def _judge(self, features: Floats | Halves) -> Floats:
        every = features.astype(np.float32)
        fine = np.ascontiguousarray(every[:, : self._fine])
        trees = np.zeros((len(every), len(self.classes)))
        for tree, share in self._trees:
            trees += share.take(tree.apply(fine), axis=0)
        line = self._squash(every) @ self._slopes + self._start
        line = np.exp(line - line.max(axis=1, keepdims=True))
        line /= line.sum(axis=1, keepdims=True)
        mean: Floats = ((trees + line) / 2).astype(np.float32)
        return mean


def judge(
    classifier: PixelClassifier, features: Halves, classes: int, opinions: int
) -> Floats:
    """Return the probabilities of all classes, those without a stroke 0.

    Parameters
    ----------
    classifier
        Was fitted to all features but the opinions, which come from the strokes and
        would win on them.
    features
        ``(n, features)``, the opinions last.
    classes
        How many classes there are.
    opinions
        How many features are probabilities of a tuned model. They count as much as the
        classifier, if that model knows no more classes than there are.

    Returns
    -------
    ndarray
        ``(n, classes)`` float32.
    """
    own = features.shape[1] - opinions
    known = np.zeros((len(features), classes), dtype=np.float32)
    known[:, classifier.classes] = classifier.probabilities(features[:, :own])
    if 0 < opinions <= classes:
        known[:, :opinions] += features[:, own:]
        known /= 2
    return known
