"""The chosen model in a list that was read again: renamed, deleted, or as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.state.untrained_model import UntrainedModel
from unet_engine.models.lineage import find_known, same_trainings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.state.untrained_model import Model

_GONE = (
    "The model {0} is not there any more: it was deleted or moved. {1} is chosen now. "
    "A deleted model can be brought back: Manage models… in the … menu of step 1."
)


def find_again(model: Model, models: Sequence[Model]) -> Model | None:
    """Return a model in a list that was read again, also under another name.

    Parameters
    ----------
    model
        That was chosen.
    models
        Those there are now.
    """
    for other in models:
        if other.name == model.name:
            return other
    found = find_known(model.name, models, model.history)
    if found is None or isinstance(model, UntrainedModel):
        return None
    return found if same_trainings(found, model) else None


def describe_gone(model: Model, instead: Model | None) -> str:
    """Return the sentences on a chosen model that is not there any more."""
    return _GONE.format(model.name, instead.name if instead else "No model")
