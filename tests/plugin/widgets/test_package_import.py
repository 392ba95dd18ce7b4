"""Packages of networks of other programs in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from other_packages import OtherNetwork, pack
from qtpy.QtWidgets import QMessageBox
from scipy.special import expit

from napari_unet.contributions import model_reader
from napari_unet.steps.models.dialog import ModelsDialog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Docked

pytestmark = [
    # The library leaves its files open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NAME = "a small network"
"""Of the model in the packages."""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a maker of packages, by the formats of their weights."""
    monkeypatch.setenv("BIOIMAGEIO_CACHE_PATH", str(tmp_path / "cache"))

    def make(*formats: str, **fields: Any) -> Path:
        image = np.random.default_rng(0).normal(0, 1, (1, 24, 24))
        other = OtherNetwork(formats=formats, **fields)
        return pack(other, tmp_path / "other", image, image, expit)

    return make


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what was asked, after the answers that were put in."""
    asked: list[Any] = []

    def question(_: Any, title: str, text: str, *__: Any) -> Any:
        answer = asked.pop(0)
        asked.append(text)
        return answer

    monkeypatch.setattr(QMessageBox, "question", question)
    return asked


def wait_for(dock: Docked, name: str) -> None:
    workspace = dock.widget.workspace
    dock.bot.waitUntil(
        lambda: workspace.model is not None and workspace.model.name == name,
        timeout=60_000,
    )


@pytest.mark.slow
def test_onnx_predicts_and_cannot_be_fine_tuned(
    dock: Docked, package: Callable[..., Path], questions: list[Any]
) -> None:
    dock.widget.open_model(str(package("onnx")))
    wait_for(dock, NAME)
    picker = dock.widget.predict.form.picker
    assert picker.text.text() == (
        "Of another program, for Predict only: 1 channel → background, cells"
    )
    train = dock.widget.fine_tune.train
    assert not train.isEnabled()
    assert "cannot be fine-tuned" in train.toolTip()
    assert "Choose another model in step 1" in train.toolTip()
    dock.widget.workspace.refresh_models(choose="tiny")
    assert train.isEnabled()
    assert questions == []


@pytest.mark.slow
def test_a_program_is_run_only_after_a_yes(
    dock: Docked,
    package: Callable[..., Path],
    questions: list[Any],
    notices: list[str],
) -> None:
    path = package("torchscript")
    questions.append(QMessageBox.StandardButton.No)
    dock.widget.open_model(str(path))
    dock.bot.waitUntil(
        lambda: any("not trusted" in line for line in notices), timeout=60_000
    )
    (text,) = questions
    assert text.startswith("Run the program in other.zip?")
    assert "Grace Hopper" in text
    assert NAME not in dock.widget.workspace.store.names()
    questions[:] = [QMessageBox.StandardButton.Yes]
    dock.widget.open_model(str(path))
    wait_for(dock, NAME)


def choose_tiny(page: ModelsDialog) -> None:
    page.list.select("tiny")
    assert page.list.model is not None
    assert page.list.model.name == "tiny"


def test_the_window_of_the_models_adds_them_and_says_what_it_cannot(
    dock: Docked, package: Callable[..., Path], tmp_path: Path
) -> None:
    dock.widget.show()
    page = dock.widget.manage_models()
    assert isinstance(page, ModelsDialog)
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"no archive")
    page.import_from([bad])
    dock.bot.waitUntil(lambda: "no zip file" in page.text.text(), timeout=60_000)
    page.import_from([package("onnx")])
    dock.bot.waitUntil(
        lambda: page.list.model is not None and page.list.model.name == NAME,
        timeout=60_000,
    )
    assert page.text.text() == f"{NAME} is among your models now."
    choose_tiny(page)
    page.import_from([tmp_path / "other" / "other.zip"])
    dock.bot.waitUntil(
        lambda: page.list.model is not None and page.list.model.name == NAME,
        timeout=60_000,
    )
    assert page.text.text() == (
        f"other.zip is already among your models as {NAME}; no copy was added."
    )
    assert f"{NAME}-2" not in dock.widget.workspace.store.names()


def test_a_package_is_read_as_a_model_and_other_archives_are_not(
    package: Callable[..., Path], tmp_path: Path
) -> None:
    import zipfile

    path = package("onnx")
    assert model_reader.get_reader(str(path)) is not None
    regions = tmp_path / "regions.zip"
    with zipfile.ZipFile(regions, "w") as archive:
        archive.writestr("1.roi", b"Iout")
    assert model_reader.get_reader(str(regions)) is None
    regions.write_bytes(b"PK")
    assert model_reader.get_reader(str(regions)) is None


@pytest.mark.slow
def test_a_dropped_package_is_selected_in_the_dock(
    make_napari_viewer: Callable[[], Any], package: Callable[..., Path], qtbot: Any
) -> None:
    viewer = make_napari_viewer()
    assert viewer.open(str(package("onnx")), plugin="napari-unet-finetune") == []
    (dock,) = viewer.window.dock_widgets.values()
    qtbot.waitUntil(
        lambda: dock.workspace.model is not None and dock.workspace.model.name == NAME,
        timeout=60_000,
    )
    assert len(viewer.layers) == 0
