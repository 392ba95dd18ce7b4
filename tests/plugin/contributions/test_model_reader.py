"""The reader of model files: verified, copied once, or reported why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors.numpy

from napari_unet.contributions import model_reader
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import napari

NOTHING_TO_SHOW = [(None,)]


@pytest.fixture
def checkpoint() -> Checkpoint:
    weights = {"weight": np.arange(12, dtype=np.float32).reshape(3, 4)}
    return Checkpoint(ModelSpec(depth=2, width=4), weights, ({"name": "old"},))


@pytest.fixture
def model_file(tmp_path: Path, checkpoint: Checkpoint) -> Path:
    path = tmp_path / "tissue.safetensors"
    checkpoint.save(path)
    return path


def read(path: Path) -> list[tuple[None]]:
    reader = model_reader.get_reader(str(path))
    assert reader is not None
    return reader(str(path))


@pytest.mark.parametrize("name", ["image.tif", "safetensors", "a.safetensors.zip"])
def test_other_files_are_left_to_other_readers(name: str) -> None:
    assert model_reader.get_reader(name) is None
    assert model_reader.get_reader(["a.safetensors", name]) is None


def test_model_joins_the_store(model_file: Path, notices: list[str]) -> None:
    assert read(model_file) == NOTHING_TO_SHOW
    loaded = ModelStore().load("tissue")
    np.testing.assert_array_equal(loaded.weights["weight"][2], [8, 9, 10, 11])
    assert notices == ["info: tissue is among your models now."]


def test_several_models_join_the_store(
    model_file: Path, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    other = tmp_path / "nerves.safetensors"
    checkpoint.save(other)
    paths = [str(model_file), str(other)]
    assert model_reader.get_reader(paths)(paths) == NOTHING_TO_SHOW
    assert {"tissue", "nerves"} <= set(ModelStore().names())


def test_same_model_is_not_copied_twice(model_file: Path, notices: list[str]) -> None:
    read(model_file)
    before = ModelStore().names()
    read(model_file)
    read(ModelStore().info("tissue").path)
    assert ModelStore().names() == before
    assert notices[1] == (
        "info: tissue.safetensors is already among your models as tissue; no copy was "
        "added."
    )


def test_other_model_of_the_same_name_is_kept_beside_it(
    model_file: Path, checkpoint: Checkpoint
) -> None:
    read(model_file)
    weights = {"weight": checkpoint.weights["weight"] + 1}
    Checkpoint(checkpoint.spec, weights, checkpoint.history).save(model_file)
    read(model_file)
    store = ModelStore()
    assert store.load("tissue").weights["weight"][0, 0] == 0
    assert store.load("tissue-2").weights["weight"][0, 0] == 1


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def replace_by_text(path: Path) -> None:
    path.write_text("not a model at all, only some words")


def replace_by_foreign_tensors(path: Path) -> None:
    safetensors.numpy.save_file({"weight": np.zeros(3)}, path)


def change_the_spec(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'\\"depth\\": 2', b'\\"depth\\": 3'))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "truncated"),
        (replace_by_text, "no model file"),
        (replace_by_foreign_tensors, "not of a model of napari-unet-finetune"),
        (change_the_spec, "was changed"),
        (empty, "no model file"),
    ],
)
def test_unusable_file_is_reported_and_leaves_nothing(
    damage: Callable[[Path], None], reason: str, model_file: Path, notices: list[str]
) -> None:
    damage(model_file)
    assert read(model_file) == NOTHING_TO_SHOW
    (message,) = notices
    assert message.startswith("error: tissue.safetensors was not added.")
    assert reason in message
    assert not list(ModelStore().root.iterdir())


def test_folder_that_cannot_be_written_to_is_reported(
    model_file: Path,
    notices: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAPARI_UNET_MODELS", str(tmp_path / "file" / "models"))
    assert read(model_file) == NOTHING_TO_SHOW
    (message,) = notices
    assert message.startswith("error: ")
    assert "NAPARI_UNET_MODELS" in message


@pytest.mark.slow
def test_dropped_model_is_selected_in_the_dock(
    make_napari_viewer: Callable[[], napari.Viewer], model_file: Path
) -> None:
    viewer = make_napari_viewer()
    assert viewer.open(str(model_file), plugin="napari-unet-finetune") == []
    (dock,) = viewer.window.dock_widgets.values()
    assert dock.workspace.model.name == "tissue"
    assert len(viewer.layers) == 0
