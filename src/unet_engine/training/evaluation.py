"""Evaluation of a model on images with labels, by the scores of the literature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.errors import Cancelled, DataError
from unet_engine.generators import drain
from unet_engine.labels import IGNORE
from unet_engine.metrics import Confusion, average_reports, report
from unet_engine.metrics.comparison import ConnectedPieces, iter_compare
from unet_engine.prediction.segmentation import predict
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from unet_engine.metrics import LabelKind
    from unet_engine.metrics.comparison import WorstPlace
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.stopping import Stop
    from unet_engine.training.data.labelled_images import LabelledImage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """How right the predictions of some images are.

    Attributes
    ----------
    confusion
        Pixels by true and predicted class, over all images; those that nobody labelled
        are left out.
    scores
        Name to score, each the mean over the images: of ``"classes"`` accuracies and
        the frequency-weighted IoU, of the other kinds what ``metrics.report`` returns.
    """

    confusion: Confusion
    scores: Mapping[str, float]

    @property
    def pixel_error(self) -> float:
        """Fraction of the labelled pixels with a wrong class."""
        return self.confusion.pixel_error

    @property
    def iou(self) -> float:
        """Mean over the classes that occur, in [0, 1]."""
        return self.confusion.mean_iou

    @property
    def dice(self) -> float:
        """Mean over the classes that occur, in [0, 1]."""
        return self.confusion.mean_dice


class Evaluator:
    """Compares predictions with labels, image by image.

    Parameters
    ----------
    classes
        Number of classes, background included.
    kind
        What the labels mean.
    """

    def __init__(self, classes: int, kind: LabelKind = "classes") -> None:
        self._confusion = Confusion(classes)
        self._kind = kind
        self._reports: list[dict[str, float]] = []

    def add(self, labelled: LabelledImage, predicted: npt.NDArray[np.uint8]) -> None:
        """Count an image.

        Parameters
        ----------
        labelled
            The truth.
        predicted
            ``(*leading, Y, X)`` class ids.

        Raises
        ------
        DataError
            When the shapes differ or a class is unknown.
        """
        target = labelled.target()
        self._confusion.add(target, predicted)
        if self._kind != "classes" and (target != IGNORE).any():
            self._reports.append(_report(labelled, target, predicted, self._kind))

    def result(self) -> Evaluation:
        """Return what was counted so far."""
        confusion = self._confusion
        if self._kind != "classes":
            scores = average_reports(self._reports)
        else:
            scores = {
                "pixel_accuracy": confusion.pixel_accuracy,
                "mean_accuracy": confusion.mean_accuracy,
                "frequency_weighted_iou": confusion.frequency_weighted_iou,
            }
        return Evaluation(confusion=confusion, scores=scores)


def find_worst(
    labelled: LabelledImage,
    predicted: npt.NDArray[np.uint8],
    kind: LabelKind,
    most: int,
) -> tuple[WorstPlace, ...]:
    """Return the places of an image where result and labels differ most.

    Parameters
    ----------
    labelled
        The truth.
    predicted
        ``(*leading, Y, X)`` class ids.
    kind
        What the labels mean; the objects of a mask are its connected pieces.
    most
        Places at most.
    """
    target = labelled.target()
    objects = labelled.object_ids() if kind == "instances" else None
    if objects is None:
        return drain(iter_compare(target, predicted, most=most)).worst
    ndim = 3 if labelled.image.leading_axes.endswith("Z") else 2
    counted = np.where(target == IGNORE, 0, predicted)
    pieces = ConnectedPieces(counted, ndim)
    run = iter_compare(objects, pieces, "instances", ndim=ndim, most=most)
    return drain(run).worst


def evaluate(
    checkpoint: Checkpoint,
    labelled: Iterable[LabelledImage],
    config: PredictConfig | None = None,
    *,
    kind: LabelKind = "classes",
    stop: Stop = never,
) -> Evaluation:
    """Predict images and compare the masks with their labels.

    Parameters
    ----------
    checkpoint
        The model.
    labelled
        Images that it did not learn from, with labels of its classes.
    config
        How to predict; None for the defaults.
    kind
        What is measured beside pixels: ``"membranes"`` adds the scores of the ISBI 2012
        challenge, ``"instances"`` those of objects, for labels of object ids.
    stop
        Polled before every tile.

    Returns
    -------
    Evaluation

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    DataError
        When labels do not fit the model, or no pixel is labelled.
    EngineError
        As ``predict`` raises them.

    Examples
    --------
    >>> from unet_engine import Image, ModelStore, evaluate, open_labelled
    >>> from unet_engine.synthetic.nuclei import nuclei
    >>> pixels, truth = nuclei((128, 128), seed=0)
    >>> image = Image.from_array(pixels, "YX", name="generated")
    >>> data = open_labelled([(image, truth)], values="objects")
    >>> measured = evaluate(ModelStore().load("nuclei"), data, kind="instances")
    >>> measured.iou > 0.8, measured.scores["ap_50"] > 0.5
    (True, True)
    """
    evaluator = Evaluator(len(checkpoint.spec.classes), kind)
    for one in labelled:
        prediction = predict(one.image, checkpoint, config, stop=stop)
        if not prediction.complete:
            raise Cancelled("stopped; nothing was measured")
        evaluator.add(one, prediction.labels)
    measured = evaluator.result()
    if not measured.confusion.pixels:
        raise DataError("no pixel of these images is labelled; nothing was measured")
    return measured


def _report(
    labelled: LabelledImage,
    target: npt.NDArray[np.uint8],
    predicted: npt.NDArray[np.uint8],
    kind: LabelKind,
) -> dict[str, float]:
    instances = labelled.object_ids()
    if instances is None:
        return report(target, predicted, kind)
    counted = np.where(target == IGNORE, 0, predicted)
    # Objects go on from plane to plane along Z, and not from frame to frame.
    spatial = 3 if labelled.image.leading_axes.endswith("Z") else 2
    shape = (-1, *predicted.shape[-spatial:])
    return average_reports(
        [
            report(truth, ndimage.label(found > 0)[0], kind)
            for truth, found in zip(
                instances.reshape(shape), counted.reshape(shape), strict=True
            )
        ]
    )
