"""Versions of installed packages."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

_OF_TRAININGS = ("napari-unet-finetune", "torch", "scikit-learn", "scipy", "numpy")
"""Packages that decide what a training makes of its data."""

_OF_WORK_ELSEWHERE = ("torch", "distributed", "numpy")
"""Packages that compute, make the line between two machines, and what is sent on it."""


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


def versions_of_work_elsewhere() -> dict[str, str]:
    """Return the versions of what both ends of a line to workers have, Python's first.

    One that is not installed is ``"none"``.
    """
    found = {name: installed_version(name) or "none" for name in _OF_WORK_ELSEWHERE}
    return {"Python": python_version(), **found}


VERSION = installed_version("napari-unet-finetune")
"""Of the code that runs here, which may be another one on the disk by now."""
