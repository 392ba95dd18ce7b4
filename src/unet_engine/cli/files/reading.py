"""Images with labels, as ``finetune`` and ``evaluate`` take them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from unet_engine.cli.files.pairing import chosen_pairs, paired_files
from unet_engine.cli.progress import report, report_rule
from unet_engine.errors import DataError, UnknownAxesError
from unet_engine.images import Tally, decide_labels, read_labels
from unet_engine.images.labels.choices import COMMAND_LINE
from unet_engine.images.labels.rules import default_names
from unet_engine.training.data.labelled_images import LabelledImage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from unet_engine.cli.files.batch import Batch
    from unet_engine.cli.options.data import DataOptions, ImageOptions
    from unet_engine.images import Image, LabelRule
    from unet_engine.images.labels.choices import Wording
    from unet_engine.images.zarr.chunks import MissingChunks

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledData:
    """The images of a run with their labels.

    Attributes
    ----------
    images
        Those that were chosen.
    rule
        What the label values of all files mean, the chosen ones and the others.
    """

    images: tuple[LabelledImage, ...]
    rule: LabelRule

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names for as many classes as the labels have."""
        return default_names(self.rule.classes)


def open_selected(
    path: Path,
    options: ImageOptions,
    *,
    labels: bool = False,
    axes: str | None = None,
) -> Image:
    """Open an image, or labels, by the options.

    Parameters
    ----------
    path, options
        The file and the options.
    labels
        The file holds labels.
    axes
        A letter for each axis, where the options do not name them.
    """
    choice = options.choice
    if choice.axes is None:
        choice = replace(choice, axes=axes)
    return choice.open(path, labels=labels)


def read_labelled(
    options: DataOptions,
    names: Sequence[str] | None = None,
    wording: Wording = COMMAND_LINE,
    batch: Batch | None = None,
) -> LabelledData:
    """Open the chosen images lazily, read all labels, and report what they mean.

    Parameters
    ----------
    options
        Which images and labels, and how they are read.
    names
        Of the classes when they are known; values below their number are no object ids.
    wording
        How messages name the choices.
    batch
        Takes the failures of single files, also of those without a partner, which are
        then left out.

    Raises
    ------
    DataError
        When files do not pair, differ in shape, cannot be read, or hold values that
        fit no meaning, or more than one.
    """
    files = paired_files(options, batch)
    chosen = chosen_pairs(files, options.range)
    if batch is not None:
        batch.total += len(chosen)
    read = []
    for path, labels_path in chosen:
        with nullcontext() if batch is None else batch.attempt(path):
            image = open_selected(path, options)
            ids = _read_ids(labels_path, image, options)
            _check_shape(image, ids, path)
            read.append((path, labels_path, image, ids))
    if not read:
        raise DataError(f"none of the {len(chosen)} pairs can be used; see above")
    tallies = [Tally.of(labels_path.name, ids) for _, labels_path, _, ids in read]
    others = [pair for pair in files if pair not in chosen]
    tallies += _tally(others, options)
    rule = decide_labels(
        tallies,
        values=options.meaning,
        unlabelled=options.unlabelled,
        classes=None if names is None else len(names),
        wording=wording,
    )
    report_rule(rule, names or default_names(rule.classes), quiet=options.quiet)
    data = [
        LabelledImage(image=image, labels=ids, rule=rule, name=path.stem)
        for path, _, image, ids in read
    ]
    return LabelledData(tuple(data), rule)


def _tally(pairs: Sequence[tuple[Path, Path]], options: DataOptions) -> Iterator[Tally]:
    """Count the values of files that are left out but belong to the same labels."""
    for image_path, path in pairs:
        try:
            yield Tally.of(path.name, _read_ids(path, image_path, options))
        except DataError as error:
            report([f"not used, and not counted either: {error}"], quiet=options.quiet)


def _read_ids(
    path: Path, image: Image | Path, options: DataOptions
) -> npt.NDArray[np.integer[Any]]:
    """Read labels by their own metadata, and for the rest by the options.

    Labels that do not name their axes have those of their image.

    Raises
    ------
    DataError
        When they cannot be read.
    """
    filled: MissingChunks | None = "fill" if options.missing_chunks == "fill" else None

    def read(axes: str | None) -> npt.NDArray[np.integer[Any]]:
        chosen: dict[str, Any] = {"axes": axes, "missing_chunks": filled}
        return of_series(
            lambda number: read_labels(path, negative=True, series=number, **chosen),
            options.series,
        )

    try:
        return read(None)
    except DataError as error:
        unknown = isinstance(error, UnknownAxesError)
        if options.axes is None and not unknown:
            raise
        if isinstance(image, Path):
            image = open_selected(image, options)
        axes = image.leading_axes + "YX"
        try:
            return read(axes)
        except DataError:
            if not unknown:
                raise error from None
            raise DataError(
                f"{path} does not name its axes, and they are not those of its image "
                f"({axes}); save labels that have the shape of the image"
            ) from error


def of_series(read: Callable[[int | None], _Read], number: int | None) -> _Read:
    """Read the image of a number in a file, or the only one that the file holds.

    Files that belong together may hold different numbers of images.

    Parameters
    ----------
    read
        Takes the number, or None.
    number
        Which was chosen.

    Raises
    ------
    DataError
        When neither can be read.
    """
    try:
        return read(number)
    except DataError:
        if number is None:
            raise
        try:
            return read(None)
        except DataError:
            pass
        raise


def _check_shape(image: Image, ids: npt.NDArray[np.integer], path: Path) -> None:
    shape = (*image.leading_shape, *image.plane_shape)
    if ids.shape != shape:
        raise DataError(
            f"the labels of {path.name} are {_size(ids.shape)} and the image is "
            f"{_size(shape)} pixels; give labels of the same shape"
        )


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
