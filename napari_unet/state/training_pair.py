"""Training data that the user added to the strokes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_unet.viewer.conversion import Layout
    from unet_engine.images.labels.choices import LabelValues, Unlabelled


@dataclass(frozen=True, slots=True)
class Pair:
    """Training data the user added: an image layer and a labels layer.

    Attributes
    ----------
    layout
        What the axes of the image are.
    label_values, unlabelled
        What the values of the labels mean, as of ``decide_labels``.
    """

    image: Any
    labels: Any
    layout: Layout
    label_values: LabelValues = "auto"
    unlabelled: Unlabelled = "auto"

    @property
    def title(self) -> str:
        """The pair in a list."""
        choices: list[str] = []
        if self.label_values != "auto":
            choices.append(self.label_values)
        if self.unlabelled != "auto":
            choices.append(f"{self.unlabelled} unlabelled")
        kind = f" ({', '.join(choices)})" if choices else ""
        return f"{self.image.name} + {self.labels.name}{kind}"
