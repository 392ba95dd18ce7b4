"""``napari-unet evaluate``: compare predictions with labels."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from unet_engine.cli.commands.evaluate_worst import WorstPlaces, print_places
from unet_engine.cli.files.batch import Batch
from unet_engine.cli.files.reading import read_labelled
from unet_engine.cli.interrupts import INTERRUPTED, stop_on_interrupt
from unet_engine.cli.options.data import DataOptions
from unet_engine.cli.options.parameters import (
    NO_SETTINGS,
    Flag,
    Settings,
    UserPath,
    settings_of,
)
from unet_engine.cli.progress import bar, report
from unet_engine.errors import DataError, SpecError
from unet_engine.images.labels.choices import Wording
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from unet_engine.metrics import Confusion, LabelKind
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.stopping import Stop
    from unet_engine.training.data.labelled_images import LabelledImage

    Labels = npt.NDArray[np.uint8]


_WORDING = Wording(
    more_classes="choose a model that has as many classes", one_class=True
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(DataOptions):
    """What is measured, and how it is printed.

    Parameters
    ----------
    model
        Name or file of the model.
    scores
        What is measured; auto: instances with --label-values objects, membranes when
        class 1 of the model is called so, else classes.
    worst
        List as many places of all images where result and labels differ most: squares
        of 128 pixels by their wrong pixels; with scores of instances the objects that
        are missed, extra, merged, split or inexact.
    json
        Print one JSON object on stdout.
    """

    images: Annotated[UserPath | None, Parameter(metavar="DIR", required=True)] = None
    labels: Annotated[UserPath | None, Parameter(metavar="DIR", required=True)] = None
    model: str
    scores: Literal["auto", "classes", "membranes", "instances"] = "auto"
    worst: Annotated[int, Parameter(validator=Number(gte=0))] = 0
    json: Flag = False


@settings_of(
    PredictConfig, everyday=("device",), without=("probabilities", "object_maps")
)
def run(*, options: EvaluateOptions, settings: Settings = NO_SETTINGS) -> int:
    """Predict images and compare the result with their labels.

    Pixels that nobody labelled do not count. Pixel error: the fraction of all pixels
    with a wrong class; of one class: with this class in either the labels or the result
    and not in both. IoU and Dice over all: the mean over the classes that occur. The
    scores that fit the labels follow: accuracies for classes, those of the ISBI 2012
    challenge for membranes, and for objects, which are the connected pieces of
    foreground, average precision, AJI and SEG; each the mean over the images.

    Parameters
    ----------
    options
        What is measured.
    settings
        How it is predicted.

    Raises
    ------
    EngineError
        When the data cannot be used or the model does not fit them.

    Examples
    --------
    napari-unet evaluate --images a/ --labels b/ --model mine
    napari-unet evaluate --images a/ --labels b/ --model mine --range 20: --json
    napari-unet evaluate --images a/ --labels b/ --model mine --worst 10
    """
    checkpoint = ModelStore().load(options.model)
    classes = checkpoint.spec.classes
    kind = _choose_kind(options, classes)
    batch = Batch(0, "images", "measured")
    worst = WorstPlaces(kind, options.worst)
    data = read_labelled(options, classes, _WORDING, batch)
    config = PredictConfig(**settings)
    with stop_on_interrupt("stopping") as stop:
        measured = measure(
            checkpoint,
            data.images,
            config,
            kind,
            stop,
            batch,
            quiet=options.quiet,
            on_predicted=worst.add,
        )
    if measured is None:
        print("napari-unet: stopped, nothing was measured", file=sys.stderr)
        return INTERRUPTED
    confusion, scores = measured
    if batch.errors and not batch.done:
        return batch.conclude(quiet=True)
    if not confusion.pixels:
        raise DataError("no pixel of these images is labelled; nothing was measured")
    figures = summarise(confusion, classes)
    figures |= {"scores": scores, "images": batch.done, "model": options.model}
    if batch.errors:
        figures["errors"] = {p.name: line for p, line in batch.errors.items()}
    if options.worst:
        figures["worst"] = worst.figures(classes)
    if options.json:
        print(json.dumps(figures))
    else:
        _print_table(figures)
    return batch.conclude(quiet=True)


def _choose_kind(options: EvaluateOptions, classes: Sequence[str]) -> LabelKind:
    """Return what the labels mean.

    Raises
    ------
    EngineError
        When ``--label-values``, ``--scores`` and the classes contradict each other.
    """
    objects = options.meaning == "objects"
    if not classes:
        raise SpecError(
            f"{options.model} has no classes and cannot segment; choose another model"
        )
    if objects and len(classes) != 2:
        raise DataError(
            "--label-values objects compares foreground and background, and the model "
            f"has the {len(classes)} classes {', '.join(classes)}; give labels with a "
            "number for each class"
        )
    kind = options.scores
    if kind != "auto" and objects != (kind == "instances"):
        raise DataError(
            f"--scores {kind} {'does not fit' if objects else 'needs'} --label-values "
            "objects; leave --scores out, or give both for labels of object ids"
        )
    if kind != "auto":
        return kind
    if objects:
        return "instances"
    return "membranes" if "membrane" in classes[1].lower() else "classes"


def measure(
    checkpoint: Checkpoint,
    data: Sequence[LabelledImage],
    config: PredictConfig,
    kind: LabelKind,
    stop: Stop,
    batch: Batch,
    *,
    quiet: bool,
    on_predicted: Callable[[LabelledImage, Labels], object],
) -> tuple[Confusion, dict[str, float]] | None:
    """Predict the images and compare them with their labels.

    Returns
    -------
    confusion, scores
        Right and wrong pixels of all images, and the scores that fit the labels; or
        None when stopped.
    """
    from unet_engine.prediction.segmentation import predict
    from unet_engine.training.evaluation import Evaluator

    evaluator = Evaluator(len(checkpoint.spec.classes), kind)
    with bar(len(data), "evaluating", quiet=quiet) as progress:
        for one in data:
            with batch.attempt(Path(one.image.name or one.name)):
                prediction = predict(one.image, checkpoint, config, stop=stop)
                if not prediction.complete:
                    return None
                evaluator.add(one, prediction.labels)
                on_predicted(one, prediction.labels)
                report((f"{one.name}: {n}" for n in prediction.notes), quiet=quiet)
                batch.done += 1
            progress.update()
    measured = evaluator.result()
    return measured.confusion, dict(measured.scores)


def summarise(confusion: Confusion, classes: Sequence[str]) -> dict[str, Any]:
    """Return the figures as JSON values; None for a class that occurs nowhere."""
    counts = confusion.counts
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    each = zip(classes, wrong, confusion.iou, confusion.dice, strict=True)
    return {
        "pixel_error": confusion.pixel_error,
        "iou": confusion.mean_iou,
        "dice": confusion.mean_dice,
        "classes": {
            name: {
                "pixel_error": float(errors) / confusion.pixels,
                "iou": iou,
                "dice": dice,
            }
            for name, errors, iou, dice in each
        },
        "pixels": confusion.pixels,
    }


def _print_table(figures: dict[str, Any]) -> None:
    rows = {**figures["classes"], "all": figures}
    width = max(map(len, rows))
    print(f"{'':{width}}  pixel error    IoU   Dice")
    for name, row in rows.items():
        cells = (
            "-".rjust(size) if row[key] is None else f"{row[key]:{size}.4f}"
            for key, size in (("pixel_error", 11), ("iou", 6), ("dice", 6))
        )
        print(f"{name:{width}}  {' '.join(cells)}")
    print(
        f"{figures['images']} images, {figures['pixels']} labelled pixels; "
        "IoU and Dice of all: mean over the classes"
    )
    for name, value in figures["scores"].items():
        print(f"{name:22} {value:.4f}")
    print_places(figures.get("worst", ()))
