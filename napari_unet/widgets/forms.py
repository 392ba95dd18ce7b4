"""Parts that forms are made of: sections, labelled rows, buttons, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui import magicgui
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QProgressBar,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from magicgui.widgets import FunctionGui
    from magicgui.widgets.bases import ValueWidget

_MARGIN = 4
"""Pixels between widgets and around them: the dock is narrow."""
_SHORT = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
_SHORTEST = 8
"""Characters of its text that a box of choices shows at least."""
_NARROWEST_FIELD = 70
"""Pixels that a field of a form is wide at least: a number of five digits."""


class Section(QWidget):
    """A titled part of the dock that can be folded.

    Parameters
    ----------
    title
        Shown on the bar that folds it.
    tooltip
        What the part is for.
    expanded
        Whether it starts open.

    Attributes
    ----------
    content
        Where the widgets of the part go, from top to bottom.
    unfolded
        The user unfolded it; what it shows may lie below the edge of the dock.
    toggled
        It was folded or unfolded.
    """

    unfolded = Signal(object)
    toggled = Signal(bool)

    def __init__(self, title: str, tooltip: str, *, expanded: bool = True) -> None:
        super().__init__()
        self._bar = QToolButton()
        self._bar.setObjectName("unet_section")
        self._bar.setText(title)
        self._bar.setToolTip(tooltip)
        self._bar.setCheckable(True)
        self._bar.setAutoRaise(True)
        font = self._bar.font()
        font.setBold(True)
        self._bar.setFont(font)
        self._bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._bar.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._body = QWidget()
        self.content = column(self._body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._bar)
        layout.addWidget(self._body)
        self._bar.toggled.connect(self._fold)
        self._bar.clicked.connect(self._on_clicked)
        self._bar.setChecked(expanded)
        self._fold(expanded)

    @property
    def expanded(self) -> bool:
        """Whether the content is shown."""
        return bool(self._bar.isChecked())

    def expand(self) -> None:
        """Show the content."""
        self._bar.setChecked(True)

    def set_title(self, title: str) -> None:
        """Show another text on the bar."""
        self._bar.setText(title)

    def _on_clicked(self, expanded: bool) -> None:
        if expanded:
            self.unfolded.emit(self)

    def _fold(self, expanded: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if expanded else Qt.ArrowType.RightArrow
        self._bar.setArrowType(arrow)
        self._body.setVisible(expanded)
        self.toggled.emit(expanded)


def column(parent: QWidget) -> QVBoxLayout:
    """Lay a widget out from top to bottom, with narrow margins."""
    layout = QVBoxLayout(parent)
    layout.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
    layout.setSpacing(_MARGIN)
    return layout


def rows() -> QFormLayout:
    """Return a layout of labelled rows that fits a narrow dock."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(_MARGIN)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    return layout


def add_row(layout: QFormLayout, title: str, widget: QWidget, tooltip: str) -> None:
    """Add a labelled widget whose label explains it too."""
    label = QLabel(title)
    label.setToolTip(tooltip)
    widget.setToolTip(tooltip)
    for box in (widget, *widget.findChildren(QComboBox)):
        if isinstance(box, QComboBox):
            # The longest layer name must not decide how wide the dock is.
            box.setSizeAdjustPolicy(_SHORT)
            box.setMinimumContentsLength(_SHORTEST)
    widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    layout.addRow(label, widget)


def set_row_visible(layout: QFormLayout, widget: QWidget, visible: bool) -> None:
    """Show or hide a row with its label; Qt 5 has no method for it."""
    widget.setVisible(visible)
    if (label := layout.labelForField(widget)) is not None:
        label.setVisible(visible)


class TextLine(QLabel):
    """A sentence or two, wrapped; without text it takes no room."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setText("")

    def setText(self, text: str) -> None:
        """Show a text."""
        super().setText(text)
        self.setVisible(bool(text))


class ProgressLine(QProgressBar):
    """A progress bar that is painted together with the other changes in the window.

    Qt's own paints at once on every value, and the whole window each time, as there is
    a canvas in it; and one that is busy is animated. Without a GPU either takes time
    from the network.
    """

    def show_share(self, done: int, total: int) -> None:
        """Show how much is done."""
        self.setUpdatesEnabled(False)
        self.setRange(0, total)
        self.setValue(done)
        self.setUpdatesEnabled(True)


def colour_icon(colour: str) -> QIcon:
    """Return a square of a colour, with a gap to the text on its right."""
    edge, gap = 12, 6
    pixmap = QPixmap(QSize(edge + gap, edge))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.fillRect(0, 0, edge, edge, QColor(colour))
    painter.end()
    return QIcon(pixmap)


def config_form(config: type, *, leave_out: tuple[str, ...] = ()) -> FunctionGui:
    """Return the form of a config dataclass; calling it returns the config.

    Limits, choices and tooltips come from the dataclass.

    Parameters
    ----------
    config
        A dataclass whose annotations magicgui can read.
    leave_out
        Fields that are shown elsewhere; they can still be set on the form.
    """
    hidden: dict[str, Any] = {name: {"visible": False} for name in leave_out}
    form = magicgui(config, call_button=False, labels=True, **hidden)
    form.margins = (0, 0, 0, 0)
    for field in form:
        _make_narrow(field)
    # magicgui makes labels equally wide when one has changed, not when they are made.
    form[0].label = form[0].label
    return form


def _make_narrow(field: ValueWidget) -> None:
    field.native.setMinimumWidth(_NARROWEST_FIELD)


def minutes_seconds(seconds: float) -> str:
    """Return a time as ``1:05``."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"
