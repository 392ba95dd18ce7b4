"""A model of the store as a package of bioimage.io."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unet_engine import __version__
from unet_engine.errors import DataError, EngineError
from unet_engine.files.atomic import check_writable, whole_file
from unet_engine.model_packages.description import Files, describe, spdx_of
from unet_engine.model_packages.library import (
    SUFFIX,
    invalid,
    load_spec,
    quiet,
    why_not_written,
)
from unet_engine.model_packages.page import page_of, write_cover
from unet_engine.model_packages.tensors import make_example
from unet_engine.model_packages.weights import (
    has_onnx,
    network_of,
    write_onnx,
    write_state,
    write_torchscript,
)
from unet_engine.models.beside.paths import card_path
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.collection.card import card_of, licence_of, read_card
from unet_engine.models.lineage import parent_of

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A package that was written.

    Attributes
    ----------
    path
        Of the package.
    notes
        What is not in it and what it lacks, one sentence each.
    """

    path: Path
    notes: tuple[str, ...]


def export_package(
    store: ModelStore,
    name: str,
    target: str | os.PathLike[str],
    *,
    authors: Sequence[str] = (),
    overwrite: bool = False,
) -> Exported:
    """Write a model as a package of bioimage.io, whole or not at all.

    With weights for programs that have this package, TorchScript for those with PyTorch
    and, if the library ``onnx`` is installed, ONNX for all others.

    Parameters
    ----------
    store, name
        Which model; a bundled one, too.
    target
        A path that ends with ``.zip``.
    authors
        Names of the people who made it.
    overwrite
        Replace what is there.

    Raises
    ------
    CheckpointError
        When the model is not there or damaged.
    DataError
        When the model has no network, something is at ``target`` and ``overwrite`` is
        False, or it cannot be written to.
    EngineError
        When the library for it is not installed, or of a version that fails.
    """
    spec_library = load_spec()
    why, advice = why_not_written()
    if why:
        raise EngineError(f"{why}; {advice}")
    info = store.info(name)
    checkpoint = Checkpoint.load(info.path)
    path = _target(Path(target), overwrite=overwrite)
    if not checkpoint.has_network:
        raise DataError(
            f"{info.name} has pixel classifiers and no network, and bioimage.io knows "
            "networks only; fine-tune it first, or pass it on as a file (napari-unet "
            "models export)"
        )
    licence = licence_of(info)
    # The library leaves files open, which Windows does not delete.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        files = _write_files(checkpoint, info, licence, Path(folder))
        parent = parent_of(info, store.list())
        try:
            with quiet():
                description = describe(
                    checkpoint,
                    files,
                    name=info.name,
                    parent=parent.name if parent else "",
                    licence=licence,
                    authors=authors,
                )
                with whole_file(path) as temporary:
                    spec_library.save_bioimageio_package(
                        description, output_path=temporary
                    )
        except ValueError as error:
            raise invalid(info.name, error) from error
    return Exported(path=path, notes=_notes(checkpoint, licence, files, authors))


def _target(target: Path, *, overwrite: bool) -> Path:
    if target.suffix != SUFFIX:
        raise DataError(f"{target} is no name of a package; end it with {SUFFIX}")
    if target.exists() and not overwrite:
        raise DataError(f"{target} is there already; choose another name, or delete it")
    check_writable(target)
    return target


def _write_files(
    checkpoint: Checkpoint, info: ModelInfo, licence: str, folder: Path
) -> Files:
    network = network_of(checkpoint)
    example = make_example(network, checkpoint.spec)
    custom = licence and not spdx_of(licence)
    files = Files(
        input=folder / "test_input.npy",
        output=folder / "test_output.npy",
        page=folder / "README.md",
        cover=folder / "cover.png",
        state=folder / "weights.pt",
        environment=folder / "environment.yaml",
        torchscript=folder / "weights_torchscript.pt",
        onnx=folder / "weights.onnx" if has_onnx() else None,
        licence=folder / "LICENSE.txt" if custom else None,
    )
    np.save(files.input, example.image)
    np.save(files.output, example.output)
    card = read_card(card_path(info.path)) or card_of(info, info.name)
    files.page.write_text(page_of(info, card), "utf-8")
    write_cover(example, checkpoint.spec, files.cover)
    write_state(network, files.state)
    files.environment.write_text(_environment(), "utf-8")
    write_torchscript(network, example.prepared, files.torchscript)
    if files.onnx is not None:
        write_onnx(network, example.prepared, files.onnx)
    if files.licence is not None:
        files.licence.write_text(f"{licence}\n", "utf-8")
    return files


def _environment() -> str:
    """Return the packages that the weights need, as conda reads them."""
    release = __version__.partition(".dev")[0]
    return (
        "name: napari-unet-finetune\nchannels: [conda-forge]\ndependencies:\n"
        "  - python>=3.11\n  - pip\n"
        f"  - pip:\n      - napari-unet-finetune>={release}\n"
    )


def _notes(
    checkpoint: Checkpoint, licence: str, files: Files, authors: Sequence[str]
) -> tuple[str, ...]:
    notes = []
    if checkpoint.classifier is not None:
        notes.append(
            "the pixel classifiers of the model are not in the package, which holds "
            "its network alone: its masks are others than in napari"
        )
    if files.onnx is None:
        notes.append("the package has no ONNX weights; pip install onnx for them")
    if not licence:
        notes.append(
            "the model states no licence, and bioimage.io asks for one: napari-unet "
            "models note MODEL --licence 'CC BY 4.0', then export it again"
        )
    if not authors:
        notes.append("bioimage.io asks for authors: add --author 'Ada Lovelace'")
    return tuple(notes)
