"""What the fields of a new model start with, from the chosen image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.state.untrained_model import start_for
from napari_unet.viewer.conversion import elongation_of
from unet_engine.errors import EngineError
from unet_engine.models.spec import ModelSpec

if TYPE_CHECKING:
    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.predict.form import PredictionForm
    from unet_engine.models.checkpoint import ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDefaults:
    """What the fields of a new model start with.

    Attributes
    ----------
    classes
        Of what was painted already, or the usual ones.
    channels, planes
        Of the chosen image.
    elongation
        Distance of its planes over that of its pixels.
    start
        Model that is chosen to start from where it fits the network; None: random
        weights.
    """

    classes: tuple[str, ...] = ModelSpec().classes
    channels: int = 1
    planes: int = 1
    elongation: float = 1.0
    start: ModelInfo | None = None


def defaults_for(
    workspace: Workspace, masks: Masks, form: PredictionForm
) -> ModelDefaults:
    """Return what a new model starts with, from the chosen image.

    Parameters
    ----------
    workspace, masks
        What is worked on.
    form
        Has the chosen image.
    """
    view = masks.current
    classes = ModelDefaults().classes
    if view is not None and view.working_image.counts:
        classes = workspace.painted_classes(view.working_image)
    try:
        image, layout = form.chosen_image()
    except EngineError:
        return ModelDefaults(classes=classes, start=start_for(None, workspace.models))
    return ModelDefaults(
        classes=classes,
        channels=image.channels,
        planes=image.leading_shape[-1] if image.leading_axes.endswith("Z") else 1,
        elongation=elongation_of(workspace.layer, layout),
        start=start_for(image, workspace.models),
    )
