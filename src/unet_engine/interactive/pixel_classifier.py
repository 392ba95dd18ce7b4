"""``PixelClassifier``: learns a few thousand touched pixels in a fraction of a second.

The fit is scikit-learn's; what came of it are arrays, which ``MemberRunner`` evaluates
here as in a model that was saved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from unet_engine.errors import DataError
from unet_engine.models.classifier_part import (
    ClassifierPart,
    FittedClassifier,
    Forest,
    Regression,
)
from unet_engine.pixel_classification.classifier_runner import (
    ClassifierRunner,
    MemberRunner,
    squashed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    Floats = npt.NDArray[np.float32]
    Halves = npt.NDArray[np.float16]
    Ids = npt.NDArray[np.uint8]
    Weights = npt.NDArray[np.float64]

_TREES = 25
"""Of each kind: those of a random forest (Breiman 2001) search for the best threshold,
extremely randomised ones (Geurts et al. 2006) draw it, and the two err in different
places."""

_DEPTH = 10
"""Levels of a tree: up to a thousand leaves, for some hundred pixels of a bag."""

_BAG_SHARE = 0.05
"""Share of the touched pixels that a tree learns from. Neighbours in a stroke are
alike, so small bags make trees differ; more of them only memorise the strokes."""

_FEWEST_IN_BAG = 50
"""Pixels of a bag, if there are as many: half a stroke."""

_PENALTY = 1e-3
"""Inverse strength of the regression's regularisation: strokes are few and the maps of
a network many."""

_SQUASHED = 2.0
"""Standard deviations beyond which a feature of the regression hardly grows: the class
of what is far from all strokes must not depend on one extreme feature."""

_LEAST_CLASS_WEIGHT = 1 / 3
"""Least weight of a class, in that of the class that was painted most: of what is rare
only a little can be painted."""

_UNLABELLED_WEIGHT = 2.0
"""Weight of all pixels that nobody touched, in that of the touched ones."""

_EARLIER_SHARE = 0.5
"""Weight of earlier classifiers in the pseudo-labels. With none the mask jumps from
stroke to stroke; see "More strokes" in benchmarks/RESULTS.md."""

_LEAST = np.float32(1e-6)
"""Of a sum of probabilities that is divided by."""

_FEW_TREES = 5
"""Of each kind, while their prediction only serves as pseudo-labels."""

TUNED_SHARE = 0.5
"""Weight of a tuned model's probabilities beside those of the classifier."""

_MOST_PIXELS = 30_000
"""Touched pixels that are learned from: the time of a fit grows with them."""


