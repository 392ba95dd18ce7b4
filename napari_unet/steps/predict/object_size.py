"""``ObjectSizeRow``: how large the objects are, typed, measured or estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QWidget

from napari_unet.viewer.measuring_line import MeasuringLine
from napari_unet.widgets.buttons import button
from napari_unet.widgets.forms import TextLine
from unet_engine.prediction.config import SMALLEST_OBJECT

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.state.workspace import Workspace
    from unet_engine.models.spec import ModelSpec
    from unet_engine.prediction.config import ObjectSize

TOOLTIP = (
    "How large objects are: the image is predicted at the scale that brings them to "
    "the size that the model was trained on."
)
PIXELS = "px"
_CHOICES = {
    "auto": "auto",
    PIXELS: "px",
    "pixel-size": "from pixel size",
    "off": "off (1x)",
}
_LARGEST = 9999.0
"""Pixels that can be typed: far more than an image has at the size of one object."""


class ObjectSizeRow(QWidget):
    """A choice, a number of pixels, a button to measure them, and what was found.

    Parameters
    ----------
    viewer
        In which an object is measured.
    workspace
        Where what is chosen is kept.

    Attributes
    ----------
    found
        A line on the scale, to be placed below the row.
    changed
        Another size was chosen.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.found = TextLine()
        self.choice = QComboBox()
        self.pixels = QDoubleSpinBox()
        self.pixels.setRange(SMALLEST_OBJECT, _LARGEST)
        self.pixels.setDecimals(1)
        # The dock is narrow: what is typed needs the room of the arrows.
        self.pixels.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.pixels.setToolTip("Diameter of an object in pixels of the image.")
        self.measure = button(
            "Measure", "Draw a line across one object in the image.", self._measure
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.choice, self.pixels, self.measure):
            layout.addWidget(widget, 1 if widget is self.choice else 0)
        self._line = MeasuringLine(viewer, self)
        self._line.measured.connect(self._on_measured)
        self.choice.currentIndexChanged.connect(self._on_chosen)
        self.pixels.valueChanged.connect(self._on_typed)
        self._show_pixels()

    def offer(self, spec: ModelSpec | None) -> bool:
        """Offer what a model can use; return False when it is nothing.

        Parameters
        ----------
        spec
            Of the chosen model, if there is one.
        """
        self._line.remove()
        offered = [] if spec is None else _offered(spec)
        wanted = self._workspace.object_size
        self.choice.blockSignals(True)
        self.choice.clear()
        for name in offered:
            self.choice.addItem(_CHOICES[name], name)
        named = wanted if isinstance(wanted, str) else PIXELS
        if offered:
            self.choice.setCurrentIndex(offered.index(named) if named in offered else 0)
        self.choice.blockSignals(False)
        self._keep()
        self._show_pixels()
        return bool(offered)

    def choose(self, size: ObjectSize, spec: ModelSpec | None) -> None:
        """Choose a size as ``PredictConfig`` takes it, if a model can use it."""
        if isinstance(size, float | int):
            self.pixels.blockSignals(True)
            self.pixels.setValue(size)
            self.pixels.blockSignals(False)
        self._workspace.object_size = size
        self.offer(spec)

    def suggest(self, diameter: float) -> None:
        """Set the pixels that stand there when the user chooses them."""
        if self.choice.currentData() != PIXELS:
            self.pixels.blockSignals(True)
            self.pixels.setValue(diameter)
            self.pixels.blockSignals(False)

    @property
    def value(self) -> ObjectSize:
        """What is chosen, as ``PredictConfig`` takes it."""
        chosen: Any = self.choice.currentData()
        if chosen is None:
            return "auto"
        size: ObjectSize = float(self.pixels.value()) if chosen == PIXELS else chosen
        return size

    def _keep(self) -> None:
        self._workspace.object_size = self.value

    def _on_chosen(self, *_: Any) -> None:
        self._show_pixels()
        self._on_typed()

    def _on_typed(self, *_: Any) -> None:
        self._keep()
        self.changed.emit()

    def _show_pixels(self) -> None:
        chosen = self.choice.currentData()
        self.pixels.setVisible(chosen == PIXELS)
        self.measure.setVisible(chosen in (PIXELS, "auto"))

    def _measure(self) -> None:
        layer = self._workspace.layer
        if self._line.is_shown:
            self._line.remove()
        elif layer is not None:
            self._line.show(layer)
        self.measure.setText("Cancel" if self._line.is_shown else "Measure")

    def _on_measured(self, length: float) -> None:
        self.measure.setText("Measure")
        if length < SMALLEST_OBJECT:
            self.found.setText("That line was too short; draw it across one object.")
            return
        self.pixels.blockSignals(True)
        self.pixels.setValue(length)
        self.pixels.blockSignals(False)
        number = self.choice.findData(PIXELS)
        if number == self.choice.currentIndex():
            self._on_typed()
        else:
            self.choice.setCurrentIndex(number)


def _offered(spec: ModelSpec) -> list[str]:
    """Return the choices that a model can use."""
    if not spec.classes:
        return []
    offered = ["auto", PIXELS] if spec.object_size_px is not None else []
    if spec.pixel_size_um is not None and offered:
        offered.append("pixel-size")
    elif spec.pixel_size_um is not None:
        return ["off", "pixel-size"]
    return [*offered, "off"] if offered else []
