"""More training data: image layers with labels layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox, LineEdit
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtWidgets import QHBoxLayout, QListWidget

from napari_unet.state.training_pair import Pair
from napari_unet.viewer.conversion import full_data, labelled_layout
from napari_unet.viewer.screen_layer import is_screen_layer
from napari_unet.widgets.buttons import button
from napari_unet.widgets.forms import Section, TextLine, add_row, rows
from napari_unet.widgets.tooltips import enable, explain
from unet_engine.errors import EngineError
from unet_engine.images.labels.choices import LABEL_VALUES, parse_unlabelled

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.state.workspace import Workspace
    from unet_engine.images.labels.choices import LabelValues

_LIST_HEIGHT = 54
"""Pixels of the list of pairs: three lines."""
_VALUES = (
    "classes: each number is a class, 0 the background. objects: each number is an "
    "object, and all above 0 become class 1. mask: what is above 0, or above half of "
    "the highest grey level, becomes class 1. auto: what the labels can only be."
)
_LABELS = (
    "Labels of that image: a Labels layer, or an image layer of whole numbers, as "
    "which napari opens many label files."
)
_MANY_VALUES = 20
"""Different values above 0 in a plane from which on they are object ids: hardly anybody
labels so many classes."""
_LOOKED_AT = 256
"""Pixels along each axis of a plane that are looked at for that."""
_REMOVE = "Do not train on the pair that is chosen in the list."
_CHOOSE_FIRST = "Choose a pair in the list; then it can be changed above, or removed."
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
        self.labels = ComboBox(choices=self._label_layers)
        self.label_values = ComboBox(choices=LABEL_VALUES)
        self.unlabelled = LineEdit(value="auto")
        self._preset: LabelValues = "auto"
        self.meaning = TextLine()
        form = rows()
        add_row(form, "Image", self.image.native, "An image layer to train on.")
        add_row(form, "Labels", self.labels.native, _LABELS)
        self.content.addLayout(form)
        add_row(form, "Label values", self.label_values.native, _VALUES)
        add_row(form, "Not labelled", self.unlabelled.native, _UNLABELLED)
        self._make_list()
        self.content.addWidget(self.meaning)
        workspace.pairs_changed.connect(self._show_pairs)
        self.labels.changed.connect(self._preset_values)
        self.image.changed.connect(lambda _: self.list.setCurrentRow(-1))
        self.label_values.changed.connect(self._change_chosen)
        self.unlabelled.changed.connect(self._change_chosen)

    def _make_list(self) -> None:
        line = QHBoxLayout()
        line.addWidget(button("Add", "Train on this pair too.", self.add_pair))
        self.remove = button("Remove", _REMOVE, self.remove_pair)
        line.addWidget(self.remove)
        self.list = QListWidget()
        self.list.setFixedHeight(_LIST_HEIGHT)
        self.list.setToolTip(
            "Pairs that the next training learns from. What is chosen above is changed "
            "for the pair that is chosen here."
        )
        self.list.currentRowChanged.connect(self._on_chosen)
        self.content.addLayout(line)
        self.content.addWidget(self.list)
        self._show_pairs()

    def _layers_of(self, kind: type) -> Any:
        def choices(_: Any) -> list[Any]:
            return [layer for layer in self._data_layers() if isinstance(layer, kind)]

        return choices

    def _data_layers(self) -> list[Any]:
        layers = self._viewer.layers
        return [layer for layer in layers if not is_screen_layer(layer)]

    def _label_layers(self, _: Any) -> list[Any]:
        """Return layers of labels, and images that may hold some."""
        layers = self._data_layers()
        painted = [layer for layer in layers if isinstance(layer, Labels)]
        opened = [
            layer
            for layer in layers
            if isinstance(layer, ImageLayer)
            and not layer.rgb
            and np.issubdtype(full_data(layer).dtype, np.integer)
        ]
        return painted + opened

    def _preset_values(self, labels: Any) -> None:
        """Choose object ids where values are many, unless something was chosen."""
        # What is chosen now is another pair.
        self.list.setCurrentRow(-1)
        if labels is None or self.label_values.value != self._preset:
            return
        many = _has_many_values(full_data(labels))
        self._preset = "objects" if many else "auto"
        self.label_values.value = self._preset

    def reset_choices(self, *_: Any) -> None:
        """Offer the layers that there are now, and drop pairs that lost one."""
        self.image.reset_choices()
        self.labels.reset_choices()
        for pair in list(self._workspace.pairs):
            if not {pair.image, pair.labels} <= set(self._viewer.layers):
                self._workspace.remove_pair(pair)

    def add_pair(self) -> None:
        """Add what is chosen, if it fits together, or change it if it is there."""
        image, labels = self.image.value, self.labels.value
        if image is None or labels is None:
            show_warning("Choose an image layer and the labels made for it.")
            return
        if image is labels:
            show_warning(
                f"{image.name!r} cannot be its own labels. Choose the layer that holds "
                "them; open the file if it is not there."
            )
            return
        try:
            layout = labelled_layout(image, labels)
            unlabelled = parse_unlabelled(self.unlabelled.value)
        except EngineError as error:
            show_warning(str(error))
            return
        pair = Pair(image, labels, layout, self.label_values.value, unlabelled)
        for known in self._workspace.pairs:
            if (known.image, known.labels) == (image, labels):
                self._workspace.replace_pair(known, pair)
                return
        self._workspace.add_pair(pair)

    def _chosen(self) -> Pair | None:
        row = self.list.currentRow()
        pairs = self._workspace.pairs
        return pairs[row] if 0 <= row < len(pairs) else None

    def _on_chosen(self) -> None:
        """Show what is known of the pair that was chosen in the list."""
        pair = self._chosen()
        explain(self.remove, _REMOVE)
        enable(self.remove, _CHOOSE_FIRST if pair is None else "")
        if pair is None:
            return
        with self.label_values.changed.blocked(), self.unlabelled.changed.blocked():
            self.label_values.value = pair.label_values
            self.unlabelled.value = str(pair.unlabelled)
        with self.image.changed.blocked(), self.labels.changed.blocked():
            self.image.value, self.labels.value = pair.image, pair.labels

    def _change_chosen(self) -> None:
        """Change the pair that is chosen in the list, in its place."""
        pair = self._chosen()
        if pair is None:
            return
        try:
            unlabelled = parse_unlabelled(self.unlabelled.value)
        except EngineError:
            # Not typed to its end yet.
            return
        changed = replace(
            pair, label_values=self.label_values.value, unlabelled=unlabelled
        )
        self._workspace.replace_pair(pair, changed)

    def remove_pair(self) -> None:
        """Remove the pair that is chosen in the list."""
        pair = self._chosen()
        if pair is not None:
            self._workspace.remove_pair(pair)

    def _show_pairs(self) -> None:
        row, known = self.list.currentRow(), self.list.count()
        pairs = self._workspace.pairs
        self.list.clear()
        for pair in pairs:
            self.list.addItem(pair.title)
            self.list.item(self.list.count() - 1).setToolTip(pair.title)
        if len(pairs) == known:
            # One was changed in its place.
            self.list.setCurrentRow(row)
        self.list.setVisible(bool(pairs))
        self._on_chosen()


def _has_many_values(data: Any) -> bool:
    """Return whether the first plane of labels has more values than classes.

    False of what is not in memory: the window must not wait for a file.
    """
    if not isinstance(data, np.ndarray):
        return False
    plane = data[(0,) * (data.ndim - 2)]
    steps = tuple(slice(None, None, max(1, n // _LOOKED_AT)) for n in plane.shape)
    values = np.unique(np.asarray(plane[steps]))
    return int((values > 0).sum()) > _MANY_VALUES
