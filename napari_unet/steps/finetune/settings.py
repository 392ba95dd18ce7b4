"""The settings of a training that few need, and those that a paper sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.widgets.forms import Section, TextLine, config_form
from unet_engine.models.architectures import row_for

if TYPE_CHECKING:
    from collections.abc import Mapping


class TrainingSettings(Section):
    """The form of a config, and the recipe of a network in it.

    Parameters
    ----------
    config
        A dataclass, as for `config_form`.
    leave_out
        Fields that are shown elsewhere.

    Attributes
    ----------
    form
        Calling it returns the config.
    recipe
        A line with the settings of the network's paper that differ from the usual.
    """

    def __init__(self, config: type, *, leave_out: tuple[str, ...]) -> None:
        super().__init__("Advanced settings", "How the training runs.", expanded=False)
        self.form = config_form(config, leave_out=leave_out)
        self.recipe = TextLine()
        self.content.addWidget(self.recipe)
        self.content.addWidget(self.form.native)
        self._usual: dict[str, Any] = {w.name: w.value for w in self.form}
        self._followed: Mapping[str, Any] = {}

    @property
    def usual(self) -> dict[str, Any]:
        """The values of the form when the user sets none."""
        return {**self._usual, **self._followed}

    def follow(self, architecture: str, *, transfer: bool) -> None:
        """Fill in the recipe of a network, and take back that of the last one.

        What the user set stays, but for the settings of the recipe.

        Parameters
        ----------
        architecture
            A row of the table.
        transfer
            The weights to start from were trained already.
        """
        row = row_for(architecture)
        recipe, before = row.recipe_for(transfer=transfer), self._followed
        if recipe == before:
            return
        # First, as whoever follows the form compares it with what is usual.
        self._followed = recipe
        for name, value in before.items():
            if self.form[name].value == value:
                self.form[name].value = self._usual[name]
        for name, value in recipe.items():
            self.form[name].value = value
        self.recipe.setText(_describe(row.title, recipe))


def _describe(title: str, recipe: Mapping[str, Any]) -> str:
    if not recipe:
        return ""
    text = ", ".join(
        f"{name.replace('_', ' ')} {_word(value)}" for name, value in recipe.items()
    )
    return f"As usual for {title}: {text}."


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
