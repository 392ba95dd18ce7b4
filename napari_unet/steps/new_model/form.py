"""The fields that describe a new model: which network, which classes, from what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QLineEdit, QSizePolicy, QSpinBox, QWidget

from napari_unet.state.untrained_model import (
    UntrainedModel,
    fitting_parents,
    trunk_title,
)
from napari_unet.widgets.forms import (
    Section,
    TextLine,
    add_row,
    column,
    rows,
    set_row_visible,
)
from unet_engine.models.architectures import ARCHITECTURES, shares_features
from unet_engine.models.checkpoint import ModelInfo
from unet_engine.models.fcn_trunks import FCN_FORMS
from unet_engine.models.receptive_fields import z_poolings_for
from unet_engine.models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.steps.new_model.defaults import ModelDefaults
    from unet_engine.models.store import ModelStore

_ORDER = (("unet", "unet-valid", "unet3d-valid"), tuple(FCN_FORMS), ("autoencoder",))
"""The everyday network first, and groups of those that are alike."""
_NDIMS = {2: "2-D, plane by plane", 3: "3-D, whole volumes"}
"""Numbers of dimensions of a network, in words."""
_REFERENCE_WIDTH = 300
"""Pixels that the line with the paper is wide at least."""
_IMAGENET = "imagenet"
_IMAGENET_WIDTH = 64
"""Channels of the first level of the classifiers that were trained on ImageNet."""
_MEGABYTES = {"vgg16": 528, "alexnet": 233}
"""Size of the file with the weights of each classifier, in MB."""
_ADVANCED = (
    "Network", "", "Works on", "Channels", "Depth", "Width", "Poolings along Z",
)  # fmt: skip
"""Fields that the start decides, or that few need to change."""
_TOOLTIPS = {
    "Name": "Of the model, once it is trained.",
    "Network": "The networks of the literature; the line below names the paper.",
    "Classes": "Names of the classes, separated by commas, the background first.",
    "Works on": "Planes one by one, or volumes as a whole, which uses context along Z "
    "too and takes more memory.",
    "Channels": "Channels of the images. Colour images have 3.",
    "Depth": "Number of poolings. Each one doubles the receptive field.",
    "Width": "Channels of the first level; each pooling doubles them. More can learn "
    "more, and take longer.",
    "Poolings along Z": "How many of the poolings also pool along Z. Fewer for a stack "
    "of few planes, or of planes that lie far apart.",
    "Start from": "Random weights; a classifier trained on ImageNet; or a model that "
    "was trained before and has the same layers.",
}


class ModelForm(QWidget):
    """The form of a `UntrainedModel`.

    Parameters
    ----------
    store
        Its names are taken already.
    models
        Those a new one may start from.
    defaults
        What the fields start with.

    Attributes
    ----------
    name, network, ndim, classes, channels, depth, width, z_poolings, start
        The fields.
    advanced
        The part with those that few need to change.
    changed
        Any of them has another value.
    """

    changed = Signal()

    def __init__(
        self, store: ModelStore, models: Sequence[Any], defaults: ModelDefaults
    ) -> None:
        super().__init__()
        self._store = store
        self._models = [model for model in models if isinstance(model, ModelInfo)]
        self._defaults = defaults
        self._offered_name = ""
        self._shown_parent: ModelInfo | None = None
        self._make_fields()
        self._lay_out()
        self.network.currentIndexChanged.connect(self._on_network_changed)
        self.ndim.currentIndexChanged.connect(self._on_ndim_changed)
        self.depth.valueChanged.connect(self._on_depth_changed)
        self.start.currentIndexChanged.connect(self._on_start_changed)
        for field in (self.channels, self.width, self.z_poolings):
            field.valueChanged.connect(self.changed)
        for line in (self.name, self.classes):
            line.textChanged.connect(self.changed)
        self._on_network_changed()

    def _make_fields(self) -> None:
        self.name = QLineEdit()
        self.network = QComboBox()
        for names in _ORDER:
            if self.network.count():
                self.network.insertSeparator(self.network.count())
            for name in names:
                row = ARCHITECTURES[name]
                self.network.addItem(row.title, name)
                last = self.network.count() - 1
                self.network.setItemData(
                    last, row.reference, Qt.ItemDataRole.ToolTipRole
                )
        self.reference = TextLine()
        self.reference.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred
        )
        # Else its height is that of a narrower text.
        self.reference.setMinimumWidth(_REFERENCE_WIDTH)
        self.classes = QLineEdit(", ".join(self._defaults.classes))
        self.ndim = QComboBox()
        self.channels = _spin(1, 1024, self._defaults.channels)
        self.depth, self.width = _spin(1, 8), _spin(1, 512)
        self.z_poolings = _spin(0, 8)
        self.start = QComboBox()

    def _lay_out(self) -> None:
        self.advanced = Section(
            "Advanced", "The network, and how large it is.", expanded=False
        )
        plain, self._rows = rows(), rows()
        for title, field in (
            ("Classes", self.classes),
            ("Start from", self.start),
            ("Name", self.name),
            ("Network", self.network),
            ("", self.reference),
            ("Works on", self.ndim),
            ("Channels", self.channels),
            ("Depth", self.depth),
            ("Width", self.width),
            ("Poolings along Z", self.z_poolings),
        ):
            form = self._rows if title in _ADVANCED else plain
            if title:
                add_row(form, title, field, _TOOLTIPS[title])
            else:
                form.addRow("", field)
        self.advanced.content.addLayout(self._rows)
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(plain)
        layout.addWidget(self.advanced)
        self.advanced.toggled.connect(self.changed)

    @property
    def architecture(self) -> str:
        """The chosen row of the table."""
        return str(self.network.currentData())

    @property
    def parent_model(self) -> ModelInfo | None:
        """The model that lends its weights, or None."""
        chosen = self.start.currentData()
        return chosen if isinstance(chosen, ModelInfo) else None

    @property
    def _names_classes(self) -> bool:
        """Whether the classes are free, and not those of the start."""
        parent = self.parent_model
        return (
            parent is None
            or not parent.spec.classes
            or shares_features(self.architecture, parent.spec)
        )

    @property
    def megabytes(self) -> int:
        """Size of what has to be fetched before the model can be made."""
        if self.start.currentData() != _IMAGENET:
            return 0
        return _MEGABYTES[FCN_FORMS[self.architecture].trunk]

    def choose_network(self, architecture: str) -> None:
        """Choose a row of the table."""
        self.network.setCurrentIndex(self.network.findData(architecture))

    def choose_start(self, name: str) -> None:
        """Choose a model to start from, if it is among those that fit."""
        for index in range(self.start.count()):
            model = self.start.itemData(index)
            if isinstance(model, ModelInfo) and model.name == name:
                self.start.setCurrentIndex(index)

    def untrained(self) -> UntrainedModel:
        """Return what the fields describe.

        Raises
        ------
        EngineError
            When it cannot be built, or not be saved under its name.
        """
        self._store.check_name(self.name.text())
        return UntrainedModel(
            name=self.name.text(),
            spec=self._spec(),
            parent=self.parent_model,
            imagenet=self.start.currentData() == _IMAGENET,
        )

    def _spec(self) -> ModelSpec:
        classes = tuple(name.strip() for name in self.classes.text().split(","))
        if (parent := self.parent_model) is not None:
            return parent.spec.changed(architecture=self.architecture, classes=classes)
        volumes = self.ndim.currentData() == 3
        return ModelSpec.for_architecture(
            self.architecture,
            ndim=self.ndim.currentData(),
            in_channels=self.channels.value(),
            classes=classes,
            depth=self.depth.value(),
            width=self.width.value(),
            z_poolings=self.z_poolings.value() if volumes else None,
        )

    def _on_network_changed(self) -> None:
        row = ARCHITECTURES[self.architecture]
        # No signal while it is half changed.
        with QSignalBlocker(self):
            if self.name.text() == self._offered_name:
                self._offered_name = self._store.free_name(self.architecture)
                self.name.setText(self._offered_name)
            self.reference.setText(row.reference)
            with QSignalBlocker(self.ndim):
                self.ndim.clear()
                for ndim in row.ndims:
                    self.ndim.addItem(_NDIMS[ndim], ndim)
            set_row_visible(self._rows, self.ndim, len(row.ndims) > 1)
            self.width.setValue(row.width)
            self._on_ndim_changed()
        self.changed.emit()

    def _on_ndim_changed(self) -> None:
        ndim = self.ndim.currentData()
        set_row_visible(self._rows, self.z_poolings, ndim == 3)
        with QSignalBlocker(self):
            self.depth.setValue(ARCHITECTURES[self.architecture].depth_for(ndim))
            self._offer_starts()
        self._on_depth_changed()

    def _on_depth_changed(self) -> None:
        depth = self.depth.value()
        self.z_poolings.setMaximum(depth)
        self.z_poolings.setValue(
            z_poolings_for(
                self._defaults.planes, depth, elongation=self._defaults.elongation
            )
        )
        self.changed.emit()

    def _offer_starts(self) -> None:
        with QSignalBlocker(self.start):
            self.start.clear()
            self.start.addItem("random weights", None)
            if self.architecture in FCN_FORMS:
                self.start.addItem(
                    f"{trunk_title(self.architecture)} trained on ImageNet", _IMAGENET
                )
            for model in fitting_parents(
                self.architecture, self.ndim.currentData(), self._models
            ):
                self.start.addItem(f"model {model.name}", model)
            if self._defaults.start is not None:
                self.choose_start(self._defaults.start.name)
        self._on_start_changed()

    def _on_start_changed(self) -> None:
        """Show what the start decides, and make it read-only."""
        row, parent = ARCHITECTURES[self.architecture], self.parent_model
        imagenet = self.start.currentData() == _IMAGENET
        if parent is not None:
            self.channels.setValue(parent.spec.in_channels)
            self.depth.setValue(parent.spec.depth)
            self.width.setValue(parent.spec.width)
            if parent.spec.classes and not self._names_classes:
                self.classes.setText(", ".join(parent.spec.classes))
        else:
            if self._shown_parent is not None:
                self.channels.setValue(self._defaults.channels)
                self.depth.setValue(row.depth_for(self.ndim.currentData()))
                self.width.setValue(row.width)
            if imagenet:
                self.width.setValue(_IMAGENET_WIDTH)
        self._shown_parent = parent
        self.channels.setEnabled(parent is None)
        self.classes.setEnabled(self._names_classes)
        self.depth.setEnabled(parent is None and not row.fixed_depth)
        self.width.setEnabled(parent is None and not imagenet)
        self.changed.emit()


def _spin(least: int, most: int, value: int = 0) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(least, most)
    spin.setValue(value)
    return spin
