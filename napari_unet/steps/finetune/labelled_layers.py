"""More training data: image layers with labels layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, LineEdit
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtWidgets import QHBoxLayout, QListWidget

from napari_unet.state.training_pair import Pair
from napari_unet.viewer.conversion import labelled_layout
from napari_unet.widgets.buttons import button
from napari_unet.widgets.forms import Section, TextLine, add_row, rows
from unet_engine.errors import EngineError
from unet_engine.images.labels.choices import LABEL_VALUES, parse_unlabelled

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.state.workspace import Workspace

_LIST_HEIGHT = 54
"""Pixels of the list of pairs: three lines."""
_VALUES = (
    "classes: each number is a class, 0 the background. objects: each number is an "
    "object, and all above 0 become class 1. mask: what is above 0, or above half of "
    "the highest grey level, becomes class 1. auto: what the labels can only be."
)
_UNLABELLED = (
    "The value of pixels without a label, such as 255 or -1; none when all have one. "
    "auto: -1, or 255 beside classes. With 0, classes count from 1."
)


class PairsSection(Section):
    """A list of image and labels layers to train on, besides what was touched.

    Parameters
    ----------
    viewer
        Whose layers are offered.
    workspace
        Keeps the pairs.
    """

    def __init__(self, viewer: ViewerModel, workspace: Workspace) -> None:
        super().__init__(
            "More training data",
            "Train on images that have labels already, too.",
            expanded=False,
        )
        self._viewer = viewer
        self._workspace = workspace
        self.image = ComboBox(choices=self._layers_of(ImageLayer))
        self.labels = ComboBox(choices=self._layers_of(Labels))
        self.label_values = ComboBox(choices=LABEL_VALUES)
        self.unlabelled = LineEdit(value="auto")
        self.meaning = TextLine()
        form = rows()
        add_row(form, "Image", self.image.native, "An image layer to train on.")
        add_row(form, "Labels", self.labels.native, "Labels of that image.")
        self.content.addLayout(form)
        add_row(form, "Label values", self.label_values.native, _VALUES)
        add_row(form, "Not labelled", self.unlabelled.native, _UNLABELLED)
        self._make_list()
        self.content.addWidget(self.meaning)
        workspace.pairs_changed.connect(self._show_pairs)

    def _make_list(self) -> None:
        line = QHBoxLayout()
        line.addWidget(button("Add", "Train on this pair too.", self.add_pair))
        self.remove = button(
            "Remove", "Do not train on the chosen pair.", self.remove_pair
        )
        line.addWidget(self.remove)
        self.list = QListWidget()
        self.list.setFixedHeight(_LIST_HEIGHT)
        self.list.setToolTip("Pairs that the next training learns from.")
        self.content.addLayout(line)
        self.content.addWidget(self.list)
        self._show_pairs()

    def _layers_of(self, kind: type) -> Any:
        def choices(_: Any) -> list[Any]:
            return [layer for layer in self._viewer.layers if isinstance(layer, kind)]

        return choices

    def reset_choices(self, *_: Any) -> None:
        """Offer the layers that there are now, and drop pairs that lost one."""
        self.image.reset_choices()
        self.labels.reset_choices()
        for pair in list(self._workspace.pairs):
            if not {pair.image, pair.labels} <= set(self._viewer.layers):
                self._workspace.remove_pair(pair)

    def add_pair(self) -> None:
        """Add what is chosen, if it fits together."""
        image, labels = self.image.value, self.labels.value
        if image is None or labels is None:
            show_warning("Choose an image layer and the labels layer made for it.")
            return
        try:
            layout = labelled_layout(image, labels)
            unlabelled = parse_unlabelled(self.unlabelled.value)
        except EngineError as error:
            show_warning(str(error))
            return
        self._workspace.add_pair(
            Pair(image, labels, layout, self.label_values.value, unlabelled)
        )

    def remove_pair(self) -> None:
        """Remove the pair that is chosen in the list."""
        row = self.list.currentRow()
        if 0 <= row < len(self._workspace.pairs):
            self._workspace.remove_pair(self._workspace.pairs[row])

    def _show_pairs(self) -> None:
        self.list.clear()
        self.list.addItems([pair.title for pair in self._workspace.pairs])
        self.list.setVisible(bool(self._workspace.pairs))
        self.remove.setEnabled(bool(self._workspace.pairs))
