"""The wheel, the source archive and the editable install, each in a fresh environment.

Nothing is downloaded: the environments see the packages of the one that runs the
tests, all but this project.
"""

from __future__ import annotations

import json
import re
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from installing import ROOT, everything, fresh_environment, run

if TYPE_CHECKING:
    from pathlib import Path

NAME = "napari-unet-finetune"

pytestmark = pytest.mark.slow

FOUND_BY_NPE2 = f"""
import json
from npe2 import PluginManager

manager = PluginManager()
manager.discover()
ours = manager.get_manifest({NAME!r}).contributions
print(json.dumps({{
    "widgets": [w.display_name for w in manager.iter_widgets() if w in ours.widgets],
    "readers": [r.command for r in manager.iter_compatible_readers(["a.safetensors"])],
    "samples": [s.key for _, some in manager.iter_sample_data() for s in some],
}}))
"""


@pytest.fixture(scope="session", params=["wheel", "sdist", "editable"])
def python(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the interpreter of a fresh environment with the project installed."""
    if request.param == "editable":
        what: list[str | Path] = ["--editable", ROOT]
    else:
        what = [request.getfixturevalue(request.param)]
    folder = tmp_path_factory.mktemp(request.param)
    return fresh_environment(folder, everything(), *what)


def test_npe2_validates_the_manifest(python: Path) -> None:
    assert "valid!" in run(python, "-m", "npe2", "validate", NAME)


def test_npe2_finds_every_contribution(python: Path) -> None:
    found = json.loads(run(python, "-W", "ignore", "-c", FOUND_BY_NPE2))
    assert found["widgets"] == ["U-Net"]
    assert found["readers"] == [f"{NAME}.read_model"]
    assert {"ihc", "ihc_fields", "nuclei_stack"} <= set(found["samples"])


def test_installed_manifest_is_that_of_the_checkout(python: Path) -> None:
    code = (
        "from importlib.resources import files;"
        "print((files('napari_unet_resources') / 'napari.yaml').read_text(), end='')"
    )
    assert run(python, "-c", code) == (ROOT / "napari.yaml").read_text()


def test_command_lists_the_bundled_models(python: Path, tmp_path: Path) -> None:
    listed = run(
        python.with_name("napari-unet"), "models", NAPARI_UNET_MODELS=str(tmp_path)
    )
    assert "nuclei" in listed
    assert "general" in listed


def test_wheel_holds_the_packages_and_the_resources(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "napari_unet",
        "napari_unet_resources",
        "unet_engine",
    }
    assert {
        "napari_unet/py.typed",
        "unet_engine/py.typed",
        "napari_unet_resources/napari.yaml",
        "napari_unet_resources/models/general.safetensors",
        "napari_unet_resources/models/nuclei.safetensors",
    } <= set(names)


def test_the_page_on_pypi_has_no_links_into_the_repository(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        page = archive.read(name).decode()
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert any("raw.githubusercontent.com" in link for link in links)
    assert not [link for link in links if not link.startswith(("https://", "#"))]


def test_sdist_holds_what_the_tests_need_and_no_environment(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "napari.yaml",
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "resources/models/nuclei.safetensors",
        "scripts/setup",
        "scripts/constraints.txt",
        "tests/conftest.py",
    } <= names
    assert not [name for name in names if name.startswith((".venv", ".git/", "runs"))]
