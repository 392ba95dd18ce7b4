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
    Ids = npt.NDArray[np.uint8]
    Weights = npt.NDArray[np.float64]

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
_LEAST = 1 / 3
"""Least weight of a class, in that of the class that was painted most: of what is rare
only a little can be painted."""
MOST_OTHERS = 2048
"""Pixels that nobody touched, of all images, that are learned from."""
_OTHERS = 2.0
"""Weight of all pixels that nobody touched, in that of the touched ones."""
_FEW_TREES = 5
"""Of each kind, while what they say is only learned again."""
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

    def fit(
        self,
        features: Floats,
        labels: Ids,
        others: Floats | None = None,
        said: Floats | None = None,
    ) -> None:
        """Learn from touched pixels, and then from the own answers for other ones.

        Who corrects a mask touches what is wrong in it, which is seldom what most of
        the image looks like. The answers for other pixels, as far as they are sure,
        stand for the rest (pseudo-labels: Lee 2013).

        Parameters
        ----------
        features, labels
            Of touched pixels: ``(n, features)`` float32 and ``(n,)`` class ids.
        others
            Of pixels that nobody touched, ``(m, features)``; None for none.
        said
            What a tuned model says of those, ``(m, classes)``; it counts as much as
            the own answers.

        Raises
        ------
        DataError
            When the touched pixels are all of one class.
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
        weights = self._weights(labels)
        if others is None or not len(others):
            self._learn(features, labels, weights, _TREES)
            return
        self._learn(features, labels, weights, _FEW_TREES)
        share = _OTHERS * len(labels) / len(others)
        every = np.concatenate([features, others])
        for trees in (_FEW_TREES, _TREES):
            guesses, sure = self._guess(others, said)
            joined = np.concatenate([labels, guesses])
            self._learn(every, joined, np.concatenate([weights, share * sure]), trees)

    def probabilities(self, features: Floats | Halves) -> Floats:
        """Return ``(n, known classes)`` float32, in the order of ``classes``."""
        count = -(-len(features) // _PART)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            parts = pool.map(self._judge, np.array_split(features, max(1, count)))
            return np.concatenate(list(parts))

    def _weights(self, labels: Ids) -> Weights:
        """Return the weight of touched pixels, 1 on average."""
        counts = np.bincount(labels)[self.classes]
        each = np.ones(self.classes[-1] + 1)
        each[self.classes] = np.maximum(1.0, _LEAST * counts.max() / counts)
        weights: Weights = each[labels] / each[labels].mean()
        return weights

    def _guess(
        self, others: Floats, said: Floats | None
    ) -> tuple[Ids, npt.NDArray[np.float64]]:
        """Return the likeliest classes, and by how much they are more likely.

        By nothing where trees and regression disagree: either of them alone can take
        its own mistakes further with each time.
        """
        trees, line = self._ask_trees(others), self._ask_line(others)
        known = (trees + line) / 2
        if said is not None:
            known = (known + said[:, self.classes]) / 2
        ranked = np.sort(known, axis=1)
        sure = (ranked[:, -1] - ranked[:, -2]).astype(np.float64)
        sure[trees.argmax(axis=1) != line.argmax(axis=1)] = 0.0
        return self.classes[known.argmax(axis=1)].astype(np.uint8), sure

    def _learn(
        self, features: Floats, labels: Ids, weights: Weights, trees: int
    ) -> None:
        fine = np.ascontiguousarray(features[:, : self._fine])
        self._grow_trees(fine, labels, weights, trees)
        # So small a problem is solved in less time by one thread than others need to
        # wake up, and beside other work they wait for each other.
        with threadpool_limits(1, user_api="blas"):
            self._draw_line(features, labels, weights)

    def _grow_trees(
        self, fine: Floats, labels: Ids, weights: Weights, count: int
    ) -> None:
        bag = min(1.0, max(_BAG, 50 / len(labels)))
        self._trees: list[tuple[Any, npt.NDArray[np.float64]]] = []
        for kind in RandomForestClassifier, ExtraTreesClassifier:
            forest = kind(
                count,
                max_depth=_DEPTH,
                max_samples=bag,
                bootstrap=True,
                random_state=self._seed,
            ).fit(fine, labels, weights)
            for grown in forest.estimators_:
                share = grown.tree_.value[:, 0]
                share = share / share.sum(axis=1, keepdims=True) / (2 * count)
                self._trees.append((grown.tree_, share))

    def _draw_line(self, features: Floats, labels: Ids, weights: Weights) -> None:
        self._middle = features.mean(axis=0)
        self._scale = _SQUASHED * features.std(axis=0) + 1e-6
        line = LogisticRegression(C=_PENALTY * _SQUASHED**2, max_iter=200)
        line.fit(self._squash(features), labels, weights)
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
        both = self._ask_trees(every), self._ask_line(every)
        mean: Floats = np.mean(both, axis=0, dtype=np.float32)
        return mean

    def _ask_trees(self, features: Floats) -> Floats:
        fine = np.ascontiguousarray(features[:, : self._fine])
        total = np.zeros((len(fine), len(self.classes)))
        for tree, share in self._trees:
            total += share.take(tree.apply(fine), axis=0)
        return total.astype(np.float32)

    def _ask_line(self, features: Floats) -> Floats:
        line = self._squash(features) @ self._slopes + self._start
        line = np.exp(line - line.max(axis=1, keepdims=True))
        shares: Floats = line / line.sum(axis=1, keepdims=True)
        return shares


def fitted(
    classifier: PixelClassifier,
    features: Halves,
    labels: Ids,
    others: Halves,
    opinions: int,
) -> PixelClassifier:
    """Return the classifier, fitted to touched pixels and its answers for others.

    Parameters
    ----------
    classifier
        Not fitted yet.
    features, labels
        Of touched pixels, ``(n, features)`` and ``(n,)``, the opinions last.
    others
        Features of pixels that nobody touched.
    opinions
        How many features are probabilities of a tuned model, see `judge`. They are not
        learned; of the others they count.

    Raises
    ------
    DataError
        When the touched pixels are all of one class.
    """
    own = features.shape[1] - opinions
    rest = others.astype(np.float32)
    classifier.fit(
        features[:, :own].astype(np.float32),
        labels,
        rest[:, :own],
        rest[:, own:] if opinions > int(labels.max()) else None,
    )
    return classifier


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
