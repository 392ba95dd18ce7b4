"""Versions of installed packages."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

_OF_TRAININGS = ("napari-unet-finetune", "torch", "scikit-learn", "scipy", "numpy")
"""Packages that decide what a training makes of its data."""


def installed_version(name: str) -> str:
    """Return the version of a package, ``""`` where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def python_version() -> str:
    """Return the version of Python as three numbers."""
    return ".".join(map(str, sys.version_info[:3]))


def versions_of_trainings() -> dict[str, str]:
    """Return the versions of what trains a model, Python's first."""
    found = {name: installed_version(name) for name in _OF_TRAININGS}
    return {"Python": python_version(), **{n: v for n, v in found.items() if v}}


VERSION = installed_version("napari-unet-finetune")
"""Of the code that runs here, which may be another one on the disk by now."""
