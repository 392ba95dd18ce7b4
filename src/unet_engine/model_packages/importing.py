"""A model of the store from a package of bioimage.io."""

from __future__ import annotations

import io
import json
import pickle
import re
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import torch

from unet_engine.compute.loading import load_network
from unet_engine.errors import CheckpointError, DataError, SpecError
from unet_engine.failures import quoted
from unet_engine.model_packages import network as exported
from unet_engine.model_packages.library import CONFIG
from unet_engine.model_packages.prediction_only import prediction_only
from unet_engine.model_packages.reading import open_package
from unet_engine.models.beside.notes import ModelNotes, save_notes
from unet_engine.models.checkpoint import Checkpoint, read_info
from unet_engine.models.spec import ModelSpec

if TYPE_CHECKING:
    import os

    import numpy as np

    from unet_engine.model_packages.reading import Package
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore


def import_package(
    store: ModelStore,
    path: str | os.PathLike[str],
    name: str = "",
    *,
    trust: bool = False,
) -> ModelInfo:
    """Add the model of a package to the store.

    A network of ``ARCHITECTURES`` is built here, by its description, and of its weights
    only tensors are read. Any other one is kept as ONNX, for prediction only. No Python
    of the package is run.

    Parameters
    ----------
    store
        Where it goes.
    path
        Of the package.
    name
        That it gets; that in the package, or the next free one, when it is empty.
    trust
        Whether TorchScript may be run, which is a program, where there is nothing else.

    Returns
    -------
    ModelInfo
        Of the model in the store; of the one that is there already when it came from a
        package with the same files, or is the same, and no other name is wanted.

    Raises
    ------
    DataError
        When the package is damaged, changed, or cannot be run as it is described.
    UntrustedError
        When it has nothing but TorchScript and ``trust`` is False.
    CheckpointError
        When its weights do not fit the network, are no tensors, or the name is taken.
    EngineError
        When a library for it is not installed.
    """
    if name:
        store.check_name(name)
    with open_package(path) as package:
        if not name and (known := _imported_before(store, package)):
            return known
        checkpoint = _checkpoint(package, trust=trust)
        described = package.description
    if not name and (known := store.same_as(checkpoint)):
        return known
    wanted = name or store.free_name(_name_of(package))
    info = store.save(wanted, checkpoint)
    licence = described.license
    notes = ModelNotes(
        notes=_credits(described) if checkpoint.spec.imported is not None else "",
        licence=licence if isinstance(licence, str) else "",
        received=datetime.now(UTC).isoformat(timespec="seconds"),
        package=package.digest,
    )
    save_notes(info.path, notes)
    return read_info(info.path)


def _imported_before(store: ModelStore, package: Package) -> ModelInfo | None:
    """Return the model that came from a package with the same files."""
    found = (info for info in store.list() if info.notes.package == package.digest)
    return next(found, None)


def _checkpoint(package: Package, *, trust: bool) -> Checkpoint:
    weights = package.description.weights
    entry = weights.pytorch_state_dict
    if not _is_ours(entry):
        if weights.onnx is None and weights.torchscript is None:
            raise DataError(_why_not_run(package, entry))
        return prediction_only(package, trust=trust)
    spec = _spec(package, entry)
    checkpoint = Checkpoint(
        spec, _weights(package, package.read(entry)), _history(package), package.path
    )
    # Its weights are compared with those of the network before any memory is taken.
    load_network(checkpoint)
    return checkpoint


def _credits(described: Any) -> str:
    """Return who asks to be cited, and for what, of a network of other people."""
    cited = [f"{one.text} {one.doi or one.url or ''}".strip() for one in described.cite]
    authors = ", ".join(str(author.name) for author in described.authors or ())
    lines = [described.description or "", f"By {authors}." if authors else "", *cited]
    return "\n".join(" ".join(line.split()) for line in lines if line)[:2000]


def _is_ours(entry: Any) -> bool:
    """Whether weights are of a network that is built here."""
    if entry is None:
        return False
    imported = getattr(entry.architecture, "import_from", "")
    stated = (imported, str(entry.architecture.callable))
    return stated == (exported.IMPORT_FROM, exported.CALLABLE)


def _why_not_run(package: Package, entry: Any) -> str:
    if entry is None:
        kinds = [kind for kind, one in package.description.weights if one is not None]
        return (
            f"{package.path} has weights as {', '.join(kinds)} only; what can be read "
            "here are ONNX, TorchScript, and the networks of napari-unet-finetune as a "
            "PyTorch state dict; ask its author for one of these"
        )
    place = getattr(entry.architecture, "import_from", "") or "a file in the package"
    return (
        f"{package.path} has the network {quoted(entry.architecture.callable)} from "
        f"{quoted(place)} and nothing else: code of packages is not run; ask its "
        "author for ONNX, or run it in a program of bioimage.io"
    )


def _spec(package: Package, entry: Any) -> ModelSpec:
    """Return the network that a package describes."""
    architecture = entry.architecture
    values = architecture.kwargs.get("spec")
    extra = sorted(set(architecture.kwargs) - {"spec"})
    if not isinstance(values, dict) or extra:
        raise DataError(
            f"{package.path}: its network has no description that is known here"
            f"{' but ' + quoted(', '.join(extra)) if extra else ''}; update "
            "napari-unet-finetune, or ask its author"
        )
    try:
        return ModelSpec.from_dict(values)
    except (SpecError, TypeError, ValueError) as error:
        raise DataError(
            f"{package.path} describes no network that can be built: "
            f"{quoted(error, 500)}"
        ) from error


def _weights(package: Package, content: bytes) -> dict[str, np.ndarray]:
    try:
        with warnings.catch_warnings():
            # Of other versions of pickle, which is refused anyway.
            warnings.simplefilter("ignore")
            state = torch.load(
                io.BytesIO(content), map_location="cpu", weights_only=True
            )
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
        IndexError,
        OSError,
    ) as error:
        raise CheckpointError(
            f"{package.path}: its weights hold more than tensors, or are damaged; "
            "nothing of them was run; ask its author for a plain state dict"
        ) from error
    plain = isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor)
        for name, value in state.items()
    )
    if not plain:
        raise CheckpointError(
            f"{package.path}: its weights are no tensors with names; ask its author "
            "for a plain state dict"
        )
    strange = [name for name in state if not name.startswith(exported.PREFIX)]
    if strange:
        raise CheckpointError(
            f"{package.path}: its weights have {quoted(strange[0])!r}, which the "
            "network has not; ask its author"
        )
    return {
        name.removeprefix(exported.PREFIX): value.detach().contiguous().numpy()
        for name, value in state.items()
    }


def _own(package: Package) -> dict[str, Any]:
    own = (package.description.config.model_extra or {}).get(CONFIG)
    return own if isinstance(own, dict) else {}


def _history(package: Package) -> tuple[dict[str, Any], ...]:
    """Return the trainings that the package records; none if it records no such."""
    try:
        history = json.loads(str(_own(package).get("history", "[]")))
    except (ValueError, RecursionError):
        return ()
    if not isinstance(history, list) or not all(isinstance(e, dict) for e in history):
        return ()
    return tuple(history)


def _name_of(package: Package) -> str:
    """Return what a model is called: its own name, without what no file name has."""
    name = str(_own(package).get("name") or package.description.name)
    plain = re.sub(r"[^\w\-+ ()]", "_", name)[:60].strip(" .")
    return plain or "model"
