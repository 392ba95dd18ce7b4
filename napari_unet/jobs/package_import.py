"""A package of bioimage.io, added to the models in a thread. No Qt, layer or widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from unet_engine.models.collection.exchange import describe_import

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore
    from unet_engine.stopping import Stop


class Imported(NamedTuple):
    """What became of a package: the model, and a sentence on it for the user."""

    model: ModelInfo
    sentence: str


def package_run(
    store: ModelStore, path: Path, _: Stop, *, trust: bool = False
) -> Generator[Any, None, Imported]:
    """Add the model of a package to the store, unless it is there already.

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
    before = store.names()
    info = import_package(store, path, trust=trust)
    return Imported(info, describe_import(path, info, there=info.name in before))
