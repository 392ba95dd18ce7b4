"""The version comes from the metadata of the installed package."""

from __future__ import annotations

from importlib import metadata

import pytest

import unet_engine


def test_the_version_is_that_of_the_installed_package() -> None:
    assert unet_engine.__version__ == metadata.version("napari-unet-finetune")


def test_a_source_tree_that_was_never_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    assert unet_engine.__version__ == "0+unknown"


def test_another_name_is_none_of_the_package() -> None:
    with pytest.raises(AttributeError, match="No unet_engine attribute nothing"):
        _ = unet_engine.nothing
