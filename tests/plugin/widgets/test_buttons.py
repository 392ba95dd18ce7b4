"""The button that a step is for stands out, and looks disabled where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from napari._qt.qt_resources import get_stylesheet
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_unet.widgets.buttons import button, make_primary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Docked
    from pytestqt.qtbot import QtBot
    from qtpy.QtGui import QColor

READABLE = 4.5
"""Contrast that WCAG 2.2 asks of text of this size."""


@pytest.fixture(params=["dark", "light"])
def pair(
    request: pytest.FixtureRequest, qtbot: QtBot
) -> Iterator[tuple[QPushButton, ...]]:
    """A primary button beside one that is not, in a theme of napari."""
    parent = QWidget()
    qtbot.addWidget(parent)
    parent.setStyleSheet(get_stylesheet(request.param))
    made = make_primary(button("", "", int)), button("", "", int)
    line = QHBoxLayout(parent)
    for part in made:
        part.setFixedSize(60, 30)
        line.addWidget(part)
    parent.show()
    yield made


def middle(made: QPushButton) -> QColor:
    return made.grab().toImage().pixelColor(20, 10)


def luminance(colour: QColor) -> float:
    parts = (colour.redF(), colour.greenF(), colour.blueF())
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: QColor, second: QColor) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_its_text_is_readable(pair: tuple[QPushButton, ...]) -> None:
    primary, other = pair
    assert middle(primary) != middle(other)
    text = primary.palette().buttonText().color()
    assert contrast(middle(primary), text) > READABLE


def test_a_disabled_one_looks_like_any_other(pair: tuple[QPushButton, ...]) -> None:
    for part in pair:
        part.setEnabled(False)
    primary, other = pair
    assert middle(primary) == middle(other)


def test_each_step_has_one(dock: Docked) -> None:
    widget = dock.widget
    for step, primary in (
        (widget.predict, widget.predict.predict),
        (widget.pretrain, widget.pretrain.pretrain),
        (widget.fine_tune, widget.fine_tune.train),
        (widget.objects, widget.objects.separate),
    ):
        coloured = [x for x in step.findChildren(QPushButton) if x.styleSheet()]
        assert coloured == [primary]
