"""Tests of what is found about the screen."""

from __future__ import annotations

import sys

import pytest

from unet_engine.doctor import display
from unet_engine.doctor.display import display_findings


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the packages of a Linux machine without any variable of a screen."""
    for name in display._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    packages = {"napari", "PyQt6"}
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(display, "_installed", packages.__contains__)
    monkeypatch.setattr(display, "find_library", "lib{}.so".format)
    return packages


def test_no_screen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 52110 192.0.2.9 22")
    (note,) = [f for f in display_findings() if f.state != "ok"]
    assert note.state == "note"
    assert "there is no screen" in note.text
    assert "SSH_CONNECTION=yes" in note.text
    assert "xvfb-run" in note.advice


def test_a_screen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DISPLAY", ":0")
    found = list(display_findings())
    assert [f.state for f in found] == ["ok"] * 3
    assert "DISPLAY=:0" in found[1].text


def test_no_opengl(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setattr(display, "find_library", lambda _: None)
    (note,) = [f for f in display_findings() if f.state != "ok"]
    assert note.advice.endswith("apt install libgl1 libegl1 libxcb-cursor0")


def test_no_window_is_wanted(machine: set[str]):
    machine.clear()
    first = next(iter(display_findings()))
    assert first.state == "note"
    assert first.text.startswith("napari and a Qt binding is missing")
    assert "pyqt6" in first.advice


def test_other_systems_have_a_screen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert [f.state for f in display_findings()] == ["ok", "ok"]
