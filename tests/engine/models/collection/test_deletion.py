"""Deleted models come back, whatever happened to their names meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unet_engine.errors import CheckpointError
from unet_engine.models.beside.paths import crops_path
from unet_engine.models.collection.deletion import (
    delete_model,
    deleted_folder,
    deleted_models,
    restore_model,
)
from unet_engine.models.collection.renaming import write_notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore

    Add = Callable[..., ModelInfo]


def test_what_was_deleted_is_restored_as_it_was(store: ModelStore, add: Add):
    add("mine")
    write_notes(store, "mine", notes="kept")
    content = store.info("mine").path.read_bytes()
    deleted = delete_model(store, "mine")
    assert "mine" not in store.names()
    assert [each.name for each in deleted_models(store)] == ["mine"]
    info = restore_model(store, deleted)
    assert info.path.read_bytes() == content
    assert info.notes.notes == "kept"
    assert crops_path(info.path).read_bytes() == b"crops of mine"
    assert deleted_models(store) == ()
    assert not any(deleted_folder(store).iterdir())


def test_two_models_of_one_name_are_both_kept(store: ModelStore, add: Add):
    for seed in 1, 2:
        add("mine", seed=seed)
        delete_model(store, "mine")
    folders = sorted(path.name for path in deleted_folder(store).iterdir())
    assert folders == ["mine", "mine-2"]
    first, second = deleted_models(store)
    restored = {
        int(store.load(restore_model(store, each, name).name).weights["w"][0])
        for each, name in ((first, "a"), (second, "b"))
    }
    assert restored == {1, 2}


def test_a_name_that_is_taken_meanwhile_needs_another(store: ModelStore, add: Add):
    add("mine", seed=1)
    delete_model(store, "mine")
    add("mine", seed=2)
    with pytest.raises(CheckpointError, match="'mine-2'"):
        restore_model(store, "mine")
    assert restore_model(store, "mine", "mine-2").name == "mine-2"
    assert store.load("mine").weights["w"][0] == 2
    assert store.load("mine-2").weights["w"][0] == 1


def test_bundled_models_stay(store: ModelStore):
    with pytest.raises(CheckpointError, match="cannot be deleted"):
        delete_model(store, "nuclei")


def test_what_cannot_be_restored_is_named(store: ModelStore, add: Add):
    add("mine")
    delete_model(store, "mine")
    with pytest.raises(CheckpointError, match="'other'; there are: mine"):
        restore_model(store, "other")
    (path,) = deleted_folder(store).glob("*/*.safetensors")
    path.write_bytes(b"cut")
    assert deleted_models(store) == ()
