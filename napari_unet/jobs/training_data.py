"""What the values of added labels mean: decided in the thread, where they are read.

No Qt, no layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.images import Tally, decide_labels
from unet_engine.images.labels.choices import Wording
from unet_engine.training.data.labelled_images import LabelledImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.images import Image
    from unet_engine.images.labels.choices import LabelValues, Unlabelled


_WORDING = Wording(
    values="add it again with the label values {}",
    unlabelled="add it again with {} as not labelled",
    more_classes="add the missing classes in step 2",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AddedLabels:
    """An image and labels that the user added to the training data.

    Attributes
    ----------
    image
        The image.
    labels
        Array-like of integers, ``(*leading, Y, X)``.
    label_values, unlabelled
        What their values mean, as of ``decide_labels``.
    """

    image: Image
    labels: Any
    label_values: LabelValues = "auto"
    unlabelled: Unlabelled = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsRead:
    """What the values of added labels mean: one line, shown before the training."""

    line: str


def decide_added(
    added: Sequence[AddedLabels], classes: Sequence[str]
) -> tuple[LabelledImage, ...]:
    """Decide what the values of added labels mean.

    Images with the same choices are decided together, as the files of a folder are.

    Parameters
    ----------
    added
        What the user added.
    classes
        Of the model that will learn from it.

    Raises
    ------
    DataError
        When values fit no meaning, or more than one.
    """
    groups: dict[tuple[LabelValues, Unlabelled], list[Tally]] = {}
    for one in added:
        tally = Tally.of(repr(one.image.name), np.asarray(one.labels))
        groups.setdefault((one.label_values, one.unlabelled), []).append(tally)
    rules = {
        choice: decide_labels(
            tallies,
            values=choice[0],
            unlabelled=choice[1],
            classes=len(classes),
            wording=_WORDING,
        )
        for choice, tallies in groups.items()
    }
    return tuple(
        LabelledImage(
            image=one.image,
            labels=one.labels,
            rule=rules[one.label_values, one.unlabelled],
            name=one.image.name,
        )
        for one in added
    )


def describe_rules(labelled: Sequence[LabelledImage], classes: Sequence[str]) -> str:
    """Return what the values mean and what is unusual about them."""
    lines: list[str] = []
    for one in labelled:
        lines += [one.rule.describe(classes), *one.rule.notes]
    return "\n".join(dict.fromkeys(lines))
