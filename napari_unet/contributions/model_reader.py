"""The reader of models: what is dropped on napari joins the user's models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari import current_viewer
from napari.utils.notifications import show_error, show_info

from napari_unet.contributions.commands import open_dock
from unet_engine.errors import EngineError
from unet_engine.model_packages.library import holds_package
from unet_engine.models.checkpoint import SUFFIX
from unet_engine.models.collection.exchange import describe_import, import_model
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.types import LayerData


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the reader of model files and packages, or None for anything else."""
    return add_models if all(map(_is_model, _paths(path))) else None


def add_models(path: str | Sequence[str]) -> list[LayerData]:
    """Add model files to the user's models and open the dock on the last one.

    For a file that cannot be used there is a notification. Packages of bioimage.io are
    read in a thread of the dock.

    Returns
    -------
    layers
        ``[(None,)]``, by which napari takes the files as read without any layer: a
        model is not an image.
    """
    store, name, sentences = ModelStore(), "", []
    for file in _paths(path):
        if file.suffix.lower() != SUFFIX:
            continue
        try:
            before = store.names()
            info = import_model(store, file)
        except EngineError as error:
            show_error(f"{file.name} was not added. {error}")
            continue
        name = info.name
        there = name in before
        sentences.append(f"{describe_import(file, info, there=there)}.")
    if name:
        show_info(" ".join(sentences))
        _select(name)
    viewer, packages = current_viewer(), list(filter(holds_package, _paths(path)))
    if viewer is not None and packages:
        for package in packages:
            open_dock(viewer).open_model(str(package))
    return [(None,)]


def _paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(p) for p in ([path] if isinstance(path, str) else path)]


def _is_model(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX or holds_package(path)


def _select(name: str) -> None:
    viewer = current_viewer()
    if viewer is not None:
        open_dock(viewer).select_model(name)
