"""The slider from splitting more to merging more."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget

_STEPS = 20
"""Of the slider: one of them moves the depth of a split by a seventh."""

_TIP = (
    "Where objects touch: to the left more of them are split, to the right more stay "
    "in one piece. What it does to the part on screen is shown at once."
)


class MergingSlider(QWidget):
    """A slider between two words.

    Parameters
    ----------
    value
        Of ``ObjectConfig.merging``, from 0 to 1.
    """

    changed = Signal()

    def __init__(self, value: float) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setAccessibleName("Split more or merge more")
        self.value = value
        self.slider.valueChanged.connect(self.changed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Split more"))
        layout.addWidget(self.slider, 1)
        layout.addWidget(QLabel("Merge more"))
        self.setToolTip(_TIP)

    @property
    def value(self) -> float:
        """Where it stands, from 0 to 1."""
        return float(self.slider.value() / _STEPS)

    @value.setter
    def value(self, value: float) -> None:
        self.slider.setValue(round(value * _STEPS))
