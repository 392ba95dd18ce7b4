"""A ``ClassifierPart`` as tensors and as plain values of a header, and back."""

from __future__ import annotations

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

_MOST_MEMBERS = 1000


def describe_part(part: ClassifierPart) -> dict[str, Any]:
    """Return the plain values of a part, as JSON types."""
    return {
        "classes": list(part.classes),
        "fine": [member.fine for member in part.members],
        "weights": [float(weight) for weight in part.weights],
        "averaged": part.averaged,
        "network_share": part.network_share,
        "features": part.network and part.network.spec.to_dict(),
    }


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


def read_part(values: Mapping[str, Any], tensors: Tensors) -> ClassifierPart:
    """Put a part together; what its arrays hold is not checked here.

    Parameters
    ----------
    values
        As `describe_part` gives them.
    tensors
        All of a file; only those whose names begin with ``PREFIX`` are read.

    Raises
    ------
    ValueError
        When a value or a tensor is missing, there are others, or one is of another
        type.
    SpecError
        When the spec of the feature network is none.
    """
    fine, weights = values["fine"], values["weights"]
    if not isinstance(fine, list) or not isinstance(weights, list):
        raise ValueError("the pixel classifiers are no list")
    if not 0 < len(fine) <= _MOST_MEMBERS:
        raise ValueError(f"there are {len(fine)} pixel classifiers")
    left = {n: tensors[n] for n in tensors if n.startswith(PREFIX)}
    members = tuple(_read_member(left, n, _whole(f)) for n, f in enumerate(fine))
    part = ClassifierPart(
        members=members,
        weights=tuple(_number(weight) for weight in weights),
        network=_read_network(values["features"], left),
        averaged=values["averaged"] is True,
        network_share=_number(values["network_share"]),
    )
    if left:
        raise ValueError(f"there is a tensor {min(left)!r} that nothing uses")
    if describe_part(part) != dict(values):
        raise ValueError("the pixel classifiers are not as the header describes them")
    return part


def _read_network(
    spec: Any, tensors: dict[str, npt.NDArray[Any]]
) -> FeatureNetwork | None:
    if spec is None:
        return None
    if not isinstance(spec, dict):
        raise ValueError("the feature network has no spec")
    names = [name for name in tensors if name.startswith(_NETWORK)]
    weights = {name.removeprefix(_NETWORK): tensors.pop(name) for name in names}
    return FeatureNetwork(spec=ModelSpec.from_dict(spec), weights=weights)


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


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no number of features")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"{value!r} is no share")
    return float(value)
