"""What a training in the widget learns from: touched planes and added labels.

No Qt, no layer: it runs in a thread, and reads only what is learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.images import Normalisation, Tally, decide_labels, match_channels
from unet_engine.images.labels.values import Wording
from unet_engine.images.no_data import count_unrecorded, recorded_target
from unet_engine.labels import IGNORE
from unet_engine.prediction.plan import check_axes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from napari_unet.jobs.training import TrainingOrder
    from unet_engine.annotations.annotations import Annotations
    from unet_engine.images import Image, LabelRule
    from unet_engine.images.labels.values import LabelValues, Unlabelled
    from unet_engine.models.spec import ModelSpec
    from unet_engine.places import Index
    from unet_engine.training.pairs import TrainingPair


_WORDING = Wording(
    values="add it again with the label values {}",
    unlabelled="add it again with {} as not labelled",
    more_classes="add the missing classes in step 2",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledImage:
    """Training data the user added.

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


def decide_added(order: TrainingOrder) -> tuple[LabelRule, ...]:
    """Decide what the values of each added image mean, in the order of these.

    Images with the same choices are decided together, as the files of a folder are.

    Raises
    ------
    DataError
        When values fit no meaning, or more than one.
    """
    groups: dict[tuple[LabelValues, Unlabelled], list[Tally]] = {}
    for added in order.labelled:
        tally = Tally.of(repr(added.image.name), np.asarray(added.labels))
        groups.setdefault((added.label_values, added.unlabelled), []).append(tally)
    rules = {
        choice: decide_labels(
            tallies,
            values=choice[0],
            unlabelled=choice[1],
            classes=len(order.classes),
            wording=_WORDING,
        )
        for choice, tallies in groups.items()
    }
    return tuple(rules[one.label_values, one.unlabelled] for one in order.labelled)


def describe_rules(rules: Sequence[LabelRule], classes: Sequence[str]) -> str:
    """Return what the values mean and what is odd about them."""
    lines: list[str] = []
    for rule in rules:
        lines += [rule.describe(classes), *rule.notes]
    return "\n".join(dict.fromkeys(lines))


def training_pairs(
    order: TrainingOrder,
    spec: ModelSpec,
    rules: Sequence[LabelRule] | None = None,
) -> Iterator[TrainingPair]:
    """Read and normalise what a training learns from.

    Parameters
    ----------
    order
        What was asked for.
    spec
        Of the model that learns.
    rules
        What the values of the added labels mean; decided when None.

    Raises
    ------
    DataError
        When an image or its labels do not fit the model.
    """
    for working_image, touched in order.touched:
        image = match_channels(working_image.image, spec.in_channels)
        check_axes(image, spec)
        prepared = _Prepared(image, working_image.normalisation(spec), spec)
        if spec.ndim == 3:
            yield from _touched_volumes(prepared, touched, order.config.crop)
        else:
            yield from _touched_planes(prepared, touched, order.config.crop)
    rules = decide_added(order) if rules is None else rules
    for added, rule in zip(order.labelled, rules, strict=True):
        yield from _labelled_pairs(added, rule, spec, order.config.crop)


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """An image as a model wants it."""

    image: Image
    normalisation: Normalisation
    spec: ModelSpec

    def pair(
        self, index: Index, box: tuple[slice, ...], target: npt.NDArray[np.uint8]
    ) -> TrainingPair:
        """Read a region of a plane or a volume; ``target`` is of that region."""
        from unet_engine.training.pairs import TrainingPair

        image = self.normalisation.marked(self.image)
        read = image.read_volume if self.spec.ndim == 3 else image.read
        block = read(index, box)
        place = f" {index}" if index else ""
        return TrainingPair(
            self.normalisation.apply(block),
            recorded_target(target, block),
            name=f"{self.image.name}{place}",
            unrecorded=count_unrecorded(target, block),
        )


def _touched_planes(
    prepared: _Prepared, touched: Annotations, crop: int
) -> Iterator[TrainingPair]:
    for index in touched.planes():
        target = touched.target(index)
        said = target != IGNORE
        # Nothing, where what is on disk of it is damaged.
        if said.any():
            region = _around(said, crop)
            yield prepared.pair(index, region, target[region])


def _touched_volumes(
    prepared: _Prepared, touched: Annotations, crop: int
) -> Iterator[TrainingPair]:
    """Make one volume of all touched slices, those between them ``IGNORE``."""
    from unet_engine.training.crops import with_context

    for place, planes in groupby(touched.planes(), key=lambda index: index[:-1]):
        indices = list(planes)
        said = np.any([touched.touched(index) for index in indices], axis=0)
        if not said.any():
            continue
        depth = slice(indices[0][-1], indices[-1][-1] + 1)
        box = with_context(
            (depth, *_around(said, 0)), touched.shape[-3:], prepared.spec, crop
        )
        target = np.full([part.stop - part.start for part in box], IGNORE, np.uint8)
        for index in indices:
            target[index[-1] - box[0].start] = touched.target(index, box[1:])
        yield prepared.pair(place, box, target)


def _labelled_pairs(
    added: LabelledImage, rule: LabelRule, spec: ModelSpec, crop: int
) -> Iterator[TrainingPair]:
    image = match_channels(added.image, spec.in_channels)
    check_axes(image, spec)
    normalisation = Normalisation.measure(
        image, low=spec.low_percentile, high=spec.high_percentile
    )
    prepared = _Prepared(image, normalisation, spec)
    leading = image.leading_shape[: len(image.leading_shape) - (spec.ndim - 2)]
    for index in np.ndindex(leading):
        target = rule.apply(np.asarray(added.labels[index]))
        box = _labelled_box(target, spec, crop)
        if box is not None:
            yield prepared.pair(index, box, target[box])


def _labelled_box(
    target: npt.NDArray[np.uint8], spec: ModelSpec, crop: int
) -> tuple[slice, ...] | None:
    """Return what to read: a plane, what is around the labels of a volume, or None."""
    from unet_engine.training.crops import volume_around

    if spec.ndim == 2:
        return slice(None), slice(None)
    labelled = target != IGNORE
    return volume_around(labelled, spec, crop) if labelled.any() else None


def _around(touched: npt.NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Return the box around what was touched, with context for the crops."""
    rows, columns = (np.flatnonzero(touched.any(axis=axis)) for axis in (1, 0))
    height, width = touched.shape
    return (
        slice(max(0, int(rows[0]) - margin), min(height, int(rows[-1]) + 1 + margin)),
        slice(
            max(0, int(columns[0]) - margin), min(width, int(columns[-1]) + 1 + margin)
        ),
    )
