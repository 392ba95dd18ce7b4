"""The manifest: valid, as installed, and every command it names exists."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import pytest
from npe2 import PluginManifest

ROOT = Path(__file__).parents[3]
MANIFEST = PluginManifest.from_file(ROOT / "napari.yaml")
NAME = "napari-unet-finetune"


def test_installed_manifest_is_that_of_the_checkout() -> None:
    installed = (files("napari_unet_resources") / "napari.yaml").read_text()
    assert installed == (ROOT / "napari.yaml").read_text(), (
        "the environment holds an older copy; run scripts/setup"
    )


def test_name_is_that_of_the_distribution() -> None:
    assert MANIFEST.name == distribution(NAME).name == NAME
    assert PluginManifest.from_distribution(NAME).name == NAME


def test_icon_is_installed() -> None:
    package, resource = str(MANIFEST.icon).split(":")
    assert (files(package) / resource).read_text().startswith("<svg")


@pytest.mark.parametrize("command", MANIFEST.contributions.commands, ids=lambda c: c.id)
def test_command_exists(command) -> None:
    module, attribute = command.python_name.split(":")
    assert callable(getattr(import_module(module), attribute))


def test_every_contribution_has_its_command() -> None:
    contributions = MANIFEST.contributions
    used = {
        *(widget.command for widget in contributions.widgets),
        *(reader.command for reader in contributions.readers),
        *(writer.command for writer in contributions.writers),
        *(sample.command for sample in contributions.sample_data),
        *(item.command for items in contributions.menus.values() for item in items),
    }
    assert used <= {command.id for command in contributions.commands}


def test_dock_is_in_the_segmentation_menu() -> None:
    (item,) = MANIFEST.contributions.menus["napari/layers/segment"]
    (widget,) = MANIFEST.contributions.widgets
    assert item.command == widget.command
    assert widget.display_name == "U-Net"
