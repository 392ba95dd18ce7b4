"""The commands of the palette: one dock a viewer, and the buttons in it."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from napari._app_model import get_app_model
from qtpy.QtGui import QDesktopServices

from napari_unet.contributions import commands as _commands
from napari_unet.dock import UNetWidget
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from qtpy.QtCore import QUrl


def execute(command: str) -> None:
    """Run a command as the palette and the menus do."""
    get_app_model().commands.execute_command(f"napari-unet-finetune.{command}").result()


def docks(viewer: napari.Viewer) -> list[UNetWidget]:
    found = viewer.window.dock_widgets.values()
    return [widget for widget in found if isinstance(widget, UNetWidget)]


@pytest.mark.slow
def test_dock_is_opened_once(make_napari_viewer: Callable[[], napari.Viewer]) -> None:
    viewer = make_napari_viewer()
    dock = _commands.open_dock(viewer)
    assert _commands.open_dock(viewer) is dock
    assert docks(viewer) == [dock]


@pytest.mark.slow
def test_menu_finds_the_dock_that_a_command_opened(
    make_napari_viewer: Callable[[], napari.Viewer],
) -> None:
    viewer = make_napari_viewer()
    dock = _commands.open_dock(viewer)
    # The menu entry toggles: a second dock would appear here if the names differed.
    execute("dock")
    assert docks(viewer) == [dock]


@pytest.mark.slow
def test_command_finds_the_dock_that_the_menu_opened(
    make_napari_viewer: Callable[[], napari.Viewer],
) -> None:
    viewer = make_napari_viewer()
    execute("dock")
    (dock,) = docks(viewer)
    assert _commands.open_dock(viewer) is dock


def test_dock_is_in_both_menus(
    make_napari_viewer: Callable[[], napari.Viewer],
) -> None:
    make_napari_viewer()
    menus = get_app_model().menus
    for menu in ("napari/plugins", "napari/layers/segment"):
        entries = [
            item.command.id for item in menus.get_menu(menu) if hasattr(item, "command")
        ]
        assert "napari-unet-finetune.dock" in entries


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("predict", "predict.predict"),
        ("accept_view", "correct.accept"),
        ("fine_tune", "fine_tune.train"),
        ("objects", "correct.objects"),
    ],
)
def test_commands_press_the_buttons(
    command: str,
    path: str,
    make_napari_viewer: Callable[[], napari.Viewer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    button = attrgetter(path)(_commands.open_dock(make_napari_viewer()))
    pressed = []
    monkeypatch.setattr(button, "click", lambda: pressed.append(command))
    button.setEnabled(True)
    execute(command)
    assert pressed == [command]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "method"),
    [
        ("new_model", "new_model"),
        ("pretrain", "open_pretraining"),
        ("manage_models", "manage_models"),
    ],
)
def test_commands_open_what_they_name(
    command: str,
    method: str,
    make_napari_viewer: Callable[[], napari.Viewer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dock = _commands.open_dock(make_napari_viewer())
    opened = []
    monkeypatch.setattr(dock, method, lambda: opened.append(command))
    execute(command)
    assert opened == [command]


def test_models_folder_is_made_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", shown.append)
    _commands.show_models_folder()
    (url,) = shown
    assert Path(url.toLocalFile()) == ModelStore().root
    assert ModelStore().root.is_dir()
