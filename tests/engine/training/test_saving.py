"""A trained model whose folder is gone, read-only or full is never thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from unet_engine.errors import DataError
from unet_engine.models.checkpoint import Checkpoint, ModelInfo
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.training.saving import Unsaved, save_or_rescue

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def checkpoint() -> Checkpoint:
    from unet_engine.models.starting import start_checkpoint

    return start_checkpoint(ModelSpec(depth=1, width=4))


def file_in_place_of(folder: Path) -> ModelStore:
    folder.write_text("not a folder")
    return ModelStore(folder)


def test_it_is_saved_where_it_belongs(tmp_path: Path, checkpoint: Checkpoint) -> None:
    store = ModelStore(tmp_path / "models")
    other = tmp_path / "other"
    saved = save_or_rescue(store, "new", checkpoint, folders=[other])
    assert isinstance(saved, ModelInfo)
    again = save_or_rescue(store, "new", checkpoint, folders=[other])
    assert isinstance(again, ModelInfo)
    assert (saved.name, again.name) == ("new", "new-2")
    assert not other.exists()


def test_it_is_in_the_first_other_folder_that_takes_it(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    store = file_in_place_of(tmp_path / "models")
    file_in_place_of(tmp_path / "first")
    folders = [tmp_path / "first", tmp_path / "second", tmp_path / "third"]
    unsaved = save_or_rescue(store, "new", checkpoint, folders=folders)
    assert isinstance(unsaved, Unsaved)
    assert unsaved.place == tmp_path / "second" / "new.safetensors"
    assert "cannot be made" in unsaved.reason
    loaded = Checkpoint.load(unsaved.place)
    for name, values in checkpoint.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], values)
    assert not (tmp_path / "third").exists()


def test_it_stays_in_memory_and_can_be_saved_later(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    store = file_in_place_of(tmp_path / "models")
    unsaved = save_or_rescue(store, "new", checkpoint, folders=[])
    assert isinstance(unsaved, Unsaved)
    assert unsaved.place is None
    with pytest.raises(DataError):
        unsaved.save(store)
    store.root.unlink()
    assert unsaved.save(store).name == "new"
    assert store.load("new").spec == checkpoint.spec


def test_the_file_elsewhere_goes_once_it_is_saved(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    store = file_in_place_of(tmp_path / "models")
    unsaved = save_or_rescue(store, "new", checkpoint, folders=[tmp_path / "other"])
    assert isinstance(unsaved, Unsaved)
    assert unsaved.place is not None
    with pytest.raises(DataError):
        unsaved.save(store)
    assert unsaved.place.is_file()
    store.root.unlink()
    unsaved.save(store)
    assert not unsaved.place.exists()
