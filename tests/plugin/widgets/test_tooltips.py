"""What cannot be used says why, where the mouse finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtWidgets import QAbstractButton, QPushButton, QWidget

from napari_unet.widgets.tooltips import enable, explain, show_key, why_not

if TYPE_CHECKING:
    import numpy as np
    from conftest import Docked
    from pytestqt.qtbot import QtBot


def unexplained(docked: Docked) -> list[str]:
    """Buttons of the dock that are disabled, and say nothing of the reason."""
    return [
        made.text()
        for made in docked.widget.findChildren(QAbstractButton)
        if not made.isEnabled()
        and made.text()
        and "Not available now." not in made.toolTip()
    ]


@pytest.mark.slow
def test_each_disabled_button_says_why(dock: Docked, plane: np.ndarray) -> None:
    assert unexplained(dock) == []
    dock.viewer.add_image(plane, name="cells")
    assert unexplained(dock) == []
    states: list[Any] = []
    dock.widget.workspace.activity_changed.connect(
        lambda: states.append(unexplained(dock))
    )
    dock.predict()
    assert len(states) >= 2 and not any(states)
    dock.mask.paint((20, 20), 1)
    assert unexplained(dock) == []
    for activity in ("objects", "pretrain", "train"):
        dock.widget.workspace.begin(activity)
        assert unexplained(dock) == [], activity
        dock.widget.workspace.end(activity)


def test_parts_of_a_tooltip_stay_as_others_change(qtbot: QtBot) -> None:
    form = QWidget()
    qtbot.addWidget(form)
    made = QPushButton("Go", form)
    made.setToolTip("Go on.")
    show_key(made, "G")
    assert made.toolTip() == "Go on. Key: G."
    enable(made, "there is no mask.")
    assert made.toolTip() == ("Go on. Key: G.\n\nNot available now. There is no mask.")
    explain(made, "Go.")
    assert made.toolTip() == "Go. Key: G.\n\nNot available now. There is no mask."
    enable(made)
    show_key(made, "")
    assert made.toolTip() == "Go." and made.isEnabled()


def test_a_form_that_waits_explains_its_buttons(qtbot: QtBot) -> None:
    form = QWidget()
    qtbot.addWidget(form)
    made = QPushButton("Go", form)
    made.setToolTip("Go on.")
    enable(form, "A training runs.")
    assert why_not(made) == "A training runs."
    assert made.toolTip() == "Go on.\n\nNot available now. A training runs."
    made.setToolTip("Go back.")
    enable(form)
    assert made.toolTip() == "Go back." and made.isEnabled()
