"""What the steps do as commands and scripts, from their settings as they are now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.jobs.training import name_for
from unet_engine.errors import DataError, UnknownAxesError
from unet_engine.images import open_image
from unet_engine.images.choice import ImageChoice
from unet_engine.models.checkpoint import ModelInfo
from unet_engine.scripting import (
    batch_texts,
    fine_tuning_texts,
    objects_texts,
    prediction_texts,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.jobs.batch import BatchOrder
    from napari_unet.state.workspace import Workspace
    from napari_unet.viewer.conversion import Layout
    from unet_engine.objects import ObjectConfig
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.scripting import RunTexts
    from unet_engine.training.config import FineTuneConfig


def texts_of_batch(order: BatchOrder) -> RunTexts:
    """Return the texts of a batch."""
    return batch_texts(
        order.sources,
        order.out,
        order.model.name,
        order.config,
        overwrite=order.overwrite,
    )


def texts_of_prediction(
    workspace: Workspace, config: PredictConfig, layout: Layout | None
) -> RunTexts:
    """Return the texts of the prediction of the chosen image.

    Parameters
    ----------
    workspace
        Has image and model.
    config, layout
        How it is predicted, and what its axes mean.

    Raises
    ------
    EngineError
        When the image is no file, or the model is not saved.
    """
    image, model = _file_of(workspace.layer), _saved(workspace.model)
    return prediction_texts(
        image, _mask_of(image), model.name, config, choice=_choice(image, layout)
    )


def texts_of_objects(
    workspace: Workspace,
    prediction: PredictConfig,
    layout: Layout | None,
    finding: ObjectConfig,
    *,
    ndim: int,
    scale: tuple[float, ...] | None,
) -> RunTexts:
    """Return the texts of finding the objects of the chosen image.

    Parameters
    ----------
    workspace, prediction, layout
        As for its prediction.
    finding, ndim, scale
        How objects are found, in how many dimensions, and the size of a pixel in µm
        that was stated.

    Raises
    ------
    EngineError
        When the image is no file, the model is not saved, or the objects on screen are
        kept as they are.
    """
    image, model = _file_of(workspace.layer), _saved(workspace.model)
    if finding.method == "keep":
        raise DataError(
            "objects that are kept come from the window alone; choose another method"
        )
    return objects_texts(
        image,
        _mask_of(image),
        model.name,
        prediction,
        finding,
        model.spec,
        ndim=ndim,
        scale=scale,
        choice=_choice(image, layout),
    )


def texts_of_training(
    workspace: Workspace, config: FineTuneConfig, *, others: bool
) -> RunTexts:
    """Return the texts of a training on strokes.

    Parameters
    ----------
    workspace
        Has the model and the strokes.
    config
        How it learns.
    others
        Strokes on other images count, too.

    Raises
    ------
    EngineError
        When no image with strokes is a file, or the model is not saved.
    """
    model = _saved(workspace.model)
    touched = workspace.touched_working_images(others=others)
    files = [_file_of(layer) for one in touched for layer in workspace.layers_of(one)]
    sources: Sequence[Path] = list(dict.fromkeys(files))
    notes = []
    listed = workspace.listed.images
    if others and listed is not None:
        sources = [listed.path]
    elif others and workspace.related.images:
        notes.append("Strokes on images that are not open are not in it.")
    if workspace.pairs:
        notes.append("Pairs of layers are not in it: save them as files.")
    if not sources:
        raise DataError("there are no strokes to learn from; paint some in step 2")
    return fine_tuning_texts(
        sources,
        model.name,
        workspace.store.free_name(name_for(model)),
        config,
        model.spec,
        classes=workspace.classes,
        note=" ".join(notes),
    )


def _file_of(layer: Any) -> Path:
    path = None if layer is None else layer.source.path
    if not path:
        name = "no image is open" if layer is None else f"{layer.name!r} is no file"
        raise DataError(f"{name}; open the image from a file, and copy again")
    return Path(path).absolute()


def _saved(model: Any) -> ModelInfo:
    if not isinstance(model, ModelInfo) or not model.spec.classes:
        raise DataError("a command needs a saved model with classes; choose one")
    return model


def _mask_of(image: Path) -> Path:
    """Return where the mask goes: beside the image, as a batch writes it."""
    return image.with_name(f"{image.stem}_mask.tif")


def _choice(image: Path, layout: Layout | None) -> ImageChoice:
    """Return how a file is read so that its axes are those of the layer."""
    axes = None if layout is None else layout.axes
    try:
        same = axes is None or _leading(axes) == open_image(image).leading_axes
    except UnknownAxesError:
        same = False
    return ImageChoice(axes=None if same else axes)


def _leading(axes: str) -> str:
    return "".join(axis for axis in axes if axis not in "CSYX")
