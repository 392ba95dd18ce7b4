"""``napari-unet models``: the models there are, and those that suit an image."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from unet_engine.cli.files.reading import open_selected
from unet_engine.cli.options.models import ModelsOptions
from unet_engine.cli.progress import bar, report
from unet_engine.generators import drain
from unet_engine.models.collection.description import parts_of
from unet_engine.models.collection.scores import held_out_score
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.prediction.proposals.proposal import Proposals

_TRIED = ("name", "suits", "score", "reason")
"""Columns of models that were tried on an image."""

_TRYING = "trying {0} models on a part of {1}"
_SCORE = (
    "score, 0 to 1: how sure a model is of what it finds, and whether it finds the "
    "same mirrored and resized; from {0} on it suits the image. It is no accuracy"
)

_COLUMNS = (
    "name",
    "architecture",
    "channels",
    "classes",
    "parts",
    "parent",
    "trained",
    "iou",
)


def run(*, options: ModelsOptions = ModelsOptions()) -> int:
    """List the bundled models and your own, or those that suit an image.

    Its commands show, rename, duplicate, note, delete, restore, export, import and
    compare models; napari-unet models COMMAND --help explains each.

    Parameters
    ----------
    options
        Which are listed, and how.

    Examples
    --------
    napari-unet models
    napari-unet models --json
    napari-unet models --for image.tif
    """
    store = ModelStore()
    if options.image is not None:
        return _run_for(options.image, store, options)
    rows = [describe(info) for info in store.list()]
    if not rows and not options.json:
        print(f"no models yet; finetune saves them in {store.root}", file=sys.stderr)
        return 0
    print_rows(rows, _COLUMNS, json_array=options.json)
    return 0


def _run_for(path: Path, store: ModelStore, options: ModelsOptions) -> int:
    """List the bundled models as they suit an image."""
    # Loaded when models run: the list of them needs no torch.
    from unet_engine.prediction.proposals.proposal import CONVINCING, iter_propose

    image = open_selected(path, options)
    models = [info for info in store.list() if info.bundled]
    report([_TRYING.format(len(models), path.name)], quiet=options.quiet)
    with bar(len(models), "trying models", quiet=options.quiet) as progress:
        found = drain(iter_propose(image, models), lambda _: progress.update(1))
    print_rows(describe_tried(found), _TRIED, json_array=options.json)
    advice = [] if found.best is not None else [_advice(path)]
    meaning = [] if options.json else [_SCORE.format(CONVINCING)]
    report([*meaning, *found.left_out, *advice], quiet=options.quiet)
    return 0


def _advice(path: Path) -> str:
    return (
        f"no model is sure of {path.name}; paint two classes of it in napari, or tune "
        "a model on labelled images (napari-unet finetune --images images/ --labels "
        "labels/ --from general --out mine)"
    )


def describe_tried(found: Proposals) -> list[dict[str, Any]]:
    """Return what was found of models that were tried, as JSON values."""
    return [
        {
            "name": each.model.name,
            "suits": each.suits,
            "score": round(each.score, 3),
            "reason": each.reason,
        }
        for each in found.ranked
    ]


def print_rows(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], *, json_array: bool
) -> None:
    """Print a table, or a JSON array."""
    if json_array:
        print(json.dumps(rows, indent=2))
        return
    table = [columns, *(tuple(_cell(row[c]) for c in columns) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def describe(info: ModelInfo) -> dict[str, Any]:
    """Return what there is to know about a model, as JSON values."""
    last = info.history[-1] if info.history else {}
    return {
        "name": info.name,
        "architecture": info.spec.architecture,
        "channels": info.spec.in_channels,
        "classes": list(info.spec.classes),
        "parts": parts_of(info),
        "parent": last.get("parent") or None,
        "trained": last.get("created"),
        # A model without classes has none, and NaN is no JSON.
        "iou": held_out_score(info),
        "bundled": info.bundled,
        "path": str(info.path),
    }


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "-" if value is None else str(value)
