"""``ClassifierPart``: the pixel classifiers of a model, as arrays and plain values.

Everything in it may come from a file of unknown origin. `find_problem` checks all that
an evaluation relies on; nothing else has to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from unet_engine.models.spec import ModelSpec

    Ints = npt.NDArray[np.int32]
    Floats = npt.NDArray[np.float32]

DEEPEST = 64
"""Levels below its root that a tree may have; those of `interactive` have 10."""

_ROUNDING = 1e-3
"""By how much the sum of shares may differ from 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forest:
    """Decision trees; the nodes of one behind those of the other.

    Attributes
    ----------
    sizes
        ``(trees,)`` int32, nodes of each tree; the first one is its root.
    left, right
        ``(nodes,)`` int32, the number of each child in the same tree, -1 for a leaf.
    features
        ``(nodes,)`` int32, the feature that decides; 0 in a leaf.
    thresholds
        ``(nodes,)`` float64: to the left goes what is not above it; 0 in a leaf.
    shares
        ``(nodes, classes)`` float32, the probabilities in each node.
    """

    sizes: Ints
    left: Ints
    right: Ints
    features: Ints
    thresholds: npt.NDArray[np.float64]
    shares: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regression:
    """A multinomial logistic regression on squashed features.

    A feature ``x`` becomes ``tanh((x - middle) / scale)``: what is far from all that
    was learned from must not decide by one extreme feature.

    Attributes
    ----------
    middle, scale
        ``(features,)`` float32, the scale above 0.
    slopes
        ``(features, classes)`` float32.
    intercepts
        ``(classes,)`` float32.
    """

    middle: Floats
    scale: Floats
    slopes: Floats
    intercepts: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedClassifier:
    """A pixel classifier: the mean of a forest and a regression.

    Attributes
    ----------
    classes
        ``(n,)`` int32, the ids that it was fitted to, ascending; the others have
        probability 0.
    fine
        How many of the first features the forest uses.
    forest, regression
        Of these classes, in this order.
    """

    classes: Ints
    fine: int
    forest: Forest
    regression: Regression

    @property
    def n_features(self) -> int:
        """Number of features of a pixel that it takes."""
        return len(self.regression.middle)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureNetwork:
    """The network whose maps are features of pixels.

    Attributes
    ----------
    spec, weights
        As of a ``Checkpoint``.
    """

    spec: ModelSpec
    weights: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassifierPart:
    """What of a model is no network that was tuned.

    Attributes
    ----------
    members
        One or several classifiers, whose mean is taken.
    weights
        Of each member in the mean; they sum to 1.
    network
        Gives features besides those of the filters; None for filters alone.
    averaged
        Whether the maps of that network are means over symmetries of the image.
    network_share
        Weight of the probabilities of the model's tuned network, in [0, 1]; the
        classifiers have the rest.
    """

    members: tuple[FittedClassifier, ...]
    weights: tuple[float, ...] = (1.0,)
    network: FeatureNetwork | None = None
    averaged: bool = True
    network_share: float = 0.0

    @property
    def classes(self) -> tuple[int, ...]:
        """Ids of the classes that a member was fitted to, ascending."""
        found = {int(c) for member in self.members for c in member.classes}
        return tuple(sorted(found))

    @property
    def n_features(self) -> int:
        """Number of features of a pixel that it takes."""
        return self.members[0].n_features


def find_problem(part: ClassifierPart, spec: ModelSpec) -> str:
    """Describe what of a part cannot be computed with, or does not fit its model.

    Parameters
    ----------
    part
        Its arrays have the types that the classes here name.
    spec
        Of the model that it belongs to.

    Returns
    -------
    str
        A clause for a message; ``""`` if all is fine.
    """
    if not 0 < len(part.members) == len(part.weights):
        return "its pixel classifiers and their weights differ in number"
    if not _are_shares(np.array([part.weights])):
        return "the weights of its pixel classifiers are no shares of 1"
    if not 0 <= part.network_share <= 1:
        return "the share of its network is not between 0 and 1"
    if part.network is not None and (
        part.network.spec.in_channels != spec.in_channels or part.network.spec.ndim != 2
    ):
        return (
            f"the network of its features takes {part.network.spec.in_channels} "
            f"channels and {part.network.spec.ndim} dimensions"
        )
    if len({member.n_features for member in part.members}) > 1:
        return "its pixel classifiers take different features"
    problems = (_find_in_member(m, len(spec.classes)) for m in part.members)
    return next((problem for problem in problems if problem), "")


