"""A trained model is saved; one that cannot be is never thrown away. No torch."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from unet_engine.errors import CheckpointError, EngineError
from unet_engine.models.store import ModelStore, user_folder
from unet_engine.training.data.remembered_crops import save_with_crops
from unet_engine.training.events import Saving

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from unet_engine.models.checkpoint import Checkpoint, ModelInfo
    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.training.events import FineTuned

Event = TypeVar("Event")


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
        File where it was saved meanwhile; None when that failed everywhere.
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A training that ended.

    Attributes
    ----------
    result
        What was learned.
    model
        The new one; None if nothing was learned, or it could not be saved.
    unsaved
        The new one if it could not be saved, else None.
    """

    result: FineTuned
    model: ModelInfo | None = None
    unsaved: Unsaved | None = None


def train_and_save(
    training: Generator[Event, None, FineTuned],
    store: ModelStore,
    name: str,
    *,
    overwrite: bool = False,
    folders: Iterable[str | os.PathLike[str]],
) -> Generator[Event | Saving, None, Trained]:
    """Run a training to its end and save its model, if it became better.

    Parameters
    ----------
    training
        As ``pretrain`` returns it.
    store, name, overwrite, folders
        As of `save_trained`.

    Yields
    ------
    Event or Saving
        Those of the training, then that the model is about to be saved.
    """
    result = yield from training
    if not result.improved:
        return Trained(result=result)
    yield Saving()
    return save_trained(result, store, name, overwrite=overwrite, folders=folders)


def save_trained(
    result: FineTuned,
    store: ModelStore,
    name: str,
    *,
    crops: Sequence[TrainingPair] = (),
    overwrite: bool = False,
    folders: Iterable[str | os.PathLike[str]],
) -> Trained:
    """Save a better model; one that cannot be saved is kept.

    Parameters
    ----------
    result
        Of a training that made the model better.
    store, name
        Where it goes; a name that is taken becomes a free one.
    crops
        To remember beside it.
    overwrite
        Replace a model of the name, if the training was complete.
    folders
        As of `save_or_rescue`.
    """
    replaces = overwrite and not result.stopped
    saved = save_or_rescue(
        store,
        name if replaces else store.free_name(name),
        result.checkpoint,
        crops=crops,
        overwrite=replaces,
        folders=folders,
    )
    if isinstance(saved, Unsaved):
        return Trained(result=result, unsaved=saved)
    return Trained(result=result, model=saved)


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
        As of `save_with_crops`. A name that is taken by now becomes a free one.
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
