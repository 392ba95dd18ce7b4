"""Other names and copies of the user's models, and what they wrote about them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from unet_engine.errors import CheckpointError, DataError
from unet_engine.files.atomic import move_file, whole_file
from unet_engine.models.beside.notes import ModelNotes, change_notes
from unet_engine.models.beside.paths import crops_path, paths_beside
from unet_engine.models.checkpoint import SUFFIX, Checkpoint, read_info
from unet_engine.models.collection.card import licence_of

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore


def own_model(store: ModelStore, name: str, act: str) -> ModelInfo:
    """Return a model of the user's that may be changed.

    Parameters
    ----------
    store, name
        Which one.
    act
        What is done with it, such as "renamed", for messages.

    Raises
    ------
    CheckpointError
        When there is no such model, it is bundled, or a file elsewhere.
    """
    info = store.info(name)
    if why := why_not_changed(store, info, act):
        raise CheckpointError(why)
    return info


def why_not_changed(store: ModelStore, info: ModelInfo, act: str) -> str:
    """Return why a model cannot be changed in the store; empty when it can."""
    if info.bundled:
        return (
            f"{info.name} came with the package and cannot be {act}; duplicate it, and "
            "change the copy"
        )
    if info.path.parent != store.root:
        return (
            f"{info.path} is not in the folder of your models and cannot be {act} "
            "here; import it first"
        )
    return ""


def rename_model(store: ModelStore, name: str, new: str) -> ModelInfo:
    """Give a model of the user's another name; its file stays as it is.

    It remembers the name that it had: strokes and models know it by that.

    Returns
    -------
    ModelInfo
        Of the model under its new name.

    Raises
    ------
    CheckpointError
        When it is bundled or not there, or the new name is no plain file name or
        taken.
    DataError
        When the folder cannot be written to, or the notes cannot be read.
    """
    info = own_model(store, name, "renamed")
    if new == info.name:
        return info
    # Only the case of letters changes: that name is its own.
    store.check_name(new, overwrite=new.casefold() == info.name.casefold())
    target = info.path.with_name(f"{new}{SUFFIX}")
    former = (*(n for n in info.notes.former_names if n != info.name), info.name)
    change_notes(info.path, former_names=former)
    move_model(info.path, target)
    return read_info(target)


def duplicate_model(store: ModelStore, name: str, new: str = "") -> ModelInfo:
    """Copy a model within the store, with its crops, notes and licence.

    Parameters
    ----------
    store, name
        Which one; a bundled model, too.
    new
        Name of the copy; the next free one when it is empty.

    Raises
    ------
    CheckpointError
        When the model is not there or damaged, or the name is taken.
    DataError
        When the folder cannot be written to.
    """
    info = store.info(name)
    new = new or store.free_name(info.name)
    copy = store.save(new, Checkpoint.load(info.path))
    notes = ModelNotes(notes=info.notes.notes, licence=licence_of(info))
    if notes != ModelNotes():
        change_notes(copy.path, notes=notes.notes, licence=notes.licence)
    copy_file(crops_path(info.path), crops_path(copy.path))
    return read_info(copy.path)


def write_notes(
    store: ModelStore,
    name: str,
    *,
    notes: str | None = None,
    licence: str | None = None,
) -> ModelInfo:
    """Write notes or licence of a model of the user's.

    Parameters
    ----------
    store, name
        Which one.
    notes, licence
        What it is; None leaves it as it is.

    Raises
    ------
    CheckpointError
        When the model is bundled or not there.
    DataError
        When the text is too long or the folder cannot be written to.
    """
    info = own_model(store, name, "annotated")
    written = {"notes": notes, "licence": licence}
    change_notes(info.path, **{k: v for k, v in written.items() if v is not None})
    return read_info(info.path)


def move_model(source: Path, target: Path) -> None:
    """Move a model file with what lies beside it; nothing is replaced.

    The model file comes last, so that it has everything as soon as it is there. When
    that fails, what was moved goes back.

    Raises
    ------
    DataError
        When it cannot be moved, or the model was deleted meanwhile.
    """
    moved: list[tuple[Path, Path]] = []
    pairs = zip(paths_beside(source), paths_beside(target), strict=True)
    try:
        if not source.is_file():
            raise DataError(f"{source} is not there any more; choose another model")
        for one, other in (*pairs, (source, target)):
            if one.exists():
                move_file(one, other)
                moved.append((one, other))
    except DataError:
        for one, other in reversed(moved):
            move_file(other, one)
        raise


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all; nothing where there is none.

    Raises
    ------
    DataError
        When it cannot be written.
    """
    if source.is_file():
        with whole_file(target) as temporary:
            shutil.copyfile(source, temporary)
