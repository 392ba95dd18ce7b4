"""The curve of scores over rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet.widgets.learning_curve import LearningCurve
from unet_engine.models.collection.learning_curve import RoundRow
from unet_engine.models.collection.scores import Interval

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


def row(model: str, strokes: int, iou: float | None, minutes: float | None) -> RoundRow:
    score = None if iou is None else Interval(value=iou, low=iou - 0.1, high=iou + 0.1)
    return RoundRow(
        model=model, strokes={"cell": strokes} if strokes else {}, score=score,
        painting_minutes=minutes, basis="mask",
    )  # fmt: skip


ROWS = (
    row("one", 5, None, 1.0),
    row("two", 10, 0.6, 2.0),
    row("three", 15, 0.7, 4.0),
    row("of labels", 0, 0.9, None),
)


@pytest.fixture
def curve(qtbot: QtBot) -> LearningCurve:
    curve = LearningCurve("dark")
    qtbot.addWidget(curve)
    curve.show_rounds(ROWS, "three")
    curve.show()
    qtbot.waitExposed(curve)
    return curve


def bottom(curve: LearningCurve) -> str:
    return str(curve._plot.getAxis("bottom").labelText)


def test_rounds_with_a_score_are_drawn_against_strokes(curve: LearningCurve) -> None:
    assert curve.points == [(10, 0.6), (15, 0.7)]
    assert bottom(curve) == "strokes"
    assert curve._plot.getAxis("left").labelText == "IoU"
    assert curve._dot.getData()[0].tolist() == [15]
    bars = curve._bars.opts
    assert bars["bottom"].tolist() == pytest.approx([0.1, 0.1])


def test_a_key_draws_them_against_minutes(curve: LearningCurve) -> None:
    QTest.keyClick(curve.axis, Qt.Key.Key_Down)
    assert curve.points == [(2, 0.6), (4, 0.7)]
    assert bottom(curve) == "minutes of painting"


def test_without_minutes_there_is_no_choice(curve: LearningCurve) -> None:
    curve.axis.setCurrentIndex(1)
    curve.show_rounds([row("a", 4, 0.5, None), row("b", 8, 0.6, None)], "a")
    assert curve.axis.isHidden() and bottom(curve) == "strokes"
    assert curve.points == [(4, 0.5), (8, 0.6)]


def test_one_score_is_no_curve(curve: LearningCurve) -> None:
    curve.show_rounds(ROWS[:2], "two")
    assert curve.isHidden()
    curve.show_rounds(ROWS, "two")
    assert not curve.isHidden()


def test_a_score_without_interval_has_no_bar(curve: LearningCurve) -> None:
    plain = RoundRow(model="x", strokes={"a": 20}, score=Interval(value=0.8))
    curve.show_rounds([*ROWS, plain], "x")
    assert len(curve.points) == 3 and len(curve._bars.opts["x"]) == 2
