"""``ClassifierRunner``: the pixel classifiers of a model, ready to predict.

The trees are walked by scikit-learn's compiled code, without its checks, copies and
threads for each tree, which take longer than the trees themselves. That code trusts
its numbers: only what ``find_problem`` accepts gets there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

if TYPE_CHECKING:
    from unet_engine.models.classifier_part import (
        ClassifierPart,
        FittedClassifier,
        Forest,
    )

    Floats = npt.NDArray[np.float32]
    Halves = npt.NDArray[np.float16]

_BATCH = 8192
"""Pixels that are predicted at a time: their features fit the processor's cache."""


class MemberRunner:
    """One fitted classifier, ready to predict.

    Parameters
    ----------
    fitted
        ``find_problem`` finds none in it.
    """

    def __init__(self, fitted: FittedClassifier) -> None:
        self.fitted = fitted
        self._trees = _rebuilt(fitted.forest, fitted.fine)

    def __call__(self, features: Floats) -> Floats:
        """Return the mean of forest and regression.

        ``(n, features)`` float32 become ``(n, classes)`` float32, in the order of the
        classifier's own classes.
        """
        both = self.by_forest(features) + self.by_regression(features)
        mean: Floats = both / np.float32(2)
        return mean

    def by_forest(self, features: Floats) -> Floats:
        """Return the probabilities of the forest alone."""
        fine = np.ascontiguousarray(features[:, : self.fitted.fine])
        total = np.zeros((len(fine), len(self.fitted.classes)), np.float32)
        for tree, shares in self._trees:
            total += shares.take(tree.apply(fine), axis=0)
        total /= len(self._trees)
        return total

    def by_regression(self, features: Floats) -> Floats:
        """Return the probabilities of the regression alone."""
        regression = self.fitted.regression
        known = squashed(features, regression.middle, regression.scale)
        logits = known @ regression.slopes
        logits += regression.intercepts
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
        return shares


class ClassifierRunner:
    """All classifiers of a part, ready to predict.

    Parameters
    ----------
    part
        ``find_problem`` finds none in it.
    classes
        How many classes there are; those that no member knows have probability 0.
    """

    def __init__(self, part: ClassifierPart, classes: int) -> None:
        self.part = part
        self.classes = classes
        self._members = [MemberRunner(member) for member in part.members]

    def __call__(self, features: Floats | Halves) -> Floats:
        """Return the probabilities of all classes.

        ``(n, features)`` float16 or float32 become ``(n, classes)`` float32. The same
        rows in one call give the same bits, however many threads there are.
        """
        count = max(1, -(-len(features) // _BATCH))
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            parts = pool.map(self._mean, np.array_split(features, count))
            return np.concatenate(list(parts))

    def _mean(self, features: Floats | Halves) -> Floats:
        rows = features.astype(np.float32)
        total = np.zeros((len(rows), self.classes), np.float32)
        for member, weight in zip(self._members, self.part.weights, strict=True):
            total[:, member.fitted.classes] += np.float32(weight) * member(rows)
        return total


def squashed(features: Floats, middle: Floats, scale: Floats) -> Floats:
    """Return ``(n, features)`` as a ``Regression`` takes them, within -1 and 1."""
    # A feature beyond 16 bits is infinite and becomes -1 or 1.
    with np.errstate(over="ignore"):
        within: Floats = np.tanh((features - middle) / scale)
    return within


def combine(classifier: Floats, network: Floats, network_share: float) -> Floats:
    """Return the probabilities of a model from those of its two parts.

    Parameters
    ----------
    classifier, network
        ``(classes, ...)`` float32 of the pixel classifiers and of the tuned network.
    network_share
        Weight of the network, in [0, 1].
    """
    share = np.float32(network_share)
    mixed: Floats = (1 - share) * classifier + share * network
    return mixed


def _rebuilt(forest: Forest, fine: int) -> list[tuple[Any, Floats]]:
    """Return scikit-learn's trees, each with the shares of its nodes."""
    ends = np.cumsum(forest.sizes)[:-1]
    columns = (forest.left, forest.right, forest.features, forest.thresholds)
    parts = zip(
        *(np.split(column, ends) for column in (*columns, forest.shares)), strict=True
    )
    return [
        (_tree(left, right, features, thresholds, fine), np.ascontiguousarray(shares))
        for left, right, features, thresholds, shares in parts
    ]


def _tree(left: Any, right: Any, features: Any, thresholds: Any, fine: int) -> Any:
    # Here, as it takes a second, and most models have no trees.
    from sklearn.tree._tree import NODE_DTYPE, Tree

    nodes = np.zeros(len(left), NODE_DTYPE)
    nodes["left_child"], nodes["right_child"] = left, right
    nodes["feature"], nodes["threshold"] = features, thresholds
    tree = Tree(fine, np.ones(1, np.intp), 1)
    # Its depth only serves to draw and to count paths, its values to predict: neither
    # is done with it.
    state = {
        "max_depth": 0,
        "node_count": len(nodes),
        "nodes": nodes,
        "values": np.zeros((len(nodes), 1, 1)),
    }
    tree.__setstate__(state)
    return tree
