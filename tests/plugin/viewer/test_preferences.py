"""Settings of the plugin in napari's preferences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from napari import settings
from napari.components import ViewerModel
from npe2 import PluginManifest

from napari_unet.dock import UNetWidget
from napari_unet.viewer.preferences import preference

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from unet_engine.models.store import ModelStore

MANIFEST = Path(__file__).parents[3] / "napari.yaml"
PLUGIN = "napari-unet-finetune"
HAS_THEM = hasattr(settings, "get_plugin_settings")


@pytest.mark.skipif(not HAS_THEM, reason="napari has settings of plugins from 0.9 on")
def test_a_new_dock_begins_as_the_preferences_have_it(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    store: ModelStore,
    add_model: Any,
    qtbot: QtBot,
) -> None:
    add_model()
    request.getfixturevalue("plugin_settings")
    plugins = request.getfixturevalue("npe2pm")
    plugins.register(PluginManifest.from_file(MANIFEST))
    found = settings.get_plugin_settings(PLUGIN).usual
    assert (found.device, found.show_better_mask) == ("auto", True)
    found.device, found.show_better_mask = "cpu", False
    monkeypatch.setattr("napari_unet.dock.preference", preference)
    widget = UNetWidget(ViewerModel(), store)
    qtbot.addWidget(widget)
    assert widget.workspace.device == "cpu"
    assert not widget.fine_tune.better.by_itself.value


def test_without_settings_of_plugins_there_are_the_usual_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(settings, "get_plugin_settings", raising=False)
    assert preference("device", "auto") == "auto"


def test_what_is_no_setting_has_its_default() -> None:
    assert preference("no such", 3) == 3
