"""Models that are deleted so that they can be restored: moved to a folder beside."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unet_engine.errors import CheckpointError, DataError
from unet_engine.models.checkpoint import SUFFIX, read_info
from unet_engine.models.collection.renaming import move_model, own_model

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore

logger = logging.getLogger(__name__)

_FOLDER = "deleted"
"""In that of the models; each deleted model has a folder of its own in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedModel:
    """A model that can be restored.

    Attributes
    ----------
    info
        What is known about it; its path is where it lies now.
    deleted
        When, UTC.
    """

    info: ModelInfo
    deleted: datetime

    @property
    def name(self) -> str:
        """That it had."""
        return self.info.name


def deleted_folder(store: ModelStore) -> Path:
    """Return where deleted models lie; what is deleted there is gone."""
    return store.root / _FOLDER


def delete_model(store: ModelStore, name: str) -> DeletedModel:
    """Move a model of the user's, with crops and notes, to the folder of deleted ones.

    Raises
    ------
    CheckpointError
        When it is bundled or not there.
    DataError
        When the folder cannot be written to.
    """
    info = own_model(store, name, "deleted")
    number, folder = 1, deleted_folder(store) / info.name
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{info.name}-{number}")
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise DataError(
            f"{info.name} cannot be deleted: the folder {folder} cannot be made "
            f"({error.strerror}); make {store.root} writable"
        ) from error
    target = folder / info.path.name
    try:
        move_model(info.path, target)
    except DataError:
        folder.rmdir()
        raise
    return DeletedModel(info=read_info(target), deleted=_changed(folder))


def deleted_models(store: ModelStore) -> tuple[DeletedModel, ...]:
    """Return the models that can be restored, the one deleted last first."""
    found = []
    for path in deleted_folder(store).glob(f"*/*{SUFFIX}"):
        try:
            found.append(
                DeletedModel(info=read_info(path), deleted=_changed(path.parent))
            )
        except (CheckpointError, OSError) as error:
            logger.warning("%s cannot be restored: %s", path, error)
    return tuple(sorted(found, key=lambda each: each.deleted, reverse=True))


def restore_model(
    store: ModelStore, deleted: DeletedModel | str, new: str = ""
) -> ModelInfo:
    """Move a deleted model back to the others.

    Parameters
    ----------
    store
        Where it was.
    deleted
        The model, or its name: the one of the name that was deleted last.
    new
        Another name; needed when that it had is taken now.

    Raises
    ------
    CheckpointError
        When there is no such deleted model, or the name is taken.
    DataError
        When the folder cannot be written to.
    """
    if isinstance(deleted, str):
        deleted = _find(store, deleted)
    name = new or deleted.name
    store.check_name(name)
    source = deleted.info.path
    target = store.root / f"{name}{SUFFIX}"
    move_model(source, target)
    try:
        source.parent.rmdir()
    except OSError:
        logger.info("%s is left, something else is in it", source.parent)
    return read_info(target)


def _find(store: ModelStore, name: str) -> DeletedModel:
    there = deleted_models(store)
    for each in there:
        if each.name == name:
            return each
    names = ", ".join(dict.fromkeys(each.name for each in there))
    raise CheckpointError(
        f"there is no deleted model {name!r}; there are: {names or 'none'}"
    )


def _changed(folder: Path) -> datetime:
    return datetime.fromtimestamp(folder.stat().st_mtime, UTC)
