"""Models leave as files and come in as files, verified, and nothing is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unet_engine.errors import CheckpointError, DataError
from unet_engine.models.beside.paths import crops_path
from unet_engine.models.collection.card import about, licence_of
from unet_engine.models.collection.description import origin_of
from unet_engine.models.collection.exchange import (
    describe_import,
    export_model,
    import_model,
)
from unet_engine.models.collection.renaming import write_notes
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unet_engine.models.checkpoint import ModelInfo

    Add = Callable[..., ModelInfo]


@pytest.fixture
def other(tmp_path: Path) -> ModelStore:
    """The store of another computer."""
    return ModelStore(tmp_path / "other")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


def test_a_model_is_handed_on_whole(
    store: ModelStore, other: ModelStore, outside: Path, add: Add
):
    add("mine", object_size_px=20.0)
    write_notes(store, "mine", notes="of mouse | 3", licence="CC0")
    written = export_model(store, "mine", outside)
    assert {path.name for path in written} == {
        "mine.safetensors", "mine.examples", "mine.notes.json", "mine.md",
    }  # fmt: skip
    assert written[0].read_bytes() == store.info("mine").path.read_bytes()
    card = (outside / "mine.md").read_text()
    assert "| licence of the weights | CC0 |" in card
    assert "| object size | 20 px |" in card
    assert "of mouse | 3" in card
    info = import_model(other, written[0])
    assert origin_of(info) == "received"
    assert (about(info), licence_of(info)) == ("of mouse | 3", "CC0")
    assert crops_path(info.path).read_bytes() == b"crops of mine"


def test_the_licence_comes_with_the_card_alone(
    store: ModelStore, other: ModelStore, outside: Path
):
    export_model(store, "nuclei", outside)
    (outside / "nuclei.notes.json").unlink()
    info = import_model(other, outside / "nuclei.safetensors", "received")
    assert info.notes.licence == licence_of(store.info("nuclei"))
    card = (outside / "nuclei.md").read_text()
    assert card.startswith("# nuclei")
    # Its picture stays with the package.
    assert "nuclei.png" not in card


def test_pictures_can_be_left_out(store: ModelStore, outside: Path, add: Add):
    add("mine")
    written = export_model(store, "mine", outside / "a.safetensors", crops=False)
    assert {path.name for path in written} == {"a.safetensors", "a.md"}


def test_nothing_is_replaced_unless_wanted(store: ModelStore, outside: Path, add: Add):
    add("first")
    add("second", seed=1)
    target = outside / "model.safetensors"
    export_model(store, "first", target)
    content = target.read_bytes()
    with pytest.raises(DataError, match="is there already"):
        export_model(store, "second", target)
    assert target.read_bytes() == content
    export_model(store, "second", target, overwrite=True, crops=False)
    assert target.read_bytes() == store.info("second").path.read_bytes()
    # The crops were those of the other model.
    assert not (outside / "model.examples").exists()
    (outside / "readme.md").write_text("mine")
    with pytest.raises(DataError, match=r"readme\.md is there already"):
        export_model(store, "first", outside / "readme.safetensors", overwrite=True)
    assert (outside / "readme.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        ("outside/model.pt", "end it with .safetensors"),
        ("models/copy.safetensors", "duplicate the model instead"),
        ("missing/model.safetensors", "make it first"),
    ],
)
def test_a_place_that_cannot_be(
    store: ModelStore, outside: Path, add: Add, target: str, advice: str
):
    add("mine")
    with pytest.raises(DataError, match=advice):
        export_model(store, "mine", outside.parent / target)


def test_names_that_clash_get_the_next_free_one(
    store: ModelStore, other: ModelStore, outside: Path, add: Add
):
    add("mine", seed=1)
    path, *_ = export_model(store, "mine", outside)
    store.save("mine", other_weights(store), overwrite=True)
    info = import_model(store, path)
    assert info.name == "mine-2"
    sentence = describe_import(path, info, there=False)
    assert "another model 'mine'" in sentence
    with pytest.raises(CheckpointError, match="'mine-3'"):
        import_model(store, path, "mine")
    assert import_model(store, path, "mine-3").name == "mine-3"


def other_weights(store: ModelStore):
    from dataclasses import replace

    checkpoint = store.load("mine")
    return replace(checkpoint, weights={"w": checkpoint.weights["w"] + 1})


def test_a_copy_of_what_is_there_is_not_added(
    store: ModelStore, outside: Path, add: Add
):
    add("mine")
    write_notes(store, "mine", notes="mine")
    path, *_ = export_model(store, "mine", outside)
    assert import_model(store, path).name == "mine"
    assert store.info("mine").notes.notes == "mine"
    assert store.info("mine").notes.received == ""
    assert import_model(store, store.info("mine").path).name == "mine"


def test_a_damaged_file_is_not_added(store: ModelStore, outside: Path, add: Add):
    add("mine")
    path, *_ = export_model(store, "mine", outside)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="changed after it was saved"):
        import_model(store, path, "new")
    assert store.names() == (*ModelStore(outside / "none").names(), "mine")


def test_a_damaged_model_is_not_handed_on(store: ModelStore, outside: Path, add: Add):
    path = add("mine").path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="changed after it was saved"):
        export_model(store, "mine", outside)
    assert not list(outside.iterdir())
