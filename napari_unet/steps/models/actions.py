"""The buttons of the window of the models, and why some of them are off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_unet.widgets.buttons import button, make_primary
from unet_engine.models.collection.renaming import why_not_changed
from unet_engine.prediction.fitting import why_gone

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore

_TEXTS = {
    "use": ("Use this model", "Choose this model in the dock (Enter)."),
    "rename": ("Rename", "Type another name in the list (F2)."),
    "duplicate": ("Duplicate", "Copy the model, with notes and licence."),
    "export": ("Export…", "Copy the model to a file, with notes and a card."),
    "import": (
        "Import…",
        "Add model files (.safetensors), or packages "
        "of bioimage.io (.zip), to your models.",
    ),
    "delete": ("Delete", "Delete the model (Delete); it can be restored."),
    "restore": ("Deleted…", "Bring a deleted model back."),
}
"""Text and tooltip of each button, in their order."""

_COLUMNS = 3
"""Buttons beside each other: their texts fit 330 pixels."""

_NONE = "No model is selected: choose one in the list."
_BUSY = "A model is at work: wait until that ends, or stop it."


class ModelActions(QWidget):
    """A button for each thing that is done with a model.

    Parameters
    ----------
    store
        Where the models are.
    calls
        What each button does, by its key: ``use``, ``rename``, ``duplicate``,
        ``delete``, ``export``, ``import``, ``restore``.

    Attributes
    ----------
    buttons
        By their keys.
    """

    def __init__(self, store: ModelStore, calls: dict[str, Callable[[], None]]) -> None:
        super().__init__()
        self._store = store
        self.buttons: dict[str, QPushButton] = {
            key: button(*texts, calls[key]) for key, texts in _TEXTS.items()
        }
        make_primary(self.buttons["use"])
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for number, made in enumerate(self.buttons.values()):
            made.setAutoDefault(False)
            row, place = divmod(number - 1, _COLUMNS)
            # The first one, which most come for, has a row of its own.
            span = 1 if number else _COLUMNS
            layout.addWidget(made, row + 1, place if number else 0, 1, span)

    def show_state(
        self, model: ModelInfo | None, *, in_use: bool, busy: bool, deleted: bool
    ) -> None:
        """Turn off what cannot be done now, each with the reason as its tooltip.

        Parameters
        ----------
        model
            That is selected.
        in_use
            It is the chosen one.
        busy
            A prediction or a training runs.
        deleted
            There are models to restore.
        """
        reasons = dict.fromkeys(_TEXTS, "")
        if model is None:
            for key in ("use", "rename", "duplicate", "delete", "export"):
                reasons[key] = _NONE
        else:
            gone = _sentence(why_gone(model))
            for key in ("use", "duplicate", "export"):
                reasons[key] = gone
            for key, act in (("rename", "renamed"), ("delete", "deleted")):
                why = _sentence(why_not_changed(self._store, model, act))
                reasons[key] = why or gone or (_BUSY if busy else "")
            if in_use:
                reasons["use"] = reasons["use"] or "It is the chosen model."
            elif busy:
                reasons["use"] = reasons["use"] or _BUSY
        if not deleted:
            reasons["restore"] = "No model was deleted."
        for key, made in self.buttons.items():
            made.setEnabled(not reasons[key])
            made.setToolTip(reasons[key] or _TEXTS[key][1])


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
