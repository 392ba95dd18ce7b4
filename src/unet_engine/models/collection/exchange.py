"""Models that leave the store as files, and come in as files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file
from unet_engine.models.beside.notes import (
    ModelNotes,
    read_notes,
    save_notes,
)
from unet_engine.models.beside.paths import card_path, crops_path, notes_path
from unet_engine.models.checkpoint import SUFFIX, Checkpoint, read_info
from unet_engine.models.collection.card import (
    card_of,
    licence_in,
    licence_of,
    read_card,
)
from unet_engine.models.collection.renaming import copy_file

if TYPE_CHECKING:
    import os

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore


def export_model(
    store: ModelStore,
    name: str,
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    crops: bool = True,
) -> tuple[Path, ...]:
    """Copy a model out of the store, with its crops, its notes and a card.

    The file is verified first; what was there stays as it is when that fails.

    Parameters
    ----------
    store, name
        Which one; a bundled model, too.
    target
        A path that ends with ``.safetensors``, or a folder, where it keeps its name.
    overwrite
        Replace a model at ``target`` with what lies beside it.
    crops
        Also the parts of labelled images that are kept of its trainings.

    Returns
    -------
    tuple of Path
        What was written, the model first.

    Raises
    ------
    CheckpointError
        When the model is not there or damaged.
    DataError
        When something is at ``target`` and ``overwrite`` is False, it is no path of a
        model or in the folder of the models, or cannot be written to.
    """
    info = store.info(name)
    Checkpoint.load(info.path)
    path = _target(store, info, Path(target))
    beside = (crops_path(path), notes_path(path), card_path(path))
    there = [each for each in (path, *beside) if each.exists()]
    if there and not (overwrite and path.exists()):
        raise DataError(
            f"{there[0]} is there already; choose another name or folder, or delete it"
        )
    licence = licence_of(info)
    written = [card_path(path)]
    with whole_file(card_path(path)) as temporary:
        temporary.write_text(card_of(info, path.stem), "utf-8")
    if info.notes.notes or licence:
        save_notes(path, ModelNotes(notes=info.notes.notes, licence=licence))
        written.insert(0, notes_path(path))
    if crops and crops_path(info.path).is_file():
        copy_file(crops_path(info.path), crops_path(path))
        written.insert(0, crops_path(path))
    copy_file(info.path, path)
    for other in beside:
        if other not in written:
            # Of the model that was replaced.
            other.unlink(missing_ok=True)
    return (path, *written)


def import_model(
    store: ModelStore, path: str | os.PathLike[str], name: str = ""
) -> ModelInfo:
    """Copy a model file into the store, with crops and notes that lie beside it.

    The file is verified in full before anything is written.

    Parameters
    ----------
    store
        Where it goes.
    path
        A model file of this package.
    name
        That it gets; that of the file, or the next free one, when it is empty.

    Returns
    -------
    ModelInfo
        Of the model in the store; of the one that is there already when the file is
        a copy of it and no other name is wanted.

    Raises
    ------
    CheckpointError
        When the file is no model of this package, damaged or changed, or the name is
        taken.
    DataError
        When the folder cannot be written to.
    """
    path = Path(path)
    known = {info.path: info for info in store.list()}
    if name:
        store.check_name(name)
        info = store.save(name, Checkpoint.load(path))
    else:
        info = store.add(path)
        if info.path in known:
            return info
    copy_file(crops_path(path), crops_path(info.path))
    notes, card = read_notes(path), read_card(card_path(path))
    received = ModelNotes(
        notes=notes.notes,
        licence=notes.licence or licence_in(card),
        received=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    save_notes(info.path, received)
    return read_info(info.path)


def _target(store: ModelStore, info: ModelInfo, target: Path) -> Path:
    """Return where a model is exported to."""
    if target.is_dir():
        target = target / f"{info.name}{SUFFIX}"
    if target.suffix != SUFFIX:
        raise DataError(f"{target} is no name of a model file; end it with {SUFFIX}")
    if target.parent.resolve() == store.root.resolve():
        raise DataError(
            f"{target} is in the folder of your models; duplicate the model instead, "
            "or choose another folder"
        )
    if not target.parent.is_dir():
        raise DataError(f"there is no folder {target.parent}; make it first")
    return target


def describe_import(
    path: str | os.PathLike[str], info: ModelInfo, *, there: bool
) -> str:
    """Return the sentence on an imported model for the user.

    Parameters
    ----------
    path
        The file.
    info
        Of the model in the store.
    there
        Whether it was there already.
    """
    name = Path(path).stem
    if there:
        file = Path(path).name
        return f"{file} is already among your models as {info.name}; no copy was added"
    if info.name == name or not info.name.startswith(f"{name}-"):
        return f"{info.name} is among your models now"
    return (
        f"there is another model {name!r} already: the one of the file is called "
        f"{info.name!r}; it can be renamed"
    )
