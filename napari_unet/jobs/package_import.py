"""A package of bioimage.io, added to the models in a thread. No Qt, layer or widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore
    from unet_engine.stopping import Stop


def package_run(
    store: ModelStore, path: Path, _: Stop, *, trust: bool = False
) -> Generator[Any, None, ModelInfo]:
    """Add the model of a package to the store, and return it.

    Parameters
    ----------
    store
        Where it goes.
    path
        Of the package.
    trust
        Whether its TorchScript may be run.
    """
    # It imports torch, which takes seconds in the main thread.
    from unet_engine.model_packages.importing import import_package

    yield from ()
    return import_package(store, path, trust=trust)
