"""What the user set in the forms of the steps, kept with the list of images."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import QObject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_unet.state.listed_images import ListedImages
    from unet_engine.image_list.image_list import ImageList

_FORMS = "forms"
"""Setting of a list: values of forms that are not the usual ones, by step and field."""


class Field(Protocol):
    """A control with a value, as those of magicgui."""

    value: Any
    changed: Any


class FormValues(QObject):
    """Keeps values that differ from the usual ones, and sets them again the next day.

    Parameters
    ----------
    listed
        Has the list.
    forms
        The fields of each step by their names.
    usual
        Returns the values that fields have if nobody sets them, for steps in which that
        changes; of the others it is what they have now.
    parent
        Of the object.
    """

    def __init__(
        self,
        listed: ListedImages,
        forms: Mapping[str, Mapping[str, Field]],
        usual: Mapping[str, Callable[[], Mapping[str, Any]]],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._listed, self._forms, self._usual = listed, forms, usual
        self._first = {
            step: {name: field.value for name, field in fields.items()}
            for step, fields in forms.items()
        }
        self._images: ImageList | None = None
        self._setting = False
        listed.list_changed.connect(self._on_list_changed)
        for fields in forms.values():
            for field in fields.values():
                field.changed.connect(self.keep)

    def keep(self, *_: Any) -> None:
        """Note what differs from the usual now."""
        images = self._listed.images
        if images is None or self._setting:
            return
        changed = {step: self._changed(step) for step in self._forms}
        kept = {step: values for step, values in changed.items() if values}
        if kept != images.settings.get(_FORMS, {}):
            images.remember({_FORMS: kept})
            self._listed.save_soon()

    def _changed(self, step: str) -> dict[str, Any]:
        """Return the values of a step that are not the usual ones."""
        usual = {**self._first[step], **self._usual.get(step, dict)()}
        values = {name: field.value for name, field in self._forms[step].items()}
        return {name: value for name, value in values.items() if value != usual[name]}

    def _on_list_changed(self) -> None:
        images = self._listed.images
        if images is None or images is self._images:
            return
        self._images = images
        kept = images.settings.get(_FORMS)
        if not isinstance(kept, dict):
            # A new list begins with what is set now.
            self.keep()
            return
        self._setting = True
        try:
            for step, fields in self._forms.items():
                _fill(fields, kept.get(step))
        finally:
            self._setting = False


def _fill(fields: Mapping[str, Field], values: Any) -> None:
    """Set fields; what is no value for one, as of a newer version, is left out."""
    for name, value in values.items() if isinstance(values, dict) else ():
        if name in fields:
            # Every kind of field has errors of its own for what it cannot hold.
            with suppress(Exception):
                fields[name].value = value