class PixelClassifier:
    """Random forests on the fine features and a logistic regression on all, averaged.

    The trees follow brightness and texture where the strokes show them; the strongly
    regularised regression generalises the network's features to where nobody painted.

    Parameters
    ----------
    fine
        How many of the first features the trees use.
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
        unlabelled: Floats | None = None,
        *,
        weights: Weights | None = None,
        earlier: Sequence[PixelClassifier] = (),
    ) -> None:
        """Learn from touched pixels, and then from pseudo-labels of other ones.

        Who corrects a mask touches what is wrong in it, which is seldom what most of
        the image looks like. The predictions of other pixels, weighted by their
        confidence, represent the rest (Lee 2013, "Pseudo-label").

        Parameters
        ----------
        features, labels
            Of touched pixels: ``(n, features)`` float32 and ``(n,)`` class ids.
        unlabelled
            Of pixels that nobody touched, ``(m, features)`` float32; None for none.
        weights
            Of the touched pixels, ``(n,)``, 1 on average; None where all count alike.
        earlier
            Were fitted to fewer strokes, the fewest first. Their predictions are half
            of the pseudo-labels, and those of later ones count more.

        Raises
        ------
        DataError
            When the touched pixels are all of one class.
        """
        weights = np.ones(len(labels)) if weights is None else weights
        if len(labels) > _MOST_PIXELS:
            random = np.random.default_rng(self._seed)
            chosen = random.choice(len(labels), _MOST_PIXELS, replace=False)
            features, labels = features[chosen], labels[chosen]
            weights = weights[chosen]
        self.classes = np.unique(labels).astype(np.intp)
        if len(self.classes) < 2:
            raise DataError(
                "all strokes are of one class; paint at least one stroke of another"
            )
        weights = self._balanced(labels, weights)
        if unlabelled is None or not len(unlabelled):
            self._learn(features, labels, weights, _TREES)
            return
        self._learn(features, labels, weights, _FEW_TREES)
        share = _UNLABELLED_WEIGHT * len(labels) / len(unlabelled)
        every = np.concatenate([features, unlabelled])
        predicted = [(each.classes, each.probabilities(unlabelled)) for each in earlier]
        for trees in (_FEW_TREES, _TREES):
            pseudo_labels, confidence = self._pseudo_labels(unlabelled, predicted)
            joined = np.concatenate([labels, pseudo_labels])
            self._learn(
                every, joined, np.concatenate([weights, share * confidence]), trees
            )

    @property
    def part(self) -> ClassifierPart:
        """What was fitted, as the part of a model."""
        return ClassifierPart(members=(self._runner.fitted,))

    def probabilities(self, features: Floats | Halves) -> Floats:
        """Return the probabilities of the painted classes.

        ``(n, features)`` float16 or float32 become ``(n, len(classes))`` float32, in
        the order of ``classes``.
        """
        runner = ClassifierRunner(self.part, int(self.classes[-1]) + 1)
        return runner(features)[:, self.classes]

    def _balanced(self, labels: Ids, weights: Weights) -> Weights:
        """Return the weights of touched pixels, so that no class has too little."""
        sums = np.bincount(labels, weights)[self.classes]
        each = np.ones(self.classes[-1] + 1)
        each[self.classes] = np.maximum(1.0, _LEAST_CLASS_WEIGHT * sums.max() / sums)
        balanced: Weights = each[labels] * weights
        balanced /= balanced.mean()
        return balanced

    def _pseudo_labels(
        self,
        unlabelled: Floats,
        predicted: Sequence[tuple[npt.NDArray[np.intp], Floats]],
    ) -> tuple[Ids, npt.NDArray[np.float64]]:
        """Return the most probable classes, and the margin to the second.

        The margin is 0 where trees and regression disagree: either of them alone would
        amplify its own mistakes with each round.
        """
        trees = self._runner.by_forest(unlabelled)
        regression = self._runner.by_regression(unlabelled)
        known: Floats = (trees + regression) / np.float32(2)
        if predicted:
            known += _EARLIER_SHARE * (self._in_earlier(known, predicted) - known)
        ranked = np.sort(known, axis=1)
        confidence = (ranked[:, -1] - ranked[:, -2]).astype(np.float64)
        confidence[trees.argmax(axis=1) != regression.argmax(axis=1)] = 0.0
        return self.classes[known.argmax(axis=1)].astype(np.uint8), confidence

    def _in_earlier(
        self,
        known: Floats,
        predicted: Sequence[tuple[npt.NDArray[np.intp], Floats]],
    ) -> Floats:
        """Return the mean prediction of earlier classifiers, later ones counting more.

        They divide the probability of the classes that they know among these; that of
        a class which was painted later stays.
        """
        mean = np.zeros_like(known)
        numbers = np.arange(1, len(predicted) + 1, dtype=np.float32)
        for weight, (classes, probabilities) in zip(
            numbers / numbers.sum(), predicted, strict=True
        ):
            here = np.isin(self.classes, classes)
            there = np.isin(classes, self.classes)
            shares = probabilities[:, there]
            shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), _LEAST)
            found = known.copy()
            found[:, here] = shares * known[:, here].sum(axis=1, keepdims=True)
            mean += weight * found
        return mean

    def _learn(
        self, features: Floats, labels: Ids, weights: Weights, trees: int
    ) -> None:
        fine = np.ascontiguousarray(features[:, : self._fine])
        # So small a problem is solved in less time by one thread than others need to
        # wake up, and beside other work they wait for each other.
        with threadpool_limits(1, user_api="blas"):
            regression = self._fit_regression(features, labels, weights)
        self._runner = MemberRunner(
            FittedClassifier(
                classes=self.classes.astype(np.int32),
                fine=self._fine,
                forest=self._fit_forest(fine, labels, weights, trees),
                regression=regression,
            )
        )

    def _fit_forest(
        self, fine: Floats, labels: Ids, weights: Weights, count: int
    ) -> Forest:
        bag = min(len(labels), max(_FEWEST_IN_BAG, round(_BAG_SHARE * len(labels))))
        grown = [
            tree.tree_
            for kind in (RandomForestClassifier, ExtraTreesClassifier)
            for tree in kind(
                count,
                max_depth=_DEPTH,
                max_samples=bag,
                bootstrap=True,
                random_state=self._seed,
            )
            .fit(fine, labels, weights)
            .estimators_
        ]
        left = np.concatenate([tree.children_left for tree in grown])
        shares = np.concatenate([tree.value[:, 0] for tree in grown])
        features = np.concatenate([tree.feature for tree in grown])
        thresholds = np.concatenate([tree.threshold for tree in grown])
        return Forest(
            sizes=np.array([tree.node_count for tree in grown], np.int32),
            left=left.astype(np.int32),
            right=np.concatenate([t.children_right for t in grown]).astype(np.int32),
            features=np.where(left < 0, 0, features).astype(np.int32),
            thresholds=np.where(left < 0, 0.0, thresholds),
            shares=(shares / shares.sum(axis=1, keepdims=True)).astype(np.float32),
        )

    def _fit_regression(
        self, features: Floats, labels: Ids, weights: Weights
    ) -> Regression:
        middle = features.mean(axis=0)
        scale = _SQUASHED * features.std(axis=0) + np.float32(1e-6)
        regression = LogisticRegression(C=_PENALTY * _SQUASHED**2, max_iter=200)
        regression.fit(squashed(features, middle, scale), labels, weights)
        slopes, intercepts = regression.coef_, regression.intercept_
        if len(self.classes) == 2:
            # One linear function separates two classes; written as one for each.
            slopes, intercepts = (
                np.concatenate([0 * part, part]) for part in (slopes, intercepts)
            )
        return Regression(
            middle=middle,
            scale=scale,
            slopes=np.ascontiguousarray(slopes.T, dtype=np.float32),
            intercepts=intercepts.astype(np.float32),
        )
