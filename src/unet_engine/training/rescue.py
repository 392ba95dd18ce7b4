"""A trained model that cannot be saved where it belongs: it is never thrown away."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.errors import CheckpointError, EngineError
from unet_engine.models.store import ModelStore, user_folder
from unet_engine.training.remembered_crops import save_with_crops

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unet_engine.models.checkpoint import Checkpoint, ModelInfo
    from unet_engine.training.pairs import TrainingPair


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unsaved:
    """A trained model whose folder could not be written to.

    Attributes
    ----------
    name, checkpoint, crops
        The model, still in memory.
    reason
        Why it could not be saved.
    place
        File where it was saved meanwhile; None when that was possible nowhere.
    """

    name: str
    checkpoint: Checkpoint
    crops: Sequence[TrainingPair]
    reason: str
    place: Path | None

    def save(self, store: ModelStore) -> ModelInfo:
        """Save it where it belongs, under its name or a free one.

        The file that was saved elsewhere meanwhile is removed then.

        Raises
        ------
        EngineError, OSError
            When it still cannot be saved; nothing is lost.
        """
        name = store.free_name(self.name)
        info = save_with_crops(store, name, self.checkpoint, self.crops)
        if self.place is not None and self.place.resolve() != info.path.resolve():
            self.place.unlink(missing_ok=True)
        return info


def save_or_rescue(
    store: ModelStore,
    name: str,
    checkpoint: Checkpoint,
    *,
    crops: Sequence[TrainingPair] = (),
    overwrite: bool = False,
    folders: Iterable[str | os.PathLike[str]],
) -> ModelInfo | Unsaved:
    """Save a trained model; where that fails, in the first other folder with room.

    Parameters
    ----------
    store, name, checkpoint, crops, overwrite
        As of `save_with_crops`. A name that somebody took meanwhile becomes a free one.
    folders
        The others, in the order in which they are tried.
    """
    try:
        try:
            return save_with_crops(store, name, checkpoint, crops, overwrite=overwrite)
        except CheckpointError:
            free = store.free_name(name)
            return save_with_crops(store, free, checkpoint, crops)
    except (EngineError, OSError) as error:
        return Unsaved(
            name=name,
            checkpoint=checkpoint,
            crops=crops,
            reason=str(error),
            place=_rescue(name, checkpoint, folders),
        )


def folders_for_windows() -> tuple[Path, ...]:
    """Return where a program with a window keeps what it cannot save."""
    return user_folder(), Path(tempfile.gettempdir())


def folders_for_commands() -> tuple[Path, ...]:
    """Return where a command keeps what it cannot save: beside the user's files."""
    return Path(os.curdir), Path(tempfile.gettempdir())


def _rescue(
    name: str, checkpoint: Checkpoint, folders: Iterable[str | os.PathLike[str]]
) -> Path | None:
    """Save a model where there is room for it, beside other files; None if nowhere."""
    for folder in folders:
        other = ModelStore(folder)
        try:
            return other.save(other.free_name(name), checkpoint).path.absolute()
        except (EngineError, OSError):
            continue
    return None
