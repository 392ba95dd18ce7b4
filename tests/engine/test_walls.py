"""What fresh interpreters import. The layers are contracts in pyproject.toml."""

import subprocess
import sys
from importlib.util import find_spec
from textwrap import dedent

import pytest

LIGHT = (
    "annotations.store",
    "devices",
    "errors",
    "files.atomic",
    "images",
    "labels",
    "llvm",
    "models.checkpoint",
    "models.spec",
    "models.store",
    "objects",
    "places",
    "prediction.config",
    "prediction.disk_output",
    "prediction.events",
    "stopping",
    "synthetic",
    "tiling.tiles",
    "training.config",
    "training.events",
)


def run(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


WALK = """
    import importlib, pkgutil, sys

    def import_all(name):
        package = importlib.import_module(name)
        found = [name]
        for module in pkgutil.walk_packages(package.__path__, name + "."):
            importlib.import_module(module.name)
            found.append(module.name)
        return found
"""


@pytest.mark.slow
def test_the_engine_imports_without_napari_and_qt():
    blocked = ("napari", "napari_unet", "qtpy", "PyQt5", "PyQt6", "magicgui", "superqt")
    printed = run(
        WALK
        + f"""
    for name in {blocked}:
        sys.modules[name] = None  # importing it raises ImportError
    found = import_all("unet_engine")
    print(len(found), "unet_engine.models.networks.unet" in found)
    """
    )
    count, networks = printed.split()
    assert int(count) > 12
    assert networks == "True"


@pytest.mark.slow
def test_light_modules_import_no_torch():
    printed = run(
        f"""
        import importlib, sys
        for name in {LIGHT}:
            importlib.import_module("unet_engine." + name)
            print(name, "torch" in sys.modules, "napari" in sys.modules)
        """
    )
    assert printed.splitlines() == [f"{name} False False" for name in LIGHT]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("napari") is None, reason="there is no napari")
def test_the_plugin_imports_no_torch():
    printed = run(
        WALK
        + """
    found = import_all("napari_unet")
    print(len(found), "torch" in sys.modules, "torchvision" in sys.modules)
    """
    )
    count, torch, torchvision = printed.split()
    assert int(count) > 3
    assert (torch, torchvision) == ("False", "False")
