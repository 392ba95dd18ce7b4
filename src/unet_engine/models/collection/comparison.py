"""Two models beside each other: what is known of them, and masks of one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.errors import DataError
from unet_engine.metrics import Confusion
from unet_engine.models.collection.card import licence_of
from unet_engine.models.collection.description import describe_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.models.checkpoint import ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """A row of a comparison.

    Attributes
    ----------
    title
        What is compared.
    one, other
        Of each model; ``""`` where it is not known.
    """

    title: str
    one: str
    other: str

    @property
    def differs(self) -> bool:
        """Whether the models are not alike in it."""
        return self.one != self.other


def compare_models(
    one: ModelInfo, other: ModelInfo, models: Sequence[ModelInfo] = ()
) -> tuple[ComparedRow, ...]:
    """Compare what is known of two models.

    Parameters
    ----------
    one, other
        The models.
    models
        Those among which their parents are.
    """
    first, second = (
        describe_model(info, models, licence=licence_of(info)) for info in (one, other)
    )
    titles = dict.fromkeys(title for d in (first, second) for title, _ in d.rows)
    return tuple(
        ComparedRow(title=title, one=first.get(title), other=second.get(title))
        for title in titles
        if title != "file"
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Agreement:
    """How far two masks of one part of an image agree.

    Attributes
    ----------
    share
        Of the pixels that are of a class of the same name in both, 0 to 1.
    iou
        Of each class of both models but the background, by its name; None where
        neither mask has it.
    differs
        ``(Y, X)`` bool, or of any shape that the masks have: pixels whose classes have
        other names.
    """

    share: float
    iou: dict[str, float | None]
    differs: npt.NDArray[np.bool_]

    def describe(self) -> str:
        """Return it as a sentence without a full stop."""
        scores = [
            f"no {name} in either" if score is None else f"IoU of {name} {score:.3f}"
            for name, score in self.iou.items()
        ]
        return ", ".join([f"the same class in {self.share:.1%} of the pixels", *scores])


def agreement_of(
    one: npt.NDArray[np.uint8],
    other: npt.NDArray[np.uint8],
    classes: Sequence[str],
    other_classes: Sequence[str],
) -> Agreement:
    """Compare two masks of the same pixels, classes by their names.

    Parameters
    ----------
    one, other
        Class ids, of one shape.
    classes, other_classes
        Names of the classes of each. The first of each is the background, whatever it
        is called.

    Raises
    ------
    DataError
        When the masks are of different shapes or have no pixel.
    """
    if one.shape != other.shape or not one.size:
        raise DataError(
            f"masks of {one.shape} and {other.shape} cannot be compared; predict the "
            "same part of an image with both models"
        )
    names = list(dict.fromkeys([*classes[1:], *other_classes[1:]]))
    numbers = {name: number for number, name in enumerate(names, start=1)}
    first, second = (
        np.array([0, *(numbers[name] for name in known[1:])])[mask]
        for mask, known in ((one, classes), (other, other_classes))
    )
    counted = Confusion(len(numbers) + 1)
    counted.add(first, second)
    shared = [name for name in classes[1:] if name in other_classes[1:]]
    scores = counted.iou
    return Agreement(
        share=1 - counted.pixel_error,
        iou={name: scores[numbers[name]] for name in shared},
        differs=first != second,
    )
