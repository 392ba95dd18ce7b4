"""Models get other names and copies; their files and what knows them stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unet_engine.errors import CheckpointError, DataError
from unet_engine.models.beside.notes import LONGEST_NOTES
from unet_engine.models.beside.paths import crops_path, notes_path
from unet_engine.models.collection.card import licence_of
from unet_engine.models.collection.renaming import (
    duplicate_model,
    rename_model,
    write_notes,
)
from unet_engine.models.lineage import children_of, parent_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore

    Add = Callable[..., ModelInfo]


def test_a_new_name_leaves_the_file_as_it_is(store: ModelStore, add: Add):
    content = add("old").path.read_bytes()
    write_notes(store, "old", notes="of mouse 3")
    info = rename_model(store, "old", "new name")
    assert info.path.read_bytes() == content
    assert info.notes.notes == "of mouse 3"
    assert info.known_as == ("new name", "old")
    assert crops_path(info.path).read_bytes() == b"crops of old"
    assert "old" not in store.names()
    assert not any(path.stem.startswith("old") for path in store.root.iterdir())
    assert store.load("new name").weights


def test_children_know_a_model_by_each_of_its_names(store: ModelStore, add: Add):
    add("first")
    add("child", "first")
    rename_model(store, "first", "second")
    add("later", "second")
    renamed = rename_model(store, "second", "third")
    models = store.list()
    assert {c.name for c in children_of(renamed, models)} == {"child", "later"}
    assert parent_of(store.info("later"), models).name == "third"
    assert store.lineage("child") == ("child", "third")
    # Another model of the former name has another training.
    add("first", iou=0.9)
    assert store.lineage("child") == ("child", "third")


def test_the_weights_that_were_tuned_are_found_by_the_training(
    store: ModelStore, add: Add
):
    base = add("start")
    history = (*base.history, {"parent": "start", "base": "start"})
    rename_model(store, "start", "moved")
    add("start", iou=0.9)
    assert store.base_of(history).name == "moved"


def test_only_the_case_of_a_name_may_change(store: ModelStore, add: Add):
    add("nerves")
    assert rename_model(store, "nerves", "Nerves").name == "Nerves"
    assert "Nerves" in store.names()
    assert "nerves" not in store.names()


@pytest.mark.parametrize("name", ["", " ", "a/b", "nuclei", "Other", "con", "."])
def test_a_name_that_cannot_be_is_refused(store: ModelStore, add: Add, name: str):
    add("mine")
    add("other", seed=1)
    with pytest.raises(CheckpointError):
        rename_model(store, "mine", name)
    assert store.info("mine").notes.former_names == ()


def test_the_name_that_a_refusal_proposes_is_taken(store: ModelStore, add: Add):
    add("mine")
    add("other", seed=1)
    with pytest.raises(CheckpointError, match="'other-2'"):
        rename_model(store, "mine", "other")
    assert rename_model(store, "mine", "other-2").name == "other-2"


def test_a_bundled_model_is_duplicated_and_not_changed(store: ModelStore):
    with pytest.raises(CheckpointError, match="duplicate it"):
        rename_model(store, "nuclei", "mine")
    with pytest.raises(CheckpointError, match="duplicate it"):
        write_notes(store, "nuclei", notes="mine")
    copy = duplicate_model(store, "nuclei")
    assert copy.name == "nuclei-2"
    assert rename_model(store, "nuclei-2", "mine").name == "mine"
    bundled = store.info("nuclei")
    assert licence_of(store.info("mine")) == licence_of(bundled) != ""
    crops = crops_path(store.info("mine").path)
    assert crops.read_bytes() == crops_path(bundled.path).read_bytes()


def test_a_copy_has_all_but_the_name(store: ModelStore, add: Add):
    original = add("mine", seed=3)
    write_notes(store, "mine", notes="n", licence="CC0")
    copy = duplicate_model(store, "mine", "copy")
    assert (copy.notes.notes, copy.notes.licence) == ("n", "CC0")
    assert crops_path(copy.path).read_bytes() == b"crops of mine"
    assert (store.load("copy").weights["w"] == 3).all()
    assert copy.known_as == ("copy",)
    assert original.path.is_file()


def test_notes_stay_beside_the_weights(store: ModelStore, add: Add):
    content = add("mine").path.read_bytes()
    write_notes(store, "mine", notes="eins\nzwei ✓")
    info = write_notes(store, "mine", licence="CC BY 4.0")
    assert (info.notes.notes, info.notes.licence) == ("eins\nzwei ✓", "CC BY 4.0")
    assert info.path.read_bytes() == content
    assert info == store.info("mine")
    with pytest.raises(DataError, match="shorten"):
        write_notes(store, "mine", notes="x" * (LONGEST_NOTES + 1))
    assert store.info("mine").notes.notes == "eins\nzwei ✓"


@pytest.mark.parametrize(
    "damage",
    ["", "nonsense", "[]", '{"format": "other"}', "[" * 9999, "{" + "1" * 400000],
)
def test_damaged_notes_are_never_lost(store: ModelStore, add: Add, damage: str):
    info = add("mine")
    path = notes_path(info.path)
    path.write_text(damage)
    assert store.info("mine").notes.notes == ""
    with pytest.raises(DataError, match="move it to another folder"):
        write_notes(store, "mine", notes="new")
    assert path.read_text() == damage
    path.rename(store.root.parent / path.name)
    assert write_notes(store, "mine", notes="new").notes.notes == "new"


def test_notes_of_a_newer_version_are_not_changed(store: ModelStore, add: Add):
    info = write_notes(store, add("mine").name, notes="old")
    path = notes_path(info.path)
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(DataError, match="update napari-unet-finetune"):
        write_notes(store, "mine", notes="new")


def test_a_new_model_of_a_name_has_no_notes_of_the_one_before(
    store: ModelStore, add: Add
):
    write_notes(store, add("mine").name, notes="old")
    store.save("mine", store.load("mine"), overwrite=True)
    assert store.info("mine").notes.notes == ""


def test_a_model_that_another_program_deleted(store: ModelStore, add: Add):
    add("mine").path.unlink()
    with pytest.raises(CheckpointError, match="there is no model 'mine'"):
        rename_model(store, "mine", "new")


def test_a_move_that_fails_leaves_everything(
    store: ModelStore, add: Add, monkeypatch: pytest.MonkeyPatch
):
    from pathlib import Path

    add("mine")
    genuine = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.suffix == ".safetensors":
            raise PermissionError(13, "Permission denied")
        return genuine(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(DataError, match="cannot be written"):
        rename_model(store, "mine", "new")
    monkeypatch.undo()
    names = sorted(path.name for path in store.root.iterdir())
    assert names == ["mine.examples", "mine.notes.json", "mine.safetensors"]


def test_a_model_elsewhere_is_imported_first(store: ModelStore, add: Add, tmp_path):
    elsewhere = add("mine").path.rename(tmp_path / "there.safetensors")
    with pytest.raises(CheckpointError, match="import it first"):
        rename_model(store, str(elsewhere), "new")