def _find_in_member(member: FittedClassifier, classes: int) -> str:
    ids = member.classes
    if (
        ids.ndim != 1
        or len(ids) < 2
        or (np.diff(ids) <= 0).any()
        or not 0 <= ids[0] <= ids[-1] < classes
    ):
        return f"a pixel classifier has classes that are not among the {classes}"
    if not 0 < member.fine <= member.n_features:
        return "a forest takes more features than there are"
    return _find_in_regression(member.regression, len(ids)) or _find_in_forest(
        member.forest, member.fine, len(ids)
    )


def _find_in_regression(regression: Regression, classes: int) -> str:
    count = len(regression.middle)
    shapes = (
        (regression.middle, (count,)),
        (regression.scale, (count,)),
        (regression.slopes, (count, classes)),
        (regression.intercepts, (classes,)),
    )
    if any(array.shape != shape for array, shape in shapes):
        return "the arrays of a regression differ in size"
    if not all(np.isfinite(array).all() for array, _ in shapes):
        return "a regression has numbers that are NaN or infinite"
    if (regression.scale <= 0).any():
        return "a regression has a scale that is not above 0"
    # Squashed features lie within -1 and 1, so this is the largest of all results.
    with np.errstate(over="ignore"):
        largest = np.abs(regression.slopes).sum(axis=0) + np.abs(regression.intercepts)
    if not np.isfinite(2 * largest).all():
        return "a regression has slopes that are too large"
    return ""


def _find_in_forest(forest: Forest, fine: int, classes: int) -> str:
    nodes = len(forest.left)
    arrays = (forest.left, forest.right, forest.features, forest.thresholds)
    if (
        forest.sizes.ndim != 1
        or not len(forest.sizes)
        or (forest.sizes < 1).any()
        or forest.sizes.sum(dtype=np.int64) != nodes
        or any(array.shape != (nodes,) for array in arrays)
        or forest.shares.shape != (nodes, classes)
    ):
        return "the arrays of a forest differ in size"
    if not ((forest.features >= 0) & (forest.features < fine)).all():
        return "a tree decides by a feature that there is not"
    if not np.isfinite(forest.thresholds).all():
        return "a tree has a threshold that is NaN or infinite"
    if not _are_shares(forest.shares):
        return "the probabilities in a tree are no shares of 1"
    return _find_in_children(forest)


def _find_in_children(forest: Forest) -> str:
    """Describe where nodes are no trees: then an evaluation may never end."""
    starts = np.cumsum(forest.sizes, dtype=np.int64) - forest.sizes
    start = np.repeat(starts, forest.sizes)
    number = np.arange(len(start)) - start
    size = np.repeat(forest.sizes, forest.sizes)
    inner = forest.left >= 0
    if (forest.left[~inner] != -1).any() or (forest.right[~inner] != -1).any():
        return "a leaf of a tree has a child"
    children = np.stack([forest.left[inner], forest.right[inner]])
    # A child after its parent: there is no way back.
    if not ((children > number[inner]) & (children < size[inner])).all():
        return "a node of a tree has a child that is not behind it"
    placed = children + start[inner]
    parents = np.bincount(placed.ravel(), minlength=len(start))
    parents[starts] += 1
    if (parents != 1).any():
        return "a node of a tree has no parent, or several"
    level = starts
    for _ in range(DEEPEST + 1):
        level = level[inner[level]]
        if not len(level):
            return ""
        level = np.concatenate(
            [start[level] + forest.left[level], start[level] + forest.right[level]]
        )
    return f"a tree has more than {DEEPEST} levels"


def _are_shares(values: npt.NDArray[np.floating[Any]]) -> bool:
    """Whether each row consists of shares of 1."""
    within = ((values >= 0) & (values <= 1)).all()
    return bool(within and (np.abs(values.sum(axis=1) - 1) < _ROUNDING).all())
