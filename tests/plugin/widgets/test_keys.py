"""Keys: in napari's preferences, without collisions, and not while one types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from app_model.types import KeyBinding, StandardKeyBinding
from napari.layers import Image, Labels, Points, Shapes, Surface, Tracks, Vectors
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.shortcuts import default_shortcuts
from npe2 import PluginManifest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QLineEdit

from napari_unet.contributions import commands
from napari_unet.widgets.keys import KEYS, Key, focused, key_of, key_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import napari
    import numpy as np
    from conftest import Docked

ROOT = Path(__file__).parents[3]
CONTROL, SHIFT = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
)


@pytest.fixture(autouse=True)
def _keys_as_they_were() -> Iterator[None]:
    """Leave napari, which is one for all tests, with the default keys."""
    yield
    for key in KEYS:
        get_settings().shortcuts.shortcuts.pop(key.action, None)
        rebind(key, key.default)


def rebind(key: Key, *names: str) -> None:
    """Give a command other keys as napari's preferences do."""
    if key.action in action_manager._actions and not key.anywhere:
        action_manager.unbind_shortcut(key.action)
        for name in names:
            action_manager.bind_shortcut(key.action, name)


@pytest.fixture
def masked(shown_dock: Docked, plane: np.ndarray) -> Docked:
    """An image with an empty mask, in a window on the screen."""
    shown_dock.viewer.add_image(plane, name="cells")
    shown_dock.widget.correct.empty.click()
    focus_canvas(shown_dock)
    return shown_dock


def canvas_of(docked: Docked) -> Any:
    return docked.viewer.window._qt_viewer.canvas.native


def focus_canvas(docked: Docked) -> None:
    canvas_of(docked).setFocus()


def press(docked: Docked, key: Qt.Key, modifier: Any = None) -> None:
    QTest.keyClick(canvas_of(docked), key, modifier or Qt.KeyboardModifier.NoModifier)


def test_each_key_is_a_command_of_the_manifest() -> None:
    manifest = PluginManifest.from_file(ROOT / "napari.yaml")
    titles = {each.id: each.title for each in manifest.contributions.commands}
    for key in KEYS:
        assert titles[f"{manifest.name}.{key.command}"] == key.title
        assert callable(getattr(commands, key.command))


def test_no_key_is_one_of_napari() -> None:
    keys = [coerce_keybinding(key.default) for key in KEYS]
    assert len({str(key) for key in keys}) == len(keys)
    taken = {str(key) for each in default_shortcuts.values() for key in each}
    for kind in (Image, Labels, Points, Shapes, Surface, Tracks, Vectors):
        taken |= {str(key) for key in kind.class_keymap}
    assert not {str(key) for key in keys} & taken


def test_no_key_is_one_of_a_menu() -> None:
    rules = [each.to_keybinding_rule() for each in StandardKeyBinding]
    keys = {key for rule in rules for key in (rule.primary, rule.win, rule.linux)}
    taken = {str(KeyBinding.validate(key)) for key in keys if key}
    assert "Ctrl+0" in taken
    assert not {str(coerce_keybinding(key.default)) for key in KEYS} & taken


