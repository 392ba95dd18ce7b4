"""A dock that is narrower than the texts in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton

from napari_unet.widgets.buttons import NamedButton, NarrowButton

if TYPE_CHECKING:
    import numpy as np
    from conftest import Docked

NARROW = 188
"""What napari leaves of a window of 800 pixels."""


def test_everything_fits_a_narrow_dock(dock: Docked) -> None:
    inside = dock.widget._area.widget()
    dock.widget.resize(NARROW, 500)
    dock.widget.show()
    bar = dock.widget._area.verticalScrollBar().sizeHint().width()
    assert inside.minimumSizeHint().width() <= NARROW - bar
    for button in inside.findChildren(QPushButton):
        if button.isVisible():
            right = button.mapTo(inside, button.rect().topRight()).x()
            assert right <= inside.width(), button.text()


def test_parts_stand_below_each_other_where_it_is_narrow(dock: Docked) -> None:
    predict = dock.widget.predict
    dock.widget.show()
    tops = {}
    for width in (420, 110):
        dock.widget.resize(width, 500)
        dock.bot.wait(20)
        tops[width] = predict.cancel.y() - predict.predict.y()
    assert tops[420] == 0
    assert tops[110] > 0


def test_a_long_name_gives_way_to_the_colour(dock: Docked, add_model) -> None:
    long = "outer membrane of the mitochondrion"
    add_model("named", classes=("background", long))
    dock.widget.select_model("named")
    dock.widget.resize(300, 500)
    dock.widget.show()
    button = dock.widget.correct.class_buttons[1]
    dock.bot.waitUntil(lambda: button.text().endswith("…"), timeout=2000)
    room = button.width() - button.iconSize().width()
    assert button.fontMetrics().horizontalAdvance(button.text()) < room
    assert long in button.toolTip()


def test_buttons_show_their_whole_text_where_there_is_room(dock: Docked) -> None:
    correct = dock.widget.correct
    for made in correct.findChildren(NarrowButton):
        if not isinstance(made, NamedButton):
            made.resize(made.sizeHint())
            shown = made.fitting(made.text())
            assert shown == made.text(), (made.size(), made.sizeHint())


def test_what_a_section_shows_when_it_is_unfolded_is_in_viewport(dock: Docked) -> None:
    pairs = dock.widget.fine_tune.pairs
    area = dock.widget._area
    dock.widget.resize(330, 260)
    dock.widget.show()
    dock.bot.wait(20)
    area.ensureWidgetVisible(pairs)
    QTest.mouseClick(pairs._bar, Qt.MouseButton.LeftButton)
    dock.bot.waitUntil(lambda: pairs.unlabelled.native.isVisible())

    def row_is_in_viewport() -> bool:
        row = pairs.unlabelled.native
        bottom = row.mapTo(area.viewport(), row.rect().bottomLeft()).y()
        return bool(0 < bottom < area.viewport().height())

    dock.bot.wait(50)
    assert row_is_in_viewport()


def test_the_curve_of_a_training_is_in_viewport(
    dock: Docked, plane: np.ndarray, improving: None
) -> None:
    dock.widget.resize(330, 500)
    dock.widget.show()
    dock.viewer.add_image(plane, name="cells")
    dock.widget.correct.start_empty()
    for at, label in ((20, 1), (80, 0)):
        dock.mask.paint((at, at), label)
    area, section = dock.widget._area, dock.widget.fine_tune
    area.ensureWidgetVisible(section.train)
    dock.bot.mouseClick(section.train, Qt.MouseButton.LeftButton)

    def curve_is_in_viewport() -> bool:
        curve = section.curve
        bottom = curve.mapTo(area.viewport(), curve.rect().bottomLeft()).y()
        return bool(0 < bottom <= area.viewport().height())

    dock.bot.waitUntil(curve_is_in_viewport, timeout=5000)
    dock.wait()
