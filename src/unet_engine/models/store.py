"""``ModelStore``: the models there are, bundled and the user's own."""

from __future__ import annotations

import logging
import os
import re
import shutil
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from unet_engine.errors import CheckpointError, DataError
from unet_engine.files.atomic import check_writable
from unet_engine.models.beside.paths import paths_beside
from unet_engine.models.checkpoint import (
    SUFFIX,
    Checkpoint,
    ModelInfo,
    check_weights,
    read_info,
)
from unet_engine.models.classifier_file import part_tensors
from unet_engine.models.lineage import ancestors_of, find_known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

__all__ = [
    "MODELS_VARIABLE",
    "SUFFIX",
    "Checkpoint",
    "ModelInfo",
    "ModelStore",
    "read_info",
]

logger = logging.getLogger(__name__)

MODELS_VARIABLE = "NAPARI_UNET_MODELS"
"""Environment variable that names another folder for the user's models."""

_NAME_OF_BUNDLED = "a bundled model has its name now; rename {} to use the model in it"
_FIRST = "nuclei"
"""The bundled model that comes first: it finds something without any training."""

SPACE_NEEDED = 2**26
"""Bytes that must be free before a training starts: room for a usual model."""

_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class ModelStore:
    """The bundled models and those in the user's folder.

    Parameters
    ----------
    root
        Folder of the user's models; by default what the environment variable
        ``NAPARI_UNET_MODELS`` names, else the user's data folder.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        folder = root or os.environ.get(MODELS_VARIABLE) or user_folder()
        self.root = Path(folder).expanduser()

    def list(self) -> tuple[ModelInfo, ...]:
        """Return all models, the bundled ones first; unreadable files are logged."""
        models = []
        for path, found in self._scan():
            if isinstance(found, ModelInfo):
                models.append(found)
            else:
                logger.warning("left out %s: %s", path.name, found)
        return tuple(models)

    def broken(self) -> tuple[tuple[Path, str], ...]:
        """Return the files that ``list`` leaves out, each with the reason."""
        return tuple(
            (path, str(found))
            for path, found in self._scan()
            if not isinstance(found, ModelInfo)
        )

    def names(self) -> tuple[str, ...]:
        """Return the names of all models, the bundled ones first."""
        return tuple(info.name for info in self.list())

    def info(self, name: str) -> ModelInfo:
        """Return what is known about a model, without its weights.

        Parameters
        ----------
        name
            Of a model, or the path of a model file.

        Raises
        ------
        CheckpointError
            When there is no such model or its file is damaged.
        """
        for path, found in self._scan():
            if path.stem == name:
                if isinstance(found, CheckpointError):
                    raise found
                return found
        if name and (Path(name).suffix == SUFFIX or Path(name).is_file()):
            return read_info(name)
        raise CheckpointError(
            f"there is no model {name!r}; there are: "
            f"{', '.join(self.names()) or 'none'}; choose one, or give the path of a "
            f"{SUFFIX} file"
        )

    def load(self, name: str) -> Checkpoint:
        """Load and verify a model by its name or the path of its file.

        Raises
        ------
        CheckpointError
            When there is no such model or its file is damaged.
        """
        return Checkpoint.load(self.info(name).path)

    def save(
        self,
        name: str,
        checkpoint: Checkpoint,
        overwrite: bool = False,
    ) -> ModelInfo:
        """Save a model in the user's folder; its last history entry gets the name.

        What lies beside another model of the name, crops and notes, goes with it.

        Parameters
        ----------
        name, checkpoint
            The model.
        overwrite
            Replace another model of the name.

        Raises
        ------
        CheckpointError
            When the name is no plain file name, belongs to a bundled model, or to
            another model and ``overwrite`` is False; when a weight is NaN or infinite.
        DataError
            When the folder cannot be written to.
        """
        self.check_name(name, overwrite)
        check_weights(checkpoint)
        if checkpoint.history:
            *earlier, last = checkpoint.history
            history = (*earlier, {**last, "name": name})
            checkpoint = replace(checkpoint, history=history)
        self._make_root()
        path = self._path(name)
        with ExitStack() as stack:
            for other in paths_beside(path):
                stack.enter_context(_gone_unless_failed(other))
            checkpoint.save(path)
        return read_info(path)

    def add(self, path: str | os.PathLike[str]) -> ModelInfo:
        """Copy a model file into the user's folder, under its name or a free one.

        The file is verified in full before anything is written.

        Returns
        -------
        info
            Of the model in the store; of the one that is there already when the file
            is the store's own or a copy of it.

        Raises
        ------
        CheckpointError
            When the file is no model of this package, damaged or changed.
        DataError
            When the folder cannot be written to.
        """
        checkpoint, name = Checkpoint.load(path), Path(path).stem
        if name in self.names() and _equal(checkpoint, self.load(name)):
            return self.info(name)
        return self.save(self.free_name(name), checkpoint)

    def same_as(self, checkpoint: Checkpoint) -> ModelInfo | None:
        """Return the first model with the spec and weights of another, if there is one.

        Parameters
        ----------
        checkpoint
            Of any name and history.
        """
        for info in self.list():
            if info.spec != checkpoint.spec:
                continue
            # One that was damaged is no other's copy.
            with suppress(CheckpointError):
                if _equal(checkpoint, Checkpoint.load(info.path)):
                    return info
        return None

    def check_name(self, name: str, overwrite: bool = False) -> None:
        """Make sure that a model may be saved under a name, before a long training.

        Raises
        ------
        CheckpointError
            When it is no plain file name, belongs to a bundled model, or to another
            model and ``overwrite`` is False.
        """
        if (
            not name.strip()
            or name != name.strip()
            or name[0] == "."
            or name[-1] == "."
            or len(name.encode()) > 200
            or _FORBIDDEN.search(name)
            or _RESERVED.fullmatch(name)
        ):
            raise CheckpointError(
                f"{name!r} is no name for a model; use letters, digits, spaces, "
                "dashes and underscores"
            )
        if name.casefold() in {path.stem.casefold() for path in _bundled_paths()}:
            raise CheckpointError(
                f"{name!r} is a bundled model and stays as it is; save under another "
                f"name, such as {self.free_name(name)!r}"
            )
        if not overwrite and name.casefold() in self._taken():
            raise CheckpointError(
                f"there is a model {name!r} already; save under another name, such as "
                f"{self.free_name(name)!r}"
            )

    def free_name(self, stem: str) -> str:
        """Return the first of ``stem``, ``stem-2``, ``stem-3``, ... that is free."""
        taken = self._taken()
        number, name = 1, stem
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        return name

    def check_writable(self) -> None:
        """Make sure that a model can be saved, before a long training.

        Raises
        ------
        DataError
            When the folder is read-only, cannot be made, or is nearly full.
        """
        self._make_root()
        check_writable(self._path("probe"))
        free = shutil.disk_usage(self.root).free
        if free < SPACE_NEEDED:
            raise DataError(
                f"the disk of {self.root} is full ({free // 2**20} MB left); free some "
                f"space, or name another folder in {MODELS_VARIABLE}"
            )

    def base_of(self, history: Sequence[Mapping[str, Any]]) -> ModelInfo | None:
        """Return the model whose weights were tuned last, if it is here.

        Parameters
        ----------
        history
            Of a model.
        """
        name = str(history[-1].get("base") or "") if history else ""
        return find_known(name, self.list(), history[:-1]) if name else None

    def holds(self, model: ModelInfo) -> bool:
        """Whether a model is one of these, and no file from elsewhere."""
        return any(info.path == model.path for info in self.list())

    def lineage(self, name: str) -> tuple[str, ...]:
        """Return the names from a model back to its first ancestor."""
        info, models = self.info(name), self.list()
        line = (info.name, *(each.name for each in ancestors_of(info, models)))
        return line

    def _path(self, name: str) -> Path:
        return self.root / f"{name}{SUFFIX}"

    def _scan(self) -> Iterator[tuple[Path, ModelInfo | CheckpointError]]:
        bundled = _bundled_paths()
        names = {path.stem for path in bundled}
        for path in (*bundled, *_model_paths(self.root)):
            if path not in bundled and path.stem in names:
                yield path, CheckpointError(_NAME_OF_BUNDLED.format(path))
                continue
            try:
                yield path, read_info(path, bundled=path in bundled)
            except CheckpointError as error:
                yield path, error

    def _taken(self) -> set[str]:
        paths = (*_bundled_paths(), *_model_paths(self.root))
        return {path.stem.casefold() for path in paths}

    def _make_root(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"the folder for models {self.root} cannot be made: {error.strerror}; "
                f"name another one in {MODELS_VARIABLE}"
            ) from error


@contextmanager
def _gone_unless_failed(path: Path) -> Iterator[None]:
    """Take a file away; it comes back when what is done meanwhile fails."""
    aside = path.with_name(f"{path.name}-old")
    aside.unlink(missing_ok=True)
    there = path.exists()
    if there:
        path.rename(aside)
    try:
        yield
    except BaseException:
        if there:
            aside.rename(path)
        raise
    aside.unlink(missing_ok=True)


def _equal(one: Checkpoint, other: Checkpoint) -> bool:
    ours, theirs = _tensors(one), _tensors(other)
    return (
        one.spec == other.spec
        and ours.keys() == theirs.keys()
        and all(np.array_equal(ours[name], theirs[name]) for name in ours)
    )


def _tensors(checkpoint: Checkpoint) -> dict[str, npt.NDArray[Any]]:
    part = checkpoint.classifier
    if part is None:
        return dict(checkpoint.weights)
    share = {"share": np.array(part.network_share), "weights": np.array(part.weights)}
    return {**checkpoint.weights, **part_tensors(part), **share}


def user_folder() -> Path:
    """Return the folder of the user's models when nothing names another one."""
    return platformdirs.user_data_path("napari-unet-finetune", False) / "models"


def _model_paths(folder: Path) -> tuple[Path, ...]:
    try:
        found = [p for p in folder.iterdir() if p.suffix == SUFFIX]
    except OSError:
        return ()
    return tuple(sorted(p for p in found if not p.name.startswith(".")))


def _bundled_paths() -> tuple[Path, ...]:
    try:
        folder = files("napari_unet_resources") / "models"
    except ModuleNotFoundError:
        return ()
    paths = _model_paths(Path(str(folder)))
    return tuple(sorted(paths, key=lambda path: path.stem != _FIRST))
