"""What all tests share: nothing of the user's is read or written."""

from __future__ import annotations

import os

# Before numpy, torch and napari are imported: they read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["NAPARI_CONFIG"] = ""

from typing import TYPE_CHECKING

import hypothesis
import on_device
import pytest

from unet_engine.annotations.store import STROKES_VARIABLE
from unet_engine.compute.calibration import CACHE_VARIABLE
from unet_engine.image_list.finding import LISTS_VARIABLE
from unet_engine.models.store import MODELS_VARIABLE
from unet_engine.wording import read_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# None of the imports above takes a name from ``compute.devices``.
on_device.replace_cpu()

# The same examples each time, however busy the machine is.
hypothesis.settings.register_profile("project", deadline=None, derandomize=True)
hypothesis.settings.load_profile("project")


def _use_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have models, strokes, lists and what is measured kept in a folder."""
    monkeypatch.setenv(MODELS_VARIABLE, str(folder))
    monkeypatch.setenv(CACHE_VARIABLE, str(folder / "cache"))
    monkeypatch.setenv(STROKES_VARIABLE, str(folder / "strokes"))
    monkeypatch.setenv(LISTS_VARIABLE, str(folder / "lists"))


@pytest.fixture(autouse=True, scope="session")
def _folder_of_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give fixtures of a module a folder, too: they are made before a test has one."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _use_folder(tmp_path_factory.mktemp("models"), monkeypatch)
        yield


@pytest.fixture(autouse=True)
def models_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Give each test an empty folder of models, strokes and a cache of its own."""
    folder = tmp_path_factory.mktemp("models")
    _use_folder(folder, monkeypatch)
    return folder


@pytest.fixture(autouse=True, scope="session")
def _device() -> Iterator[None]:
    """Compute on the device that the tests are run on."""
    with on_device.at_device():
        yield


@pytest.fixture(autouse=True)
def _leave_out_the_cpu(request: pytest.FixtureRequest) -> None:
    if on_device.DEVICE != "cpu" and request.node.get_closest_marker("cpu"):
        pytest.skip(f"it is about the CPU, and the tests run on {on_device.DEVICE}")


@pytest.fixture(autouse=True)
def _messages_of_a_command() -> None:
    """Name options in messages, whichever test had a window before."""
    read_in("command")
