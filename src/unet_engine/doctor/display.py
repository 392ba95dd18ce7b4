"""What a window needs, from what the system states: nothing here opens one."""

from __future__ import annotations

import os
import sys
from ctypes.util import find_library
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from unet_engine.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLES = (
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XDG_SESSION_TYPE",
    "QT_API",
    "QT_QPA_PLATFORM",
    "LIBGL_ALWAYS_SOFTWARE",
    "SSH_CONNECTION",
)
"""Of the environment, those that decide how a window opens."""


def display_findings() -> Iterator[Finding]:
    """Yield whether there is a screen, OpenGL and what Qt needs of the system."""
    yield _binding()
    if not sys.platform.startswith("linux"):
        yield Finding(area="display", state="ok", text=f"a desktop of {sys.platform}")
        return
    yield _screen()
    yield from _system_libraries()


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _binding() -> Finding:
    missing = [] if _installed("napari") else ["napari"]
    if not any(map(_installed, ("PyQt5", "PyQt6", "PySide6", "PySide2"))):
        missing.append("a Qt binding")
    if not missing:
        return Finding(
            area="display", state="ok", text="napari and a Qt binding are installed"
        )
    return Finding(
        area="display",
        state="note",
        text=f"{' and '.join(missing)} is missing: there are the commands and no "
        "window",
        advice="for the window: pip install 'napari-unet-finetune[pyqt6]'",
    )


def _screen() -> Finding:
    known = {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)}
    # The address of a person's computer has no place in a public report.
    if "SSH_CONNECTION" in known:
        known["SSH_CONNECTION"] = "yes"
    stated = ", ".join(f"{name}={value}" for name, value in known.items())
    if "DISPLAY" in known or "WAYLAND_DISPLAY" in known:
        return Finding(area="display", state="ok", text=f"a screen: {stated}")
    text = "there is no screen, so napari cannot open a window; the commands work"
    return Finding(
        area="display",
        state="note",
        text=f"{text} ({stated})" if stated else text,
        advice="sit at a desktop, connect by ssh -X or remote desktop, or run under a "
        "virtual screen (xvfb-run)",
    )


def _system_libraries() -> Iterator[Finding]:
    if not any(map(_installed, ("PyQt5", "PyQt6", "PySide6"))):
        return
    needed = {"GL": "libgl1", "EGL": "libegl1"}
    if _installed("PyQt6") or _installed("PySide6"):
        needed["xcb-cursor"] = "libxcb-cursor0"
    missing = {name: package for name, package in needed.items() if not _found(name)}
    if missing:
        names = ", ".join(f"lib{name}" for name in missing)
        yield Finding(
            area="display",
            state="note",
            text=f"{names} of the system is not found; Qt may need it for a window",
            advice="on Debian and Ubuntu: sudo apt install "
            + " ".join(missing.values()),
        )
    else:
        yield Finding(
            area="display", state="ok", text="OpenGL of the system is installed"
        )


def _found(library: str) -> bool:
    return find_library(library) is not None