def test_the_reference_lists_all_keys() -> None:
    page = (ROOT / "docs" / "reference" / "keys.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    classes = [key for key in KEYS if key.command.startswith("paint_class_")]
    expected = [
        f"| `{coerce_keybinding(key.default).to_text()}` | {key.title} |"
        for key in KEYS
        if key not in classes
    ]
    assert [row for row in rows if row in expected] == expected
    assert "| `Ctrl+1` to `Ctrl+9` | Paint class 1 to 9 on the mask |" in rows
    assert len(classes) == 9


def test_all_keys_have_something_to_do(dock: Docked) -> None:
    from operator import attrgetter

    for key in KEYS:
        target = attrgetter(key.target)(dock.widget)
        assert callable(target) or isinstance(target, QAbstractButton)
        if isinstance(target, QAbstractButton):
            assert f"Key: {key_text(key.command)}." in target.toolTip()


@pytest.mark.slow
def test_digits_choose_a_class_and_leave_those_of_napari(masked: Docked) -> None:
    press(masked, Qt.Key.Key_1, CONTROL)
    assert (masked.mask.selected_label, masked.mask.mode) == (1, "paint")
    press(masked, Qt.Key.Key_B, SHIFT)
    assert masked.mask.selected_label == 0
    press(masked, Qt.Key.Key_6)
    assert masked.mask.mode == "pan_zoom", "napari's own key of the layer"
    press(masked, Qt.Key.Key_U)
    assert masked.mask.mode == "paint"
    assert masked.widget.correct.unmark.isChecked()


@pytest.mark.slow
def test_a_class_that_is_not_there_is_named(masked: Docked, notices: list[str]) -> None:
    press(masked, Qt.Key.Key_7, CONTROL)
    assert masked.mask.selected_label == 1
    assert "There is no class 7" in notices[-1]


@pytest.mark.slow
def test_what_cannot_be_done_says_why(shown_dock: Docked, notices: list[str]) -> None:
    press(shown_dock, Qt.Key.Key_K, SHIFT)
    assert "There is no mask yet: predict it" in notices[-1]
    commands.accept_view()
    assert len(notices) == 2


@pytest.mark.slow
def test_nothing_happens_while_one_types(masked: Docked) -> None:
    field = QLineEdit(masked.widget)
    field.show()
    field.setFocus()
    live = masked.widget.live.switch
    masked.widget.correct.choose_class(0)
    QTest.keyClick(field, Qt.Key.Key_Q)
    QTest.keyClick(field, Qt.Key.Key_1, CONTROL)
    assert field.text() == "q"
    assert not live.value and masked.mask.selected_label == 0
    focus_canvas(masked)
    press(masked, Qt.Key.Key_Q)
    assert live.value
    press(masked, Qt.Key.Key_Q)


@pytest.mark.slow
def test_the_keyboard_reaches_the_dock_and_comes_back(masked: Docked) -> None:
    def focus() -> Any:
        return focused(masked.widget)

    press(masked, Qt.Key.Key_F6)
    predict = masked.widget.predict.predict
    masked.bot.waitUntil(lambda: focus() is predict, timeout=3_000)
    QTest.keyClick(predict, Qt.Key.Key_Tab)
    masked.bot.waitUntil(lambda: focus() is not predict, timeout=3_000)
    assert masked.widget.isAncestorOf(focus())
    there = focus()
    QTest.keyClick(there, Qt.Key.Key_F6)
    masked.bot.waitUntil(lambda: focus() is canvas_of(masked), timeout=3_000)
    press(masked, Qt.Key.Key_F6)
    masked.bot.waitUntil(lambda: focus() is there, timeout=3_000)


@pytest.mark.slow
def test_preferences_show_and_change_them(
    masked: Docked, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor, WarnPopup

    def refuse(popup: Any) -> None:
        raise AssertionError("the key is taken")

    monkeypatch.setattr(WarnPopup, "exec_", refuse)

    editor = ShortcutEditor()
    masked.bot.addWidget(editor)
    table = editor._table
    rows = {table.item(r, 0).text(): r for r in range(table.rowCount())}
    for key in KEYS:
        assert (f"U-Net: {key.title}" in rows) != key.anywhere
    row = rows["U-Net: Switch Live on or off"]
    table.item(row, editor._shortcut_col).setText("Ctrl+J")
    assert key_text("live") == "Ctrl+J"
    assert "Key: Ctrl+J." in masked.widget.live.switch.native.toolTip()
    press(masked, Qt.Key.Key_Q)
    assert not masked.widget.live.switch.value
    press(masked, Qt.Key.Key_J, CONTROL)
    assert masked.widget.live.switch.value
    press(masked, Qt.Key.Key_J, CONTROL)


def test_labels_with_a_key_follow_it(dock: Docked) -> None:
    rebind(key_of("flicker"), "Y")
    assert dock.widget.compare.shown.flicker.text() == "Flicker (Y)"
    rebind(key_of("flicker"))
    assert dock.widget.compare.shown.flicker.text() == "Flicker"
    assert "Key" not in dock.widget.compare.shown.flicker.toolTip()
    rebind(key_of("paint_class_1"), "Y")
    assert "Key: Y." in dock.widget.correct.class_buttons[1].toolTip()


@pytest.mark.slow
def test_keys_of_an_earlier_session_are_taken_over(
    make_napari_viewer: Callable[..., napari.Viewer],
) -> None:
    key = key_of("earlier_mask")
    get_settings().shortcuts.shortcuts[key.action] = [coerce_keybinding("Y")]
    rebind(key, "Y")
    dock = commands.open_dock(make_napari_viewer())
    assert key_text("earlier_mask") == "Y"
    assert "Key: Y." in dock.earlier.toggle.toolTip()


@pytest.mark.slow
def test_a_closed_dock_leaves_its_keys_to_others(masked: Docked) -> None:
    frame = masked.widget.parent()
    masked.viewer.window.remove_dock_widget(frame)
    masked.bot.wait(20)
    press(masked, Qt.Key.Key_Q)
    assert not masked.widget.live.switch.value
    pressed: list[Any] = []
    masked.viewer.bind_key("Q", pressed.append)
    press(masked, Qt.Key.Key_Q)
    assert pressed == [masked.viewer]
