"""A ``ClassifierPart`` as tensors and as plain values of a header, and back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.models.classifier_part import (
    ClassifierPart,
    FeatureNetwork,
    FittedClassifier,
    Forest,
    Regression,
)
from unet_engine.models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Tensors = Mapping[str, npt.NDArray[Any]]

PREFIX = "pixel_classifier/"
"""Of the names of its tensors; no network has a slash in a name."""

_NETWORK = f"{PREFIX}features/"
_FOREST = {
    "sizes": "<i4",
    "left": "<i4",
    "right": "<i4",
    "features": "<i4",
    "thresholds": "<f8",
    "shares": "<f4",
}
_REGRESSION = {"middle": "<f4", "scale": "<f4", "slopes": "<f4", "intercepts": "<f4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSummary:
    """What of a part stands in the header of a file.

    Attributes
    ----------
    classes
        Ids of the classes that were painted.
    fine
        Of each member.
    weights, averaged, network_share
        As of a ``ClassifierPart``.
    features
        Spec of the feature network; None for filters alone.
    """

    classes: tuple[int, ...]
    fine: tuple[int, ...]
    weights: tuple[float, ...]
    averaged: bool
    network_share: float
    features: ModelSpec | None

    @classmethod
    def of(cls, part: ClassifierPart) -> ClassifierSummary:
        """Summarise a part."""
        return cls(
            classes=part.classes,
            fine=tuple(member.fine for member in part.members),
            weights=tuple(float(weight) for weight in part.weights),
            averaged=part.averaged,
            network_share=float(part.network_share),
            features=None if part.network is None else part.network.spec,
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClassifierSummary:
        """Read what ``to_dict`` wrote.

        Raises
        ------
        ValueError
            When a value is missing or of another type.
        SpecError
            When the spec of the feature network is none.
        """
        if unknown := sorted(set(values) ^ set(cls.__dataclass_fields__)):
            raise ValueError(f"its pixel classifiers lack {unknown[0]!r}, or have it")
        features = values["features"]
        if not isinstance(features, dict | None):
            raise ValueError("the spec of its feature network is of a wrong type")
        return cls(
            classes=_tuple_of(values["classes"], int),
            fine=_tuple_of(values["fine"], int),
            weights=_tuple_of(values["weights"], float),
            averaged=_tuple_of([values["averaged"]], bool)[0],
            network_share=_tuple_of([values["network_share"]], float)[0],
            features=None if features is None else ModelSpec.from_dict(features),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        spec = None if self.features is None else self.features.to_dict()
        return {**dataclasses.asdict(self), "features": spec}


def part_tensors(part: ClassifierPart) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a part by the names that they have in a file."""
    tensors: dict[str, npt.NDArray[Any]] = {}
    for number, member in enumerate(part.members):
        here = f"{PREFIX}{number}/"
        tensors[f"{here}classes"] = member.classes
        for name in _FOREST:
            tensors[f"{here}forest/{name}"] = getattr(member.forest, name)
        for name in _REGRESSION:
            tensors[f"{here}regression/{name}"] = getattr(member.regression, name)
    if part.network is not None:
        tensors |= {_NETWORK + n: array for n, array in part.network.weights.items()}
    return tensors


def read_part(summary: ClassifierSummary, tensors: Tensors) -> ClassifierPart:
    """Put a part together; what its arrays hold is not checked here.

    Parameters
    ----------
    summary
        From the header of the file.
    tensors
        All of the file; only those whose names begin with ``PREFIX`` are read.

    Raises
    ------
    ValueError
        When a tensor is missing or of another type, or there are others.
    """
    left = {name: array for name, array in tensors.items() if name.startswith(PREFIX)}
    names = [name for name in left if name.startswith(_NETWORK)]
    weights = {name.removeprefix(_NETWORK): left.pop(name) for name in names}
    spec = summary.features
    part = ClassifierPart(
        members=tuple(_read_member(left, n, f) for n, f in enumerate(summary.fine)),
        weights=summary.weights,
        network=None if spec is None else FeatureNetwork(spec=spec, weights=weights),
        averaged=summary.averaged,
        network_share=summary.network_share,
    )
    if left or (spec is None and weights):
        raise ValueError(f"there is a tensor {min(left or weights)!r} of nothing")
    if ClassifierSummary.of(part) != summary:
        raise ValueError("its classes are others")
    return part


def _read_member(
    tensors: dict[str, npt.NDArray[Any]], number: int, fine: int
) -> FittedClassifier:
    here = f"{PREFIX}{number}/"
    forest = {
        name: _take(tensors, f"{here}forest/{name}", kind, 1 + (name == "shares"))
        for name, kind in _FOREST.items()
    }
    regression = {
        name: _take(tensors, f"{here}regression/{name}", kind, 1 + (name == "slopes"))
        for name, kind in _REGRESSION.items()
    }
    return FittedClassifier(
        classes=_take(tensors, f"{here}classes", "<i4", 1),
        fine=fine,
        forest=Forest(**forest),
        regression=Regression(**regression),
    )


def _take(
    tensors: dict[str, npt.NDArray[Any]], name: str, kind: str, ndim: int
) -> npt.NDArray[Any]:
    """Take a tensor out, which must be of this type and number of axes."""
    if name not in tensors:
        raise ValueError(f"the tensor {name!r} is missing")
    array = tensors.pop(name)
    if array.dtype != np.dtype(kind) or array.ndim != ndim:
        raise ValueError(f"the tensor {name!r} is of a wrong type")
    return array


def _tuple_of(values: Any, kind: type) -> tuple[Any, ...]:
    if not isinstance(values, list) or any(type(value) is not kind for value in values):
        raise ValueError(f"a value of its pixel classifiers is no {kind.__name__}")
    return tuple(values)
