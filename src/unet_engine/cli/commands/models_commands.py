"""``napari-unet models COMMAND``: what is done with single models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from unet_engine.cli.commands.models import describe, print_rows, run
from unet_engine.cli.files.reading import open_selected
from unet_engine.cli.options.models import (
    CompareOptions,
    ExportOptions,
    ImportOptions,
    ModelsOptions,
    NoteOptions,
    RestoreOptions,
    ShowOptions,
)
from unet_engine.cli.options.parameters import QuietOption, UserPath
from unet_engine.cli.progress import report
from unet_engine.errors import DataError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.collection.card import about, licence_of
from unet_engine.models.collection.comparison import agreement_of, compare_models
from unet_engine.models.collection.deletion import (
    delete_model,
    deleted_models,
    restore_model,
)
from unet_engine.models.collection.description import (
    date_of,
    describe_model,
    megabytes,
    size_on_disk,
)
from unet_engine.models.collection.exchange import (
    describe_import,
    export_model,
    import_model,
)
from unet_engine.models.collection.renaming import (
    duplicate_model,
    rename_model,
    write_notes,
)
from unet_engine.models.store import ModelStore
from unet_engine.prediction.fitting import why_not_used

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.cli.options.data import ImageOptions
    from unet_engine.models.checkpoint import ModelInfo

Name = Annotated[str, Parameter(metavar="MODEL")]

_QUIET = QuietOption()

_WIDEST = 48
"""Characters of a cell of a comparison: two of them and a title fit most terminals."""


def run_list(*, options: ModelsOptions = ModelsOptions()) -> int:
    """List the bundled models and your own, or those that suit an image.

    Parameters
    ----------
    options
        Which are listed, and how.

    Examples
    --------
    napari-unet models list
    """
    return run(options=options)


def run_show(model: Name, /, *, options: ShowOptions = ShowOptions()) -> int:
    """Show what is known about a model, and whether it can be used on an image.

    Parameters
    ----------
    model
        Its name, or the path of a model file.
    options
        What is shown.

    Examples
    --------
    napari-unet models show nuclei
    napari-unet models show nuclei --for image.tif
    """
    store = ModelStore()
    info = store.info(model)
    reasons = None if options.image is None else _reasons(info, options.image, options)
    licence, notes = licence_of(info), about(info)
    if options.json:
        more = {"licence": licence, "notes": notes, "bytes": size_on_disk(info)}
        answer = {} if reasons is None else {"why_not": reasons}
        print(json.dumps(describe(info) | more | answer, indent=2))
        return 0
    described = describe_model(info, store.list(), licence=licence)
    rows = [("name", info.name), *described.rows, ("notes", notes)]
    if options.image is not None:
        fits = "; ".join(reasons or ["it can be used"])
        rows.append((f"on {options.image.name}", fits))
    width = max(len(title) for title, _ in rows)
    for title, text in rows:
        if text:
            print(f"{title.ljust(width)}  {text}")
    return 0


def run_rename(model: Name, new: str, /, *, options: QuietOption = _QUIET) -> int:
    """Give a model of yours another name.

    Strokes that were painted for it, and models that were tuned from it, still know it.

    Parameters
    ----------
    model
        Its name.
    new
        The name it gets.
    options
        Of all commands.

    Examples
    --------
    napari-unet models rename image-ft "glands of mouse 3"
    """
    info = rename_model(ModelStore(), model, new)
    report([f"{model} is called {info.name} now"], quiet=options.quiet)
    return 0


def run_duplicate(
    model: Name, new: str = "", /, *, options: QuietOption = _QUIET
) -> int:
    """Copy a model; the way to change a bundled one.

    Parameters
    ----------
    model
        Its name.
    new
        Name of the copy; the next free one when it is not given.
    options
        Of all commands.

    Examples
    --------
    napari-unet models duplicate nuclei my-nuclei
    """
    info = duplicate_model(ModelStore(), model, new)
    report([f"{info.name} is a copy of {model}"], quiet=options.quiet)
    return 0


def run_note(model: Name, /, *, options: NoteOptions = NoteOptions()) -> int:
    """Write notes or the licence of a model of yours.

    Parameters
    ----------
    model
        Its name.
    options
        What is written.

    Examples
    --------
    napari-unet models note mine --notes "second staining" --licence CC0
    """
    if options.notes is None and options.licence is None:
        raise DataError("nothing is written; give --notes, --licence or both")
    info = write_notes(
        ModelStore(), model, notes=options.notes, licence=options.licence
    )
    report([f"the notes of {info.name} are written"], quiet=options.quiet)
    return 0


def run_delete(*models: Name, options: QuietOption = _QUIET) -> int:
    """Delete models of yours; they can be restored.

    They are moved to the folder "deleted" in that of the models; what is deleted there
    is gone.

    Parameters
    ----------
    models
        Their names.
    options
        Of all commands.

    Examples
    --------
    napari-unet models delete mine
    """
    if not models:
        raise DataError("no model is named; napari-unet models lists them")
    store = ModelStore()
    for name in models:
        delete_model(store, name)
        line = f"{name} is deleted; napari-unet models restore {_word(name)} undoes it"
        report([line], quiet=options.quiet)
    return 0


def run_restore(
    model: Name = "", /, *, options: RestoreOptions = RestoreOptions()
) -> int:
    """Bring a deleted model back, or list those that can be.

    Parameters
    ----------
    model
        The name that it had; none: list all that can be restored.
    options
        Under which name.

    Examples
    --------
    napari-unet models restore
    napari-unet models restore mine --as mine-again
    """
    store = ModelStore()
    if not model:
        rows = [
            {
                "name": each.name,
                "deleted": f"{each.deleted.astimezone():%Y-%m-%d %H:%M}",
                "trained": date_of(each.info) or None,
                "size": megabytes(size_on_disk(each.info)),
            }
            for each in deleted_models(store)
        ]
        print_rows(rows, ("name", "deleted", "trained", "size"), json_array=False)
        return 0
    info = restore_model(store, model, options.new)
    report([f"{info.name} is among your models again"], quiet=options.quiet)
    return 0


def run_export(
    model: Name, target: UserPath, /, *, options: ExportOptions = ExportOptions()
) -> int:
    """Copy a model to a file, with notes, card and crops beside it.

    Parameters
    ----------
    model
        Its name.
    target
        A path that ends with .safetensors, or a folder.
    options
        What is written.

    Examples
    --------
    napari-unet models export mine shared/ --without-crops
    """
    written = export_model(
        ModelStore(),
        model,
        target,
        overwrite=options.overwrite,
        crops=not options.without_crops,
    )
    for path in written:
        print(path)
    if any(path.suffix == ".examples" for path in written):
        line = (
            "the .examples file holds parts of labelled images: pass it on only if "
            "these may be (--without-crops leaves it out)"
        )
        report([line], quiet=options.quiet)
    return 0


def run_import(*files: UserPath, options: ImportOptions = ImportOptions()) -> int:
    """Add model files to your models; each is verified first.

    Parameters
    ----------
    files
        Model files (.safetensors), or packages of bioimage.io (.zip): those of
        networks of this program as any other model, all others, if their network is
        ONNX or TorchScript, for prediction only.
    options
        How the model is called.

    Examples
    --------
    napari-unet models import received.safetensors --name mine
    napari-unet models import package.zip
    """
    if not files:
        raise DataError("no file is named; give the path of a model file")
    if options.name and len(files) > 1:
        raise DataError("--name is for one file; add the files one by one")
    store = ModelStore()
    for path in files:
        before = set(store.names())
        info = _import(store, path, options)
        line = describe_import(path, info, there=info.name in before)
        report([line], quiet=options.quiet)
    return 0


def _import(store: ModelStore, path: Path, options: ImportOptions) -> ModelInfo:
    """Add a model file, or the model of a package."""
    if path.suffix.lower() != ".zip":
        return import_model(store, path, options.name)
    # Loaded for a package: a model file needs no torch.
    from unet_engine.model_packages.importing import import_package

    return import_package(store, path, options.name, trust=options.trust)


def run_compare(
    model: Name, other: Name, /, *, options: CompareOptions = CompareOptions()
) -> int:
    """Compare what is known of two models, and their masks of an image.

    Parameters
    ----------
    model, other
        Their names.
    options
        On what.

    Examples
    --------
    napari-unet models compare nuclei mine --on image.tif
    """
    store = ModelStore()
    one, two = store.info(model), store.info(other)
    rows: list[dict[str, Any]] = [
        {"": row.title, one.name: _short(row.one), two.name: _short(row.other)}
        for row in compare_models(one, two, store.list())
    ]
    print_rows(rows, ("", one.name, two.name), json_array=False)
    if options.image is not None:
        print(f"{options.image.name}: {_agreement(one, two, options.image, options)}")
    return 0


def _reasons(info: ModelInfo, path: Path, options: ImageOptions) -> list[str]:
    return list(why_not_used(info, open_selected(path, options)))


def _agreement(
    one: ModelInfo, other: ModelInfo, path: Path, options: ImageOptions
) -> str:
    """Predict an image with both models, and state how far the masks agree."""
    # Imports torch.
    from unet_engine.prediction.segmentation import predict

    image = open_selected(path, options)
    mask, other_mask = (
        predict(image, Checkpoint.load(info.path)).labels for info in (one, other)
    )
    classes, other_classes = one.spec.classes, other.spec.classes
    return agreement_of(mask, other_mask, classes, other_classes).describe()


def _short(text: str) -> str | None:
    if not text:
        return None
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _word(name: str) -> str:
    """Return a name as a shell takes it."""
    return name if name.isalnum() else f'"{name}"'
