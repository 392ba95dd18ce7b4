"""What the user set for the plugin in napari's preferences."""

from __future__ import annotations

from typing import Any

_PLUGIN = "napari-unet-finetune"


def preference(name: str, default: Any) -> Any:
    """Return a setting of the manifest's ``configurations`` as the user set it.

    Parameters
    ----------
    name
        Of a property there.
    default
        What is returned where napari has none: before 0.9, and where the settings
        cannot be read.
    """
    try:
        from napari.settings import get_plugin_settings

        return getattr(get_plugin_settings(_PLUGIN).usual, name)
    except (ImportError, AttributeError, KeyError, OSError, ValueError):
        return default
