"""The package installed without extras, in an environment without napari and Qt."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from installing import files_of, fresh_environment, run
from required import BINDINGS, EXTRAS, installed_with

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with what the package requires."""
    folder = tmp_path_factory.mktemp("without_window")
    return fresh_environment(folder, files_of(installed_with()), wheel)


def demo(python: Path) -> subprocess.CompletedProcess[str]:
    command = [str(python.with_name("napari-unet")), "demo", "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["napari", "PyQt5", "PyQt6", "PySide6"])
def test_there_is_no_napari_and_no_qt_binding(python: Path, module: str) -> None:
    code = f"import importlib.util; print(importlib.util.find_spec({module!r}))"
    assert run(python, "-c", code) == "None\n"


def test_the_command_predicts(python: Path, tmp_path: Path) -> None:
    image = np.zeros((64, 64), np.uint8)
    image[20:40, 20:40] = 200
    tifffile.imwrite(tmp_path / "image.tif", image)
    command = python.with_name("napari-unet"), "predict", tmp_path / "image.tif"
    models = str(tmp_path / "models")
    mask = tmp_path / "mask.tif"
    run(*command, mask, "--model=nuclei", "--device=cpu", NAPARI_UNET_MODELS=models)
    assert tifffile.imread(mask).shape == image.shape


def test_the_demo_without_napari_is_one_line_of_advice(python: Path) -> None:
    done = demo(python)
    assert done.returncode == 1
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    (extra,) = re.findall(r"pip install 'napari-unet-finetune\[(\w+)\]'", line)
    assert BINDINGS & {re.split(r"\W", line)[0].lower() for line in EXTRAS[extra]}


def test_the_advice_of_the_demo_leads_on(
    wheel: Path, tmp_path: Path, python: Path
) -> None:
    (extra,) = re.findall(r"finetune\[(\w+)\]", demo(python).stderr)
    try:
        names = installed_with(extra)
    except PackageNotFoundError:
        # The other binding is installed here; its extra differs in its name only.
        names = installed_with(*{"pyqt5", "pyqt6"} - {extra})
    advised = fresh_environment(tmp_path, files_of(names), wheel)
    done = demo(advised)
    assert done.returncode == 0, done.stderr
    assert "--screenshot" in done.stdout
